"""Teacher-assistant distillation (Mirzadeh et al. 2020)."""
