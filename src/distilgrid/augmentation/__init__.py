"""New training rows made of old ones; a folder for each augmentation."""
