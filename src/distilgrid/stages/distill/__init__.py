"""Stage `distill`."""
