"""Finished results checked, compared and cleaned up: verify, diff, status, gc."""
