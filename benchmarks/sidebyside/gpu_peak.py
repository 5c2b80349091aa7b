"""How fast a GPU multiplies bf16 matrices."""

import time

import torch

GPU_SIZE, PRODUCTS, ROUNDS = 8192, 20, 5


def gpu_peak_flops(device: torch.device) -> float:
    """Floating-point operations per second.

    Matrices are larger than a CPU's are measured with, and products are queued: a fast GPU multiplies 2048 x 2048
    matrices in less time than it takes to start and await one product.
    """
    left = torch.randn(GPU_SIZE, GPU_SIZE, device=device, dtype=torch.bfloat16)
    product = torch.empty_like(left)
    best = float("inf")
    for _ in range(ROUNDS):
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(left, left, out=product)
        torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return PRODUCTS * 2.0 * GPU_SIZE**3 / best
