"""A real SLURM of one node on the loopback interface, where it can be had."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("start_slurm.sh")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """The folder of a running SLURM's configuration and logs; skips with the reason where there can be none."""
    search = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    absent = [program for program in PROGRAMS if shutil.which(program, path=search) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}: apt-get install slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("needs root, to start SLURM's daemons")
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("needs snakemake-executor-plugin-slurm")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munge refuses a socket in a folder that not everybody can enter
    environment = {**os.environ, "PATH": search}
    started = subprocess.run([SCRIPT, "start", folder], env=environment, text=True, capture_output=True, check=False)
    if started.returncode != 0:
        pytest.skip(started.stderr.strip())
    yield folder
    subprocess.run([SCRIPT, "stop", folder], env=environment, check=True)
    shutil.rmtree(folder, ignore_errors=True)
