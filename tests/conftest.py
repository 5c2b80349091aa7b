"""Shared fixtures: a tiny random model with its tokeniser, a small CSV task, parameters that join them. No network."""

import copy
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest_plugins = ("tests.markers", "tests.one_process", "tests.worktree")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models gain nothing from threads, and lose much on a busy machine

GOOD = ["good", "great", "fine", "lovely", "superb", "bright"]
BAD = ["bad", "awful", "poor", "dull", "weak", "dreadful"]
NOUNS = ["film", "story", "plot", "actor", "scene"]
FILLER = ["the", "a", *NOUNS, "was", "is", "and", "very", "quite", "with", "of", "it"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained model's folder: BERT with 4 layers of width 32 and random weights, and a word-level tokeniser."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-model")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(VOCABULARY)})
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return folder


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """(text, label) rows whose label can be learned from their words."""
    chooser = random.Random(seed)
    rows = []
    for _ in range(count):
        label = chooser.choice(["negative", "positive"])
        telling = GOOD if label == "positive" else BAD
        words = chooser.choices(FILLER, k=chooser.randint(2, 9)) + chooser.choices(telling, k=2)
        chooser.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own CSV file: 400 rows with the columns `text` and `sentiment`."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    path.write_text("text,sentiment\n" + "".join(f"{text},{label}\n" for text, label in sentences(400, seed=1)))
    return path


@pytest.fixture(scope="session")
def tiny_defaults(tiny_model: Path, reviews_csv: Path) -> dict[str, Any]:
    """The plain values of a parameter file that trains the tiny model on the CSV task within seconds."""
    return {
        "grid": {
            "name": "tiny",
            "tasks": ["reviews"],
            "teachers": ["tiny"],
            "methods": ["finetune", "kd", "pkd"],
            "students": ["half"],
            "seeds": [0, 1],
        },
        "data": {"max_train_rows": 160, "max_dev_rows": 32},
        "tasks": {"reviews": {"source": f"csv:{reviews_csv}", "text": ["text"], "label": "sentiment"}},
        "teachers": {"tiny": {"source": f"path:{tiny_model}", "training": {"epochs": 2}}},
        "students": {"half": {"layers": 2}},
        "methods": {
            "finetune": {"objective": "finetune"},
            "kd": {"objective": "kd"},
            "pkd": {"objective": "pkd", "beta": 10.0},
        },
        "training": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "max_length": 32, "precision": "fp32"},
        "benchmark": {"lengths": [8, 16], "warmup": 1, "repetitions": 5},
        "report": {"bootstrap_samples": 200},
    }


@pytest.fixture
def tiny_values(tiny_defaults: dict[str, Any]) -> dict[str, Any]:
    """The tiny parameters, for a test to change."""
    return copy.deepcopy(tiny_defaults)


@pytest.fixture
def tiny_params_file(tmp_path: Path, tiny_values: dict[str, Any]) -> Path:
    """The tiny parameters as a file."""
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tiny_values, sort_keys=False))
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes small file systems of its own, where the tests may mount."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk-{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], check=True)


ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ("Snakefile", "profiles", "dvc.yaml", ".dvcignore")


