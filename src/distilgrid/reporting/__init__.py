"""Reports: results collected, compared and drawn as lines, tables, plots, statistics and claims."""
