"""The training loop: phases, streams, losses, optimiser, evaluation."""
