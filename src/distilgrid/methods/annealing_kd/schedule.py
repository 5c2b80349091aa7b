"""The annealed temperature that Annealing-KD and Continuation-KD share. Light: no torch here."""

from distilgrid.core.errors import UserError
from distilgrid.methods.settings import AnnealingKD, ContinuationKD, Method
from distilgrid.training.settings import Training


def temperature(moment: float, *, epochs: float, tau_max: int) -> int:
    """T at a moment, in epochs since it began to fall: from tau_max down to 1, equally long each.

    Where the epochs are no multiple of tau_max, some temperatures get one epoch more than others; T never passes 1.
    """
    passed = min(int(moment), int(epochs)) * tau_max // int(epochs)
    return max(1, tau_max - passed)


def sharpness(temperature: int, *, tau_max: int) -> float:
    """Phi(T) = 1 - (T - 1) / tau_max: the share of the teacher's logits that the student is shown."""
    return 1 - (temperature - 1) / tau_max


def sharp_from(epochs: int, tau_max: int) -> int:
    """With which epoch, counted from 0, T is 1."""
    return -(-(tau_max - 1) * epochs // tau_max)


def check_annealing(epochs: int, tau_max: int, *, where: str) -> None:
    """Refuse more temperatures than epochs.

    Raises:
        UserError: naming the setting.
    """
    if tau_max > epochs:
        raise UserError(f"{where}: tau_max {tau_max} is larger than its {epochs} epoch(s); lower it or raise epochs")


def annealed_stages(settings: AnnealingKD, training: Training) -> tuple[Training, Training]:
    """The training settings of both stages.

    Raises:
        UserError: when stage I has fewer epochs than temperatures.
    """
    first, second = (training.under(stage) for stage in (settings.stage1, settings.stage2))
    check_annealing(first.epochs, settings.tau_max, where="annealing_kd, stage1")
    return first, second


def falling_epochs(settings: ContinuationKD, training: Training) -> int:
    """In how many epochs of Continuation-KD T falls.

    Raises:
        UserError: when these are fewer than the temperatures, or leave none for the labels of `psi: step`.
    """
    falling = max(1, round(settings.annealing * training.epochs))
    check_annealing(falling, settings.tau_max, where="continuation_kd")
    if settings.psi == "step" and falling >= training.epochs:
        share = f"annealing {settings.annealing:g} of {training.epochs} epoch(s)"
        raise UserError(
            f"continuation_kd: psi: step leaves no epoch for the hard labels ({share}); lower annealing or raise epochs"
        )
    return falling


def check_schedule(method: Method, training: Training) -> None:
    """Refuse epochs that do not fit a method.

    Raises:
        UserError: naming the setting.
    """
    if isinstance(method, AnnealingKD):
        annealed_stages(method, training)
    if isinstance(method, ContinuationKD):
        falling_epochs(method, training)


def taught_training(method: Method, training: Training) -> Training:
    """The training settings of the epochs that learn from a teacher: they decide which inputs it is asked about."""
    return annealed_stages(method, training)[0] if isinstance(method, AnnealingKD) else training
