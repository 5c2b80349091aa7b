"""Runtimes that execute models: torch, and exported files."""
