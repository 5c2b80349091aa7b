"""Tasks: specs, sources, rows, and the kinds of rows."""
