"""Stage `search`."""
