"""Outputs of teachers that students learn from."""
