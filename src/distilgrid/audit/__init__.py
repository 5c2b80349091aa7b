"""Looking after finished results: is everything still what it says, and what differs between two grids, and why."""
