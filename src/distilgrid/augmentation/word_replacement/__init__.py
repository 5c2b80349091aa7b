"""TinyBERT's word replacement (Jiao et al. 2020)."""
