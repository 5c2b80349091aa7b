"""Warm start: one process of a workflow loads torch and transformers once, and forks a child for every job."""
