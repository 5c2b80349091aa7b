"""Losses that compare rows with each other see whole batches; others may see a batch in parts."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.batching import Encodings, Rows
from distilgrid.training.engine import Engine
from distilgrid.training.objective import Objective, Outputs
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.streams import RowStream

COUNT = 64
LENGTH = 48  # three times as many tokens as a part has


@dataclass
class Spread(Objective):
    """Variance of the first logit over the rows that it sees."""

    needs_batch: bool = True
    seen: list[int] = field(default_factory=list)

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `spread`."""
        self.seen.append(len(labels))
        return {"spread": student.logits[:, 0].var(correction=0)}


@pytest.fixture
def rows() -> Rows:
    ids = np.random.default_rng(0).integers(10, 30, size=(COUNT, LENGTH))
    return Rows(Encodings.of(list(ids), None, pad_id=0), torch.zeros(COUNT, dtype=torch.int64))


def engine(folder: str, rows: Rows, losses: Spread, **settings: object) -> Engine:
    torch.manual_seed(0)
    model = load_model(folder, outputs=2, auto=CLASSIFIER)
    stream = RowStream(rows, losses, None)
    training = Training(batch_size=COUNT, **settings)  # type: ignore[arg-type]
    return Engine(model, [stream], settings=training, placement=Placement(), seed=0, steps=1)


def test_losses_over_rows_see_the_whole_batch(tiny_model: str, rows: Rows) -> None:
    whole, parts = Spread(), Spread(needs_batch=False)
    found = engine(tiny_model, rows, whole).step(1, [list(range(COUNT))])
    in_parts = engine(tiny_model, rows, parts).step(1, [list(range(COUNT))])
    assert whole.seen == [COUNT] and len(parts.seen) > 1 and sum(parts.seen) == COUNT
    assert found["spread"] > in_parts["spread"], "the variance within parts is smaller than that of all rows"


def test_lack_of_memory_ends_in_one_line(tiny_model: str, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> dict[str, float]:
        raise torch.OutOfMemoryError("full")

    made = engine(tiny_model, rows, Spread())
    monkeypatch.setattr(made, "_backward", full)
    with pytest.raises(UserError, match="need whole batches; lower"):
        made.step(1, [list(range(COUNT))])
