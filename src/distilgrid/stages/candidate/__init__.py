"""Stage `candidate`."""
