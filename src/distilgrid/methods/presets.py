"""Methods that a grid can name without defining them: the baselines, and those of papers under their papers' names."""

from collections.abc import Collection

from distilgrid.core.errors import did_you_mean
from distilgrid.methods.settings import KD, PKD, AnnealingKD, ContinuationKD, Finetune, Method, MixKD

PRESETS: dict[str, Method] = {
    "finetune": Finetune(),
    "kd": KD(),
    "pkd": PKD(),
    "tmkd": MixKD(alpha_sm=0.0),  # MixKD with the teacher on mixed samples only; `tmkd` with an augmentation is TMKD+BT
    "sm-tmkd": MixKD(),  # and the student's own mixup beside it
    "annealing-kd": AnnealingKD(),
    "continuation-kd": ContinuationKD(),
}

UNSET = {
    "takd": ("its assistants must be named", "{objective: takd, assistants: [...]}"),
    "hidden_kd": ("its phases are to be chosen", "{objective: hidden_kd}"),
}
"""Objectives that no preset has: why, and what is written instead."""


def unknown_method(name: str, defined: Collection[str]) -> str:
    """What a message says about a method that nothing defines."""
    if name in UNSET:
        why, written = UNSET[name]
        return f"unknown method '{name}'; it has no preset, as {why}: methods: {{{name}: {written}}}"
    return f"unknown method '{name}'; {did_you_mean(name, defined)}"
