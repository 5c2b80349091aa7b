"""Annealing-KD (Jafari et al. 2021)."""
