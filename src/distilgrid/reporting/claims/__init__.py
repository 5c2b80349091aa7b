"""A paper's claims, judged by a grid's cells."""
