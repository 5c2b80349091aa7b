"""Patient knowledge distillation (Sun et al. 2019)."""
