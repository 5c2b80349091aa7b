"""The teacher's outputs on views of images."""
