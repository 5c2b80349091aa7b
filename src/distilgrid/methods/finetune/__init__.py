"""Fine-tuning on hard labels."""
