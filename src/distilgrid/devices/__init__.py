"""Places where latency is measured: this machine, a phone, an imported file."""
