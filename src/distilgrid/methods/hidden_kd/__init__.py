"""Hidden-state distillation (Trivedi et al. 2023)."""
