"""Controllers, which propose architectures and learn from their rewards."""
