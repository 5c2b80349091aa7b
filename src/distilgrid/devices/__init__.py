"""Where latency is measured: this machine, a phone, or any other device through a JSON file."""
