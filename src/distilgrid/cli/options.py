"""Options that several commands of the CLI share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsFiles = Annotated[
    list[Path], typer.Option("--params", help="Parameter file; give it again for files on top.", show_default=True)
]
GridFiles = Annotated[
    list[Path] | None, typer.Option("--grid", help="Overlay that states only what differs: grids/glue_mini.yaml.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of all artefacts.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; a key in its name must be the right one.")]
DataDir = Annotated[Path, typer.Option("--data", help="Prepared data: a folder made by `prepare`.")]
Task = Annotated[str, typer.Option("--task", help="Name of the task.")]
TeacherName = Annotated[str, typer.Option("--teacher", help="Name under `teachers` in the parameters.")]
_TEACHER_DIR = typer.Option(
    "--teacher-dir", help="Trained teacher: a folder `finetune` made; an assistant's, `distill`."
)
TeacherGiven = Annotated[Path, _TEACHER_DIR]
TeacherDirs = Annotated[list[Path] | None, _TEACHER_DIR]
TeacherDir = Annotated[Path | None, _TEACHER_DIR]
Augmented = Annotated[
    Path | None, typer.Option("--augmented", help="Augmented rows of the data: a folder made by `augment`.")
]
Fraction = Annotated[float, typer.Option("--fraction", help="Share of the training rows.", min=1e-9, max=1.0)]
AugmentationName = Annotated[
    str, typer.Option("--augmentation", help="Name under `augmentations` in the parameters, or none.")
]
MethodName = Annotated[str, typer.Option("--method", help="Name under `methods` in the parameters, or a preset.")]
Tried = Annotated[
    list[Path] | None,
    typer.Option("--tried", help="For a method that tunes its values: each cell that tried some."),
]
Kind = Annotated[
    str,
    typer.Option(
        help="What to keep: logits, cls-states or hidden-states, which hold logits too; or what a method wants, "
        "such as mixed-logits and view-logits."
    ),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of this process; default: resources.threads.")]

Trace = Annotated[
    Path | None, typer.Option("--profile", help="Also trace some steps into this file, for ui.perfetto.dev.")
]

PARAMS_DEFAULT = [Path("params.yaml")]
RESULTS_DEFAULT = Path("results")
