"""The time that a grid still takes: units of work left, times the seconds that one takes. Light: no torch.

Stages say what a unit is. It is a thousand training rows seen once for most, so that rows and epochs count. Seconds are
those of finished artefacts, else the rough figure of the stage.
"""

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from distilgrid.audit.made import Made, read_made
from distilgrid.core.artefacts import RUN
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.core.machine import usable_cores
from distilgrid.core.planned import Artefact
from distilgrid.plan.params import Params
from distilgrid.stages.table import STAGES
from distilgrid.tasks.spec import TaskSpec, find_task

START_UP = 4.0  # seconds of a process before its work begins
ENOUGH = 50  # finished artefacts of a stage for a median
USUAL_ROWS = 2000  # of a task whose rows nobody counted: the cap of the default grid
PUBLISHED = {"glue:cola": 8551, "glue:sst2": 67349, "glue:mrpc": 3668, "glue:stsb": 5749, "glue:qqp": 363846}
PUBLISHED |= {"glue:mnli": 392702, "glue:qnli": 104743, "glue:rte": 2490}
PUBLISHED |= {"cifar:cifar10": 50000, "cifar:cifar100": 50000}
"""Training rows of published tasks (Wang et al. 2018, Krizhevsky 2009)."""


def time_left(
    left: Sequence[Artefact], done: Sequence[Artefact], params: Params, *, results: Path, cores: int | None
) -> str:
    """One line: the remaining artefacts, their minutes, and the source of the estimate.

    For stages without a finished artefact, those of other grids in the results folder count.
    """
    if not left:
        return "nothing to be done"
    count = cores or usable_cores()
    side_by_side = max(1, count // params.resources.threads)
    rows = RowCounts([*left, *done], params, results)
    known = _measured(left, done, rows)
    shares = _shares(left)
    seconds = 0.0
    for artefact in left:
        stage = STAGES[artefact.stage]
        units = 0.0 if stage.done_by in artefact.inputs else stage.units(artefact.recipe, rows.seen(artefact.recipe))
        one = known.get(stage.name, stage.seconds * shares.get(artefact.folder, 1.0))
        alone = stage.alone(artefact.recipe) or stage.finds_inputs  # the report comes last
        seconds += (START_UP + one * units) / (1 if alone else side_by_side)
    source = "from finished artefacts" if known else "a rough figure: nothing has been measured here yet"
    return f"left: {len(left)} artefacts, about {seconds / 60:.0f} min on {count} cores ({source})"


class RowCounts:
    """Numbers of training rows by the keys of prepared data."""

    def __init__(self, planned: Iterable[Artefact], params: Params, results: Path) -> None:
        self.results = results
        self._params = params
        self._planned = {each.key: each for each in planned if each.stage == "prepare"}
        self._found: dict[str, int] = {}

    def seen(self, recipe: Mapping[str, Any]) -> float:
        """The training rows that a recipe sees in an epoch: its share of those of its data."""
        key = recipe.get("search", recipe).get("inputs", {}).get("data")  # a candidate's recipe holds its search's
        return self._of(key) * float(recipe.get("fraction", 1.0)) if isinstance(key, str) else USUAL_ROWS

    def _of(self, key: str) -> int:
        if key not in self._found:
            self._found[key] = self._prepared(key) or self._expected(key) or USUAL_ROWS
        return self._found[key]

    def _prepared(self, key: str) -> int | None:
        for folder in (self.results / STAGES["prepare"].folder).glob(f"*/*-{key}"):
            with contextlib.suppress(UserError, LookupError, TypeError, ValueError):
                dataset = open_finished(folder, stage="prepare", only=()).json("dataset.json")
                return int(dataset["splits"]["train"]["rows"])
        return None

    def _expected(self, key: str) -> int | None:
        if key not in self._planned:
            return None
        planned = self._planned[key]
        settings = planned.recipe["data"]
        whole = source_rows(find_task(planned.labels["task"], self._params.tasks))
        kept = None if whole is None else round(whole * (1 - settings["dev_fraction"]))
        return min((count for count in (kept, settings["max_train_rows"]) if count), default=None)


def source_rows(spec: TaskSpec) -> int | None:
    """About as many rows as a source has; None where only reading it would tell."""
    path = Path(spec.locator)
    if not spec.own_file or not path.is_file():
        return PUBLISHED.get(spec.source)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with contextlib.suppress(OSError, ValueError):
            return int(pq.read_metadata(path).num_rows)
    if path.suffix not in (".csv", ".tsv", ".txt", ".jsonl", ".json"):
        return None  # compressed
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _measured(left: Sequence[Artefact], done: Sequence[Artefact], rows: RowCounts) -> dict[str, float]:
    """Median seconds per unit of each stage with work left and a finished artefact."""
    own: dict[str, list[Path]] = {}
    for artefact in done:
        own.setdefault(artefact.stage, []).append(rows.results / artefact.folder)
    known = {}
    for stage, example in {artefact.stage: artefact for artefact in left}.items():
        others = (path.parent for path in (rows.results / Path(example.location).parts[0]).rglob(RUN))
        readable = _readable(islice(own.get(stage) or others, ENOUGH))
        made = [one for one in readable if one.stage == stage and "seconds" in one.run]
        units = [STAGES[stage].units(one.recipe, rows.seen(one.recipe)) for one in made]
        taken = [one.run["seconds"] / each for one, each in zip(made, units, strict=True) if each]
        if taken:
            known[stage] = statistics.median(taken)
    return known


def _readable(folders: Iterable[Path]) -> Iterator[Made]:
    """Finished artefacts, except damaged ones: those of another grid must not stop a plan."""
    for folder in folders:
        with contextlib.suppress(UserError):
            yield read_made(folder)


def _shares(left: Sequence[Artefact]) -> dict[str, float]:
    """The part of its work that an artefact does where several need the same findings, which one of them makes."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for artefact in left:
        shared = STAGES[artefact.stage].shared(artefact.recipe)
        if shared is not None:
            groups[shared[0]][artefact.folder] = shared[1]
    return {folder: min(1.0, worth / len(group)) for group in groups.values() for folder, worth in group.items()}
