"""Processes of a workflow's jobs, and how they start."""
