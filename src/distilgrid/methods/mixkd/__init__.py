"""MixKD (Liang et al. 2021)."""
