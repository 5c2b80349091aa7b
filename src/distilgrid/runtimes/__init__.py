"""What executes a model: torch itself, or an exported file."""