def declaring() -> list[str]:
    """The files of this project whose versions DVC follows."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    return sorted({path for stage in stages for path in stage["deps"] if not path.startswith("results/")})


class Project:
    """A copy of the workflow in a folder of its own, with parameters of its own.

    Attributes:
        patience: seconds that a program may take.
    """

    patience = 900.0

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*WORKFLOW, *declaring()):
            source = ROOT / name
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            take = shutil.copytree if source.is_dir() else shutil.copy
            take(source, folder / name)
        self.write(values)

    def write(self, values: dict[str, Any]) -> None:
        """Replace the parameters."""
        self.values = values
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def environment(self) -> dict[str, str]:
        """The environment of a user's shell, with this Python's programs first."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILGRID_", "PYTEST_", "OMP_", "GIT_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return keep | {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "1"}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder."""
        settings: dict[str, Any] = {"cwd": self.folder, "env": self.environment(), "timeout": self.patience}
        done = subprocess.run(command, text=True, capture_output=True, check=False, **settings)
        if check:
            assert done.returncode == 0, f"{' '.join(command)} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def dvc(self, *arguments: str, check: bool = True) -> str:
        """What DVC says."""
        done = self.run("dvc", *arguments, check=check)
        return done.stdout + done.stderr

    def committed(self, message: str) -> None:
        """Make the folder a Git repository with one commit."""
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.name", "t")
        self.run("git", "config", "user.email", "t@localhost")
        self.commit(message)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def versioned(self) -> None:
        """Make the folder a Git repository with DVC in it, as a clone of this project is."""
        (self.folder / ".gitignore").write_text("/results\n/.snakemake\n__pycache__/\n")
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.name", "t")
        self.run("git", "config", "user.email", "t@localhost")
        self.dvc("init", "-q")
        shutil.copytree(ROOT / ".dvc/plots", self.folder / ".dvc/plots", dirs_exist_ok=True)

    def clone(self, folder: Path) -> "Project":
        """A fresh clone, with the committed parameters."""
        self.run("git", "clone", "-q", str(self.folder), str(folder))
        found = copy.copy(self)
        found.folder = folder
        return found

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with two cores."""
        return self.run(sys.executable, "-m", "snakemake", "--cores", "2", *arguments, check=check)

    def made(self) -> dict[str, int]:
        """When each artefact was made, by its path in the folder."""
        runs = sorted(self.folder.glob("results/**/run.json"))
        return {str(path.parent.relative_to(self.folder)): path.stat().st_mtime_ns for path in runs}

    def jobs(self, *arguments: str) -> dict[str, int]:
        """How often each rule would run now; the targets themselves are not counted."""
        text = self.snakemake("--dry-run", *arguments).stdout
        found = re.findall(r"^(\w+) +(\d+)$", text.partition("Job stats:")[2].partition("total")[0], re.MULTILINE)
        targets = {"all", "data", "teachers", "searches", "students", "benchmarks", "report"}
        return {rule: int(count) for rule, count in found if rule not in targets}


@pytest.fixture(scope="session")
def new_project(tiny_defaults: dict[str, Any]) -> Callable[[Path], Project]:
    """Makes a fresh project with the tiny parameters in a folder."""
    return lambda folder: Project(folder, copy.deepcopy(tiny_defaults))


@pytest.fixture
def project(tmp_path: Path, new_project: Callable[[Path], Project]) -> Project:
    """A fresh project with the tiny parameters."""
    return new_project(tmp_path / "project")


class Jobs:
    """Runs `python -m distilgrid` as a workflow does: forked from a process that has loaded torch, which saves seconds.

    All jobs share one current folder, or they would start cold.
    """

    def __init__(self, folder: Path) -> None:
        from distilgrid.jobs import process as job
        from distilgrid.jobs.warm import client

        self.folder = folder
        self.workflow = subprocess.Popen(["sleep", "3600"])
        self.cold = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILGRID_", "OMP_"))}
        self.warm = self.cold | {job.PARENT: f"{self.workflow.pid}:{job._start_time(self.workflow.pid)}"}
        program = (
            "import os; from pathlib import Path; from distilgrid.jobs.warm import client, server\n"
            "server.start(log=Path('warm.log')); print(os.environ[client.ADDRESS])"
        )
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, cwd=folder, env=self.warm, stdout=subprocess.PIPE, text=True, check=True)
        self.warm[client.ADDRESS] = done.stdout.strip()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: object, log: Path, warm: bool = True) -> "subprocess.Popen[bytes]":
        """Start a job whose output goes to the end of a file."""
        command = [sys.executable, "-m", "distilgrid", *map(str, words)]
        with log.open("ab") as output:
            env = self.warm if warm else self.cold
            job = subprocess.Popen(command, cwd=self.folder, env=env, stdout=output, stderr=output)
        self.started.append(job)
        return job

    def run(self, *words: object, log: Path) -> None:
        """Run a job that must succeed."""
        code = self.start(*words, log=log).wait(timeout=300)
        assert code == 0, log.read_text()

    def close(self) -> None:
        """End what is left."""
        self.workflow.kill()
        self.workflow.wait()
        for job in self.started:
            job.kill()
            job.wait()


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """Jobs that start within a second."""
    started = Jobs(tmp_path_factory.mktemp("jobs"))
    yield started
    started.close()
