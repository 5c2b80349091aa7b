"""The latency protocol and the models that it measures."""
