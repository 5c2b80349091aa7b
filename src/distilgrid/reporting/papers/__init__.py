"""A page for each paper."""
