"""Continuation-KD (Jafari et al. 2022)."""
