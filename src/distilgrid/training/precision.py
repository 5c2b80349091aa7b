"""Precision of training: fp32, or bf16 under autocast with fp32 weights, loss and softmax."""

import contextlib
from typing import Literal

import torch

from distilgrid.machine import accelerates_bf16

Precision = Literal["fp32", "bf16"]


def choose_precision(setting: str) -> Precision:
    """The precision behind a setting; `auto` takes bf16 where the CPU multiplies it in hardware."""
    if setting == "auto":
        return "bf16" if accelerates_bf16() else "fp32"
    return "bf16" if setting == "bf16" else "fp32"


def autocast(precision: Precision) -> contextlib.AbstractContextManager[object]:
    """The context in which a training step's forward pass runs."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
