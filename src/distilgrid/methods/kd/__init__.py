"""Knowledge distillation on logits (Hinton et al. 2015)."""
