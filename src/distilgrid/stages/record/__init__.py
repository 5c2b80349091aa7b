"""Stage `record`."""
