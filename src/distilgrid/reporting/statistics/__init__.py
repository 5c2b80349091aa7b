"""Intervals and tests over seeds and rows."""
