"""Teacher outputs on mixed samples."""
