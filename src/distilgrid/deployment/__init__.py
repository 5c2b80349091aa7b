"""The choice of a model that ships, and its folder."""
