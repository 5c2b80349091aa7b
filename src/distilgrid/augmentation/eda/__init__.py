"""Easy data augmentation (Wei and Zou 2019)."""
