"""Stage `supernet`."""
