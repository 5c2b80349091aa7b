"""Decoupled knowledge distillation (Zhao et al. 2022) for DistilGrid."""
