"""Inputs of a cell that its method and student do not read. Light: no torch; imported on use."""

from collections import defaultdict
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.stages.common import refuse_unread

if TYPE_CHECKING:
    from distilgrid.core.stage import Keys
    from distilgrid.stages.distill.declare import DistillSettings


def check_inputs(chosen: "DistillSettings", keys: "Keys") -> None:
    """Refuse inputs that change nothing but the recipe, and augmented rows that are named and not given, or reversed.

    Raises UserError naming the option and what to do.
    """
    method, student, augmentation = chosen.course.method, chosen.course.student, chosen.augmentation
    signals = {signal.option for signal in method.signals()}
    named = f"method '{method.objective}'"
    unread = {
        "augmented": (augmentation == "none", "--augmentation is none: name the augmentation, or"),
        "teacher-outputs": ("teacher-outputs" not in signals, f"{named} reads no such recording;"),
        "mixed-outputs": ("mixed-outputs" not in signals, f"{named} reads no such recording;"),
        "teacher-dir": (
            not (signals or method.runs_teacher or student.init == "finetuned"),
            f"{named} learns from no teacher, and the student begins from none;",
        ),
        "tried": (not method.before(defaultdict(str), tempered=True).tried, f"{named} tunes no values here;"),
        "search": (student.found is None, "no search found the student's shape;"),
        "supernet": (student.init != "supernet", f"the student begins by init: {student.init};"),
    }
    refuse_unread(unread, keys)
    if augmentation != "none" and "augmented" not in keys:
        raise UserError(f"--augmentation is '{augmentation}'; give its rows by --augmented, a folder made by `augment`")
