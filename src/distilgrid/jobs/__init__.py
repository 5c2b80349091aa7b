"""Processes: set-up, signals, warm start, and the check of a machine."""
