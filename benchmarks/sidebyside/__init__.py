"""Training runs of several frameworks side by side: the same rows and settings, each run in a separate process."""
