"""Texts without labels as training rows that a teacher labels. Light: loads numpy when rows are read.

Turc, Chang, Lee, Toutanova: Well-Read Students Learn Better, 2019 (arXiv 1908.08962): a student is distilled on
unlabelled texts that are like its task's, a *transfer set*. The stage adds the teacher's labels.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from distilgrid.augmentation.base import Added, Augmented, RowContext
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.messages import validated
from distilgrid.tasks.dataset import TEXT_COLUMNS, example_ids
from distilgrid.tasks.likeness import NEAR, Likeness, likeness, row_texts
from distilgrid.tasks.sources import Folders, load_raw, source_revision
from distilgrid.tasks.spec import FILE_SCHEMES, READING, TaskSpec, builtin_tasks

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.dataset import Dataset

log = logging.getLogger("distilgrid")

FILES = tuple(f"{scheme}:" for scheme in FILE_SCHEMES)


@dataclass(frozen=True)
class Pool:
    """Texts that a task takes from other data sets."""

    key: str  # setting that names them, for messages
    task: TaskSpec  # task that receives the texts; its text columns say what fits
    names: Sequence[str]  # tasks whose training rows lend their texts, and files, as `csv:<file>`
    own: Mapping[str, TaskSpec]  # tasks of the user, by name
    folders: Folders  # local folders of published data

    def revisions(self) -> list[dict[str, Any]]:
        """Plain values that decide the texts of each name, without the path of a user's file. Reads no rows.

        Raises UserError for an unknown task, one that does not fit, and a missing file.
        """
        found = []
        for spec in map(self.spec, self.names):
            decisive = {"version", "text", "split_column"} | (set(READING) if spec.own_file else {"source"})
            found.append({"revision": source_revision(spec, self.folders), **spec.model_dump(include=decisive)})
        return found

    def read(self) -> "tuple[pd.DataFrame, int]":
        """Columns `text_a`, `text_b` (pairs only) and `example_id`, and the number of repeated rows left out.

        Of rows that differ in nothing but case, space, punctuation and the order of a pair, the first one stays.

        Raises UserError as `revisions`, and for a missing column, no rows or an empty text.
        """
        import numpy as np
        import pandas as pd

        from distilgrid.tasks.kinds.label.rows import check_texts

        given = [(load_raw(spec, self.folders).splits["train"], spec) for spec in map(self.spec, self.names)]
        checked = [check_texts(*each, name) for each, name in zip(given, self.names, strict=True)]
        rows = pd.concat(map(pd.DataFrame, checked), ignore_index=True)
        ids = example_ids([rows[name].tolist() for name in rows.columns])
        rows["example_id"] = np.array(ids, dtype=np.int64)
        repeated = pd.Series(row_texts(rows)).duplicated().to_numpy()
        return rows[~repeated].reset_index(drop=True), int(repeated.sum())

    def spec(self, name: str) -> TaskSpec:
        """Task that a name stands for. Raises UserError for an unknown task, and one that does not fit."""
        if name.startswith(FILES) or "://" in name:
            return validated(
                TaskSpec, {"source": name, "text": self.task.text, "label": self.task.label}, origin=self.key
            )
        known = {**builtin_tasks(), **self.own}
        if name not in known:
            files = " or ".join(f"{scheme}<file>" for scheme in FILES)
            raise UserError(f"{self.key}: unknown task '{name}'; {did_you_mean(name, known)}, or give {files}")
        found = known[name]
        if len(found.text) != len(self.task.text):
            wanted = "pairs of texts" if len(self.task.text) == 2 else "single texts"
            raise UserError(f"{self.key}: the rows of task '{name}' are no {wanted}; take another one")
        return found


class Unlabelled(Added):
    """Texts without labels: the teacher labels them (the transfer sets of Turc et al. 2019)."""

    row_source: ClassVar[str] = "distilgrid.augmentation.unlabelled.declare:unlabelled_rows"
    undecisive: ClassVar[frozenset[str]] = frozenset({"texts"})
    version: ClassVar[int] = 2

    kind: Literal["unlabelled"] = "unlabelled"
    """Other texts, labelled by the teacher."""
    texts: list[str] = Field(min_length=1)
    """Tasks whose training rows lend their texts, and files: `csv:<file>`, `jsonl:<file>` or `parquet:<file>` with the
    task's own text columns. Labels are not read."""
    max_rows: int | None = Field(default=None, ge=1)
    """At most this number of rows, a seeded choice; null takes all."""
    near: float = Field(default=NEAR, gt=0, le=1)
    """Rows are left out whose words and pairs of adjacent words have at least this Jaccard index with those of a row of
    the data set, in any split; 1 leaves out those with the same words and pairs."""
    labels: Literal["teacher"] = "teacher"
    """The teacher's probabilities, or its number for a regression."""

    @property
    def makes_by_model(self) -> bool:
        """No: rows are read."""
        return False

    @property
    def nothing_new(self) -> str:
        """Message for texts that are all known."""
        return f"holds all rows of {', '.join(self.texts)} already; name other texts"

    def lent_texts(self, *, key: str, task: TaskSpec, own: Mapping[str, TaskSpec], folders: Folders) -> Pool:
        """Pool of the named tasks and files."""
        return Pool(key, task, self.texts, own, folders)


def unlabelled_rows(settings: "Unlabelled", context: RowContext) -> Augmented:
    """`RowSource` of unlabelled texts, which have no `parents` and a placeholder as their `label`.

    Rows that are like rows of the data set, in any split, are left out: training rows because they are not new, rows of
    `dev` and of the validation splits because they are scored. Case, space, punctuation and the order of a pair do not
    count.
    """
    import numpy as np
    import pandas as pd

    from distilgrid.tasks.dataset import stratified_sample

    assert context.lent is not None, "unlabelled texts are lent"
    dataset, (pool, repeated) = context.dataset, context.lent.read()
    alike = _known(dataset, pool, threshold=settings.near)
    new = pool[~(alike.equal | alike.near)].reset_index(drop=True)
    if settings.max_rows is not None and settings.max_rows < len(new):
        ids = new["example_id"].to_numpy()
        taken = stratified_sample(ids, None, count=settings.max_rows, seed=settings.seed, purpose="unlabelled")
        new = new[taken].reset_index(drop=True)
    counts = alike.counts
    said = "%d unlabelled rows; left out, of any split: %d equal to a row of the data set, %d near one; %d repeated"
    log.info(said, len(new), counts["equal"], counts["near"], repeated)
    parentless: pd.Series[Any] = pd.Series([[] for _ in range(len(new))], dtype=object)
    frame = new.assign(label=dataset.task_kind.rows().placeholder, parents=parentless, copy=np.int64(0))
    columns = [name for name in TEXT_COLUMNS if name in new.columns]
    kept = frame[[*columns, "label", "example_id", "parents", "copy"]]
    return Augmented(kept, counts["equal"], repeated=repeated, near=counts["near"])


def _known(dataset: "Dataset", pool: "pd.DataFrame", *, threshold: float) -> Likeness:
    """How rows of a pool are like rows of a data set, in any split."""
    known = [row for name in dataset.splits for row in row_texts(dataset.split(name))]
    return likeness(row_texts(pool), known, threshold=threshold)
