"""The latency protocol and its candidates."""
