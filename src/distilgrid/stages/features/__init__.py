"""Stage `features`."""
