"""Augmentation: rewriting training texts, one file per method, registered in `registry.py`."""
