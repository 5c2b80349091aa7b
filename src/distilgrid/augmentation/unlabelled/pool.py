"""Texts without labels, of other tasks' training rows and of files. Light: loads numpy when rows are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.tasks.dataset import example_ids
from distilgrid.tasks.sources import Folders, load_raw, source_revision
from distilgrid.tasks.spec import FILE_SCHEMES, TaskSpec, builtin_tasks

if TYPE_CHECKING:
    import pandas as pd

FILES = tuple(f"{scheme}:" for scheme in FILE_SCHEMES)


@dataclass(frozen=True)
class Pool:
    """Texts that a task takes from other data sets."""

    key: str  # setting that names them, for messages
    task: TaskSpec  # task that receives the texts; its text columns say what fits
    names: Sequence[str]  # tasks whose training rows lend their texts, and files: `csv:<file>` or `parquet:<file>`
    own: Mapping[str, TaskSpec]  # tasks of the user, by name
    folders: Folders  # local folders of published data

    def revisions(self) -> list[dict[str, Any]]:
        """Plain values that decide the texts of each name, without the path of a user's file. Reads no rows.

        Raises UserError for an unknown task, one that does not fit, and a missing file.
        """
        return [self._revision(self.spec(name)) for name in self.names]

    def read(self) -> "pd.DataFrame":
        """Columns `text_a`, `text_b` (pairs only) and `example_id`; equal rows come once.

        Raises UserError as `revisions`, and for a missing column, no rows or an empty text.
        """
        import numpy as np
        import pandas as pd

        rows = pd.concat([self._rows(name) for name in self.names], ignore_index=True)
        ids = example_ids([rows[name].tolist() for name in rows.columns])
        rows["example_id"] = np.array(ids, dtype=np.int64)
        return rows.drop_duplicates("example_id", ignore_index=True)

    def _revision(self, spec: TaskSpec) -> dict[str, Any]:
        decisive = {"version", "text", "split_column"} | (set() if spec.own_file else {"source"})
        return {"revision": source_revision(spec, self.folders), **spec.model_dump(include=decisive)}

    def _rows(self, name: str) -> "pd.DataFrame":
        import pandas as pd

        from distilgrid.tasks.kinds.label.rows import check_texts

        spec = self.spec(name)
        splits = load_raw(spec, self.folders).splits
        return pd.DataFrame(check_texts(splits["train"], spec, name))

    def spec(self, name: str) -> TaskSpec:
        """Task that a name stands for. Raises UserError for an unknown task, and one that does not fit."""
        if name.startswith(FILES):
            return TaskSpec(source=name, text=self.task.text)
        known = {**builtin_tasks(), **self.own}
        if name not in known:
            files = " or ".join(f"{scheme}<file>" for scheme in FILES)
            raise UserError(f"{self.key}: unknown task '{name}'; {did_you_mean(name, known)}, or give {files}")
        found = known[name]
        if len(found.text) != len(self.task.text):
            wanted = "pairs of texts" if len(self.task.text) == 2 else "single texts"
            raise UserError(f"{self.key}: the rows of task '{name}' are no {wanted}; take another one")
        return found
