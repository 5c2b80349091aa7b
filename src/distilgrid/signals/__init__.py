"""Outputs that teachers leave behind for their students."""
