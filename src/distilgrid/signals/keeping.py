"""Recordings that are written while a teacher answers, and that a later job continues.

One file is filled in place: files side by side would need a table in the artefact and in each reader, or twice the
space to join them. What a job writes between two syncs is a shard. Its state says how many batches are written, with a
hash of their rows: a later job reads these back, and asks the teacher for the rest.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.core.progress import progress
from distilgrid.signals.tensor_file import FileTensor, Shapes, bytes_of, filled
from distilgrid.tasks.batching import Batch
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.checkpoint import Checkpoints, Saved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Answer = Callable[[Batch], Mapping[str, Tensor]]
"""From a batch to its rows of each column."""
LABEL = "asking the teacher"
log = logging.getLogger("distilgrid")


@dataclass(frozen=True)
class Slots:
    """A tensor whose rows are a teacher's answers."""

    dtype: torch.dtype
    lead: tuple[int, ...]  # shape of its first dimensions, whose product is the number of rows
    row: tuple[int, ...]  # shape of a row
    places: Callable[[Batch], Tensor] = torch.tensor  # row numbers of a batch's answers

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.lead + self.row


def logits_slots(kind: TaskKind, model: "PreTrainedModel", *lead: int) -> Slots:
    """Logits (*lead, ...) of a model, as the task kind lays them out."""
    like = torch.from_numpy(kind.predict().allocate(1, model.config))
    return Slots(like.dtype, lead, tuple(like.shape[1:]))


@dataclass(frozen=True)
class Shard:
    """A part of a file that is on the disk."""

    batches: int  # batches that are written at its end, counted from the first one
    digest: str  # of the rows of its batches


@dataclass(frozen=True)
class Answers:
    """The columns of a file, addressed by batch."""

    columns: Mapping[str, Slots]
    tensors: Mapping[str, FileTensor]  # (rows, *row), one for each column

    def write(self, batch: Batch, rows: Mapping[str, Tensor]) -> None:
        """Write a batch's rows."""
        for name, column in self.columns.items():
            self.tensors[name][column.places(batch)] = rows[name]

    def read(self, batch: Batch) -> dict[str, Tensor]:
        """A batch's rows, as they were written."""
        return {name: self.tensors[name][column.places(batch)] for name, column in self.columns.items()}


class Keeping:
    """A safetensors file of answers.

    Args:
        path: place of the file until it is published.
        checkpoints: when to sync, and the state of an unfinished file.
    """

    def __init__(self, path: Path, checkpoints: Checkpoints) -> None:
        self.path, self.checkpoints = path, checkpoints
        self.shapes: Shapes = {}

    def fill(self, content: Mapping[str, Tensor | Slots], batches: Sequence[Batch], answer: Answer) -> None:
        """Write tensors, and the answers on all batches but those that an earlier job wrote.

        Raises Interrupted when the process was asked to stop; what is written is kept.
        """
        self.shapes = {name: (each.dtype, tuple(each.shape)) for name, each in content.items()}
        columns = {name: each for name, each in content.items() if isinstance(each, Slots)}
        saved = self.checkpoints.load()
        tensors = self._open(new=saved is None)
        rows = {name: tensors[name].flattened(len(column.lead)) for name, column in columns.items()}
        answers = Answers(columns, rows)
        shards = [] if saved is None else _trusted(saved, answers, batches)
        try:
            for name, each in content.items():
                if isinstance(each, Tensor):
                    tensors[name][torch.arange(len(each))] = each
            self._ask(answers, batches, answer, shards)
        except BaseException:
            if not shards:  # a later job could use nothing
                self.path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self.path.parent.rmdir()
            raise

    def publish(self, path: Path) -> None:
        """Let the file appear at another path, too. A job that ends before its artefact is whole leaves it here."""
        try:
            os.link(self.path, path)
        except OSError:  # a file system without links
            self.path.replace(path)

    def _open(self, *, new: bool) -> dict[str, FileTensor]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return filled(self.path, self.shapes, new=new)
        except (FileNotFoundError, ValueError) as error:
            log.warning("%s: %s; the teacher is asked for all rows", self.path, error)
            return filled(self.path, self.shapes, new=True)

    def _ask(self, answers: Answers, batches: Sequence[Batch], answer: Answer, shards: list[Shard]) -> None:
        """Write the answers on the batches after the shards, and add to these."""
        done, digest = shards[-1].batches if shards else 0, hashlib.sha256()
        for batch in progress(batches[done:], total=len(batches) - done, label=LABEL):
            rows = answer(batch)
            answers.write(batch, rows)
            _add(digest, answers, rows)
            done += 1
            last = done == len(batches)  # is saved where something was before: publishing a large file takes long
            if self.checkpoints.due(done, last=last) or (last and shards):
                next(iter(answers.tensors.values())).extents[0].file.sync()
                shards.append(Shard(done, digest.hexdigest()))
                self.checkpoints.save(Saved(done, {}, {"shards": [[shard.batches, shard.digest] for shard in shards]}))
                digest = hashlib.sha256()


def _trusted(saved: Saved, answers: Answers, batches: Sequence[Batch]) -> list[Shard]:
    """The shards of a state up to the first one whose rows are no longer those that were written."""
    trusted: list[Shard] = []
    shards = [Shard(*values) for values in saved.values["shards"]]
    for shard in progress(shards, total=len(shards), label="checking what is written"):
        begin, digest = trusted[-1].batches if trusted else 0, hashlib.sha256()
        for batch in batches[begin : shard.batches]:
            _add(digest, answers, answers.read(batch))
        if digest.hexdigest() != shard.digest:
            log.warning("batches %d to %d differ from what was written: asking again", begin + 1, shard.batches)
            break
        trusted.append(shard)
    return trusted


def _add(digest: "hashlib._Hash", answers: Answers, rows: Mapping[str, Tensor]) -> None:
    for name, column in answers.columns.items():
        digest.update(bytes_of(rows[name].to(column.dtype)))
