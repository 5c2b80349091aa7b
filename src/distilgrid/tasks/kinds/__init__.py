"""Task kinds: everything that depends on what a row is, one folder for each kind."""
