"""Warm start: jobs of a workflow fork from a process that has loaded torch. See docs/decisions/005-warm-start.md."""
