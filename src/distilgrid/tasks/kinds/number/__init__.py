"""Texts, or pairs of texts, with a real number."""
