"""Results collected, compared and drawn: lines, tables, plots, statistics, claims."""
