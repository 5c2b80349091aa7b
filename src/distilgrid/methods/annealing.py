"""Annealed temperatures of Annealing-KD and Continuation-KD. Light: no torch here."""

from distilgrid.core.errors import UserError


def temperature(moment: float, *, epochs: float, tau_max: int) -> int:
    """T at a moment, in epochs: from tau_max down to 1, each for the same number of epochs, or one more."""
    passed = min(int(moment), int(epochs)) * tau_max // int(epochs)
    return max(1, tau_max - passed)


def sharpness(temperature: int, *, tau_max: int) -> float:
    """Phi(T) = 1 - (T - 1) / tau_max: the share of the teacher's logits that the student imitates."""
    return 1 - (temperature - 1) / tau_max


def sharp_from(epochs: int, tau_max: int) -> int:
    """First epoch with T = 1, counted from 0."""
    return -(-(tau_max - 1) * epochs // tau_max)


def check_annealing(epochs: int, tau_max: int, *, where: str) -> None:
    """Refuse more temperatures than epochs. Raises UserError naming the setting."""
    if tau_max > epochs:
        raise UserError(f"{where}: tau_max {tau_max} is larger than its {epochs} epoch(s); lower it or raise epochs")
