"""A paper's claims, judged by the cells that exist."""
