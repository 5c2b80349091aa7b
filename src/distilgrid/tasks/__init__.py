"""Tasks: specs as versioned data, and the sources that their rows come from."""
