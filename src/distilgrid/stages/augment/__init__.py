"""Stage `augment`."""
