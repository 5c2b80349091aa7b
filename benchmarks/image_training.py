"""Training ResNet-8 on small images: a per-image DataLoader pipeline, as torchvision's users have it, and DistilGrid.

Run: python benchmarks/image_training.py --peer-python PEER     (two threads, some minutes)
     python benchmarks/image_training.py --threads 1

Each contender is a separate process. They take turns, one epoch of some batches each, so that other load on the machine
slows all of them. The images are random bytes: time does not depend on their content. Both sides draw a new
view of each image in each epoch (shifted by up to 4 pixels, mirrored) and train with SGD at batch 128, as for CIFAR.
The peer uses torchvision's transforms where PEER, a Python with benchmarks/peers/requirements.txt, has it; without, the
same ones written out in PIL and torch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LABELS, MEAN, STD = 10, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
CONTENDERS = {
    "peer-0": "DataLoader without workers, fp32",
    "peer-2": "DataLoader with 2 workers, fp32",
    "distilgrid": "DistilGrid",
}


class Child:
    """A contender's process."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        asked = ["--child", name, "--threads", str(options.threads), "--steps", str(options.steps)]
        asked += ["--batch-size", str(options.batch_size)]
        threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        paths = [str(ROOT / "src"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        pipe = subprocess.PIPE
        python = options.peer_python if name.startswith("peer") else sys.executable
        self.process = subprocess.Popen([python, __file__, *asked], stdin=pipe, stdout=pipe, env=environment)
        self.said: dict[str, Any] = self._read()
        self.rates: list[float] = []

    def turn(self) -> None:
        """One epoch."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.rates.append(self._read()["rate"])

    def end(self) -> None:
        """Let the process end."""
        self.process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a contender failed; see above")
        found: dict[str, Any] = json.loads(line)
        return found


def main() -> None:
    """Take turns, and print one line per contender and the ratios."""
    options = _options()
    if options.child:
        take_turns(options)
        return
    load = os.getloadavg()[0]
    children = {name: Child(name, options) for name in options.contenders}
    for number in range(options.rounds):
        names = list(children)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            children[name].turn()
    for child in children.values():
        child.end()
    print(
        f"{options.threads} thread(s), batch {options.batch_size}, {options.steps} steps a turn, {options.rounds} turns"
    )
    print(f"load of the machine at the start {load:.1f}; transforms of the peer: {_transforms(children)}")
    for name, child in children.items():
        spread = f"{min(child.rates):,.0f} to {max(child.rates):,.0f}"
        print(f"{CONTENDERS[name]}: {statistics.median(child.rates):,.0f} images/s ({spread})")
    if "distilgrid" in children:
        _print_ratios(children)


def take_turns(options: argparse.Namespace) -> None:
    """In a contender's process: warm up, then one epoch for each line that comes in."""
    chooser = np.random.default_rng(0)
    count = options.steps * options.batch_size
    pixels = chooser.integers(0, 256, size=(count, 32, 32, 3), dtype=np.uint8)
    labels = chooser.integers(0, LABELS, size=count)
    epochs = _peer(pixels, labels, options) if options.child.startswith("peer") else _own(pixels, labels, options)
    next(epochs)
    print(json.dumps({"torchvision": "torchvision" in sys.modules}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        next(epochs)
        print(json.dumps({"rate": count / (time.perf_counter() - started)}), flush=True)


def _peer(pixels: np.ndarray, labels: np.ndarray, options: argparse.Namespace) -> Iterator[None]:
    from peers.image_pipeline import epochs

    workers = int(options.child.removeprefix("peer-"))
    return epochs(pixels, labels, workers=workers, batch=options.batch_size, mean=MEAN, std=STD)


def _own(pixels: np.ndarray, labels: np.ndarray, options: argparse.Namespace) -> Iterator[None]:
    from distilgrid.jobs.process import start_torch_job

    start_torch_job(threads=options.threads, log_level="warning")
    import torch

    from distilgrid.methods.finetune.declare import Finetune
    from distilgrid.methods.finetune.losses import FinetuneObjective
    from distilgrid.models.new import create_model
    from distilgrid.signals.views.outputs import ViewStream
    from distilgrid.tasks.batching import Rows
    from distilgrid.tasks.kinds.image.rows import ImageShape
    from distilgrid.tasks.kinds.image.views import Images, ViewedImages
    from distilgrid.tasks.kinds.label.declare import KIND as LABEL
    from distilgrid.tasks.settings import Views
    from distilgrid.training.engine import Engine
    from distilgrid.training.placement import Placement, choose_precision
    from distilgrid.training.settings import Training

    count, device = len(pixels), torch.device("cpu")
    model = create_model("new:resnet-8", outputs=LABELS, image=ImageShape(32, 32, 3, MEAN, STD), seed=0).train()
    images = Images(pixels)
    views = ViewedImages(images, Views(shift=4, flip=True), np.arange(count))
    rows = Rows(images, torch.from_numpy(labels))
    stream = ViewStream(rows, FinetuneObjective(Finetune(), kind=LABEL), None, views=views)
    settings = Training(
        batch_size=options.batch_size, optimiser="sgd", learning_rate=0.1, weight_decay=1e-4, max_grad_norm=None
    )
    placement = Placement(device, choose_precision("auto", device))
    engine = Engine(model, [stream], settings=settings, placement=placement, seed=0, steps=10**6)
    chooser, step, epoch = np.random.default_rng(0), 0, 0
    while True:
        order = chooser.permutation(count) + epoch * count
        for start in range(0, count, options.batch_size):
            step += 1
            engine.step(step, [order[start : start + options.batch_size].tolist()])
        epoch += 1
        yield


def _transforms(children: dict[str, Child]) -> str:
    return "torchvision's" if any(child.said["torchvision"] for child in children.values()) else "the same, written out"


def _print_ratios(children: dict[str, Child]) -> None:
    own = statistics.median(children["distilgrid"].rates)
    for name, child in children.items():
        if name != "distilgrid":
            ratio = own / statistics.median(child.rates)
            print(f"DistilGrid to {CONTENDERS[name]}: {ratio:.2f} times the images a second")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--peer-python", default=sys.executable, help="Python of the peer")
    parser.add_argument("--threads", type=int, default=2, help="of every process")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--steps", type=int, default=20, help="of a turn")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=["peer-0", "peer-2", "distilgrid"])
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
