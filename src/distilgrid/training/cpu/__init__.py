"""Fast training on CPUs: fused layers, flat weights, shared memory."""
