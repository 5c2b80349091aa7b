"""The table of contenders: which framework trains, and with what options."""

from dataclasses import dataclass, field
from typing import Any

OWN, TRAINER, TORCHDISTILL = "sidebyside.own", "peers.trainer", "peers.torchdistill_box"
BASELINE, BEST = "trainer-default", "trainer-best"  # the two that others are compared with


@dataclass(frozen=True)
class Contender:
    """One way of training: its title in tables, the module that trains, and what that module is told."""

    title: str
    framework: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def peer(self) -> bool:
        """Whether it runs in the peers' Python."""
        return self.framework != OWN


CONTENDERS = {
    BASELINE: Contender("Trainer, run_glue's default: padded to 128, fp32", TRAINER, {"padded": True}),
    "trainer-dynamic": Contender("Trainer, dynamic padding, fp32", TRAINER),
    "trainer-bf16": Contender("Trainer, dynamic padding, bf16", TRAINER, {"bf16": True}),
    BEST: Contender(
        "Trainer at its best: grouped by length, bf16", TRAINER, {"bf16": True, "sampling": "group_by_length"}
    ),
    "torchdistill": Contender("torchdistill, its GLUE samples: dynamic padding, fp32", TORCHDISTILL),
    "torchdistill-bf16": Contender("torchdistill, dynamic padding, bf16", TORCHDISTILL, {"bf16": True}),
    "distilgrid-plain": Contender("DistilGrid, engine plain, bf16", OWN, {"engine": "plain", "precision": "bf16"}),
    "distilgrid": Contender("DistilGrid, its default, bf16", OWN, {"precision": "bf16"}),
    "distilgrid-fp32": Contender("DistilGrid, fp32", OWN, {"precision": "fp32"}),
    "distilgrid-random": Contender(
        "DistilGrid, batching random, bf16", OWN, {"precision": "bf16", "batching": "random"}
    ),
    "distilgrid-nondeterministic": Contender(
        "DistilGrid, bf16, a GPU's faster algorithms", OWN, {"precision": "bf16", "deterministic": False}
    ),
}
THROUGHPUT = [
    BASELINE,
    "trainer-dynamic",
    "trainer-bf16",
    BEST,
    "torchdistill",
    "torchdistill-bf16",
    "distilgrid-plain",
    "distilgrid",
]
SCORES = ["trainer-bf16", "distilgrid", "distilgrid-fp32", "distilgrid-random"]
