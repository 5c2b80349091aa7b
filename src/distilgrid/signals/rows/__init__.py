"""The teacher's outputs on training rows."""
