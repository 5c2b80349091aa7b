"""Devices whose latency is measured: this machine, a phone, an imported file."""
