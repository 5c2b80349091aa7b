"""Deployment: the choice of a model, and the folder that ships."""
