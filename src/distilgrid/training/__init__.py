"""The one training loop: batching, precision, optimiser, evaluation."""
