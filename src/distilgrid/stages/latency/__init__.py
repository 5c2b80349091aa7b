"""Stage `latency`."""
