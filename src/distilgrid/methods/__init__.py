"""Distillation methods: one file per paper method, registered in `registry.py`."""
