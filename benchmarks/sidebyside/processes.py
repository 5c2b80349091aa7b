"""Training runs in separate processes, so that thread pools and allocator settings of one do not reach another."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sidebyside.contenders import CONTENDERS
from sidebyside.work import Work

HINT = "peers need benchmarks/peers/requirements.txt: install it, or name the Python that has it with --peer-python"
TAIL = 2000  # characters of a failed run's log


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Options of every side-by-side benchmark."""
    parser.add_argument("--threads", type=int, default=2, help="of every process")
    parser.add_argument("--peer-python", default=sys.executable, help="Python with benchmarks/peers/requirements.txt")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, metavar="NAME", help=", ".join(CONTENDERS))


def run(work: Work, *, python: str) -> dict[str, Any]:
    """What one training run reports.

    Raises:
        SystemExit: when it fails, with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="sidebyside-") as folder:
        asked, result = Path(folder) / "work.json", Path(folder) / "result.json"
        work.write(asked)
        command = [python, "-m", "sidebyside.worker", str(asked), str(result)]
        done = subprocess.run(command, env=_environment(work, folder), capture_output=True, text=True, check=False)
        if done.returncode:
            hint = HINT if work.framework.startswith("peers.") else ""
            sys.exit(f"{done.stdout[-TAIL:]}{done.stderr[-TAIL:]}\n{work.framework} failed. {hint}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def python_for(contender: str, options: argparse.Namespace) -> str:
    """The Python that a contender runs in."""
    return str(options.peer_python) if CONTENDERS[contender].peer else sys.executable


def _environment(work: Work, folder: str) -> dict[str, str]:
    """The same number of threads for every framework, and no other tuning from outside."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": str(work.threads),
        "MKL_NUM_THREADS": str(work.threads),
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": folder,  # the rate of matrix products is measured in each run, not remembered
    }
