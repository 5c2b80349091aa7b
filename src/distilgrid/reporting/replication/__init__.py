"""Adaptive replication: more seeds for the claims that are undecided, and only for them."""
