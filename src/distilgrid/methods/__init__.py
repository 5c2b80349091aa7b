"""Distillation methods; a folder for each."""
