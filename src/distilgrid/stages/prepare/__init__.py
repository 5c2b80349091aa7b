"""Stage `prepare`."""
