"""Jobs end with their workflow, release what they hold, and start from frozen parameters."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from tests.unit.processes import alive, eventually

from distilgrid.core.artefacts import writing
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params, parse_params
from distilgrid.workflow import opening as workflow

pytestmark = pytest.mark.chain

Spawn = Callable[..., "subprocess.Popen[str]"]

# A workflow that starts one job, as Snakemake would, and then only waits.
WORKFLOW = """
import subprocess, sys, time
from distilgrid.jobs.process import mark_workflow
mark_workflow()
subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
time.sleep(60)
"""
# A job in the middle of an artefact; it says so in a file and would go on for a minute.
JOB = """
import os, sys, time
from pathlib import Path
from distilgrid.core.artefacts import writing
from distilgrid.jobs.process import start_job
start_job(threads=1, log_level="info")
assert "torch" not in sys.modules
with writing(Path(sys.argv[1]), recipe={"stage": "prepare", "version": 1}, labels={}) as folder:
    (folder / "half.txt").write_text("half")
    Path(sys.argv[2]).write_text(str(os.getpid()))
    time.sleep(60)
"""
ENVIRONMENT = """
import os, sys
from distilgrid.jobs.process import start_job
start_job(threads=int(sys.argv[1]), log_level="warning")
names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")
print(*(os.environ[name] for name in names), "torch" in sys.modules)
"""
# What transformers loads beside itself depends on what is installed.
QUIET = """
from distilgrid.jobs.process import start_torch_job
start_torch_job(threads=1, log_level="info")
from transformers import AutoModelForSequenceClassification
"""


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts Python programs, and ends those that a test leaves behind."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *words: object, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", program, *map(str, words)]
        env = {name: value for name, value in os.environ.items() if name != "DISTILGRID_PARENT"} | environment
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, text=True, env=env, stdout=pipe, stderr=pipe))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@needs_proc
def test_a_job_ends_when_its_workflow_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    parent = spawn(WORKFLOW, JOB, tmp_path / "data", tmp_path / "pid")
    assert eventually(lambda: read(tmp_path / "pid"), seconds=20)
    job = int(read(tmp_path / "pid"))
    time.sleep(0.7)  # longer than the watch sleeps: a living workflow is not mistaken for a dead one
    assert alive(job)
    parent.send_signal(signal.SIGKILL)  # and nobody collects it: a dead process may stay listed
    ended = eventually(lambda: not alive(job), seconds=3)
    if not ended:
        os.kill(job, signal.SIGKILL)
    assert ended
    with FileLock(tmp_path / "data" / ".lock").acquire(blocking=False):
        pass  # the next run need not wait


@needs_proc
def test_a_job_of_a_workflow_that_is_gone_does_not_start_its_work(spawn: Spawn, tmp_path: Path) -> None:
    gone = spawn("")
    gone.wait()
    job = spawn(JOB, tmp_path / "data", tmp_path / "pid", DISTILGRID_PARENT=f"{gone.pid}:12345")
    assert job.wait(timeout=20) == 1


@needs_proc
def test_a_reused_process_id_is_not_taken_for_the_workflow(spawn: Spawn, tmp_path: Path) -> None:
    job = spawn(JOB, tmp_path / "data", tmp_path / "pid", DISTILGRID_PARENT=f"{os.getpid()}:1")
    assert job.wait(timeout=20) == 1


def test_a_job_run_by_hand_watches_nothing(spawn: Spawn, tmp_path: Path) -> None:
    job = spawn(JOB, tmp_path / "data", tmp_path / "pid")
    assert eventually(lambda: read(tmp_path / "pid"), seconds=20)
    time.sleep(0.7)
    assert job.poll() is None


def test_a_job_that_is_told_to_end_cleans_up(spawn: Spawn, tmp_path: Path) -> None:
    job = spawn(JOB, tmp_path / "data", tmp_path / "pid")
    assert eventually(lambda: read(tmp_path / "pid"), seconds=20)
    job.terminate()
    assert job.wait(timeout=5) == 128 + signal.SIGTERM
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("threads", "parallel"), [(1, "false"), (3, "true")])
def test_a_job_fixes_its_threads_before_anything_heavy_loads(spawn: Spawn, threads: int, parallel: str) -> None:
    output, errors = spawn(ENVIRONMENT, threads, OMP_NUM_THREADS="7").communicate(timeout=20)
    assert output.split() == [str(threads)] * 4 + [parallel, "False"], errors


def test_libraries_make_no_remarks_in_the_log_of_a_job(spawn: Spawn) -> None:
    output, errors = spawn(QUIET).communicate(timeout=120)
    assert (output, errors) == ("", "")


def test_libraries_that_are_loaded_already_get_their_threads(spawn: Spawn) -> None:
    program = (
        "import numpy, sys, threadpoolctl; from distilgrid.jobs.process import _resize_pools\n"
        "for count in (1, 2): _resize_pools(count); print(*{p['num_threads'] for p in threadpoolctl.threadpool_info()})"
    )
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    output, errors = spawn(program, **single).communicate(timeout=20)
    assert output.split() == ["1", "2"], errors


# Locks of a killed Snakemake ------------------------------------------------------------------------------------------

# A workflow with a job that outlives it.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from distilgrid.workflow.opening import release_stale_locks
release_stale_locks(Path(sys.argv[1]))
job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Path(sys.argv[2]).write_text(str(job.pid))
time.sleep(60)
"""


@pytest.fixture
def holder(spawn: Spawn, folder: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A living workflow in that folder."""
    process = spawn(HOLDER, folder, tmp_path / "job")
    assert eventually(lambda: read(tmp_path / "job"), seconds=20)
    yield process
    os.kill(int(read(tmp_path / "job")), signal.SIGKILL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `.snakemake` folder; what this process comes to hold is let go at the end."""
    held: list[Any] = []
    monkeypatch.setattr(workflow, "_held", held)
    yield tmp_path / ".snakemake"
    for lock in held:
        lock.release()


def snakemake_locks(folder: Path) -> list[Path]:
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    locks = [folder / "locks" / "0.input.lock", folder / "locks" / "0.output.lock"]
    for lock in locks:
        lock.write_text("results/data/train.parquet\n")
    return locks


def test_locks_of_a_dead_workflow_are_removed(folder: Path, holder: "subprocess.Popen[str]") -> None:
    locks = snakemake_locks(folder)
    holder.kill()
    holder.wait()
    workflow.release_stale_locks(folder)
    assert not any(lock.exists() for lock in locks)


def test_locks_of_a_living_workflow_stay(folder: Path, holder: "subprocess.Popen[str]") -> None:
    locks = snakemake_locks(folder)
    workflow.release_stale_locks(folder)
    assert holder.poll() is None
    assert all(lock.exists() for lock in locks)


def test_a_folder_without_locks_is_made_and_held(folder: Path) -> None:
    workflow.release_stale_locks(folder)
    (path,) = (folder / "distilgrid").glob("*.process")
    with pytest.raises(Timeout):
        FileLock(path).acquire(blocking=False)


def test_locks_of_the_second_of_two_workflows_outlive_the_first(
    folder: Path, holder: "subprocess.Popen[str]", spawn: Spawn, tmp_path: Path
) -> None:
    second = spawn(HOLDER, folder, tmp_path / "second")
    assert eventually(lambda: read(tmp_path / "second"), seconds=20)
    holder.kill()
    holder.wait()
    locks = snakemake_locks(folder)
    workflow.release_stale_locks(folder)
    assert second.poll() is None
    assert all(lock.exists() for lock in locks)
    os.kill(int(read(tmp_path / "second")), signal.SIGKILL)


def test_a_second_workflow_is_told_of_the_first(
    folder: Path, holder: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]
) -> None:
    workflow.release_stale_locks(folder)
    said = capsys.readouterr().err
    assert holder.poll() is None
    assert said.startswith("distilgrid: another Snakemake is at work in this folder")
    assert "Do not --unlock" in said
    assert said.count("\n") == 1


def test_a_full_disk_is_told_before_snakemake_starts(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="ulimit -f"):
            workflow.release_stale_locks(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in folder.iterdir() if path.is_file()] == []


# A clock that was set back --------------------------------------------------------------------------------------------

# The input is an artefact that a job verifies before it makes another from it.
SNAKEFILE = """
rule make:
    input: ancient("read/run.json"), ancient("read/text")
    output: "made/text", "made/run.json"
    shell: "python job.py"
"""
COPY = """
from pathlib import Path
from distilgrid.core.artefacts import verified, writing
verified(Path("read"))
with writing(Path("made"), recipe={"stage": "prepare", "version": 2}, labels={}) as folder:
    (folder / "text").write_text("work of hours")
"""


def test_snakemake_keeps_what_is_made_from_files_of_the_future(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job.py").write_text(COPY)
    with writing(tmp_path / "read", recipe={"stage": "prepare", "version": 1}, labels={}) as folder:
        (folder / "text").write_text("made before the clock was set back")
    for path in (tmp_path / "read").iterdir():
        os.utime(path, (4e9, 4e9))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--rerun-triggers", "mtime"]
    places = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for said in ("1 of 1 steps", "Nothing to be done"):
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
    assert (tmp_path / "made" / "text").read_text() == "work of hours"


def test_jobs_find_no_files_of_the_future(tmp_path: Path, tiny_values: dict[str, Any]) -> None:
    tiny_values["resources"] = {"warm_start": False}
    plan = expand(parse_params(tiny_values, origin="tiny"))
    paths = [tmp_path / plan.report.folder / name for name in plan.report.files[:2]]
    paths[0].parent.mkdir(parents=True)
    for path, seconds in zip(paths, (4e9, 1), strict=True):
        path.touch()
        os.utime(path, (seconds, seconds))
    workflow.start_jobs(plan, results=str(tmp_path), main=True)
    assert time.time() - 60 < paths[0].stat().st_mtime <= time.time()
    assert paths[1].stat().st_mtime == 1


# Frozen parameters ----------------------------------------------------------------------------------------------------


def test_frozen_parameters_make_the_same_plan(tmp_path: Path, tiny_values: dict[str, Any]) -> None:
    params = parse_params(tiny_values, origin="tiny")
    frozen = workflow.freeze(params, tmp_path)
    assert load_params([frozen]) == params
    assert list(expand(load_params([frozen])).artefacts) == list(expand(params).artefacts)


def test_frozen_parameters_are_named_after_their_content(tmp_path: Path, tiny_values: dict[str, Any]) -> None:
    first = workflow.freeze(parse_params(tiny_values, origin="tiny"), tmp_path)
    again = workflow.freeze(parse_params(tiny_values, origin="tiny"), tmp_path)
    tiny_values["resources"] = {"threads": 2}
    other = workflow.freeze(parse_params(tiny_values, origin="tiny"), tmp_path)
    assert first == again != other
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, other.name])


def test_bad_parameters_end_the_workflow_in_one_line(spawn: Spawn, tmp_path: Path) -> None:
    program = (
        "from distilgrid.workflow.opening import open_workflow\n"
        f"open_workflow({{'grid': {{}}}}, results={str(tmp_path)!r}, origin=['params.yaml'])\n"
    )
    process = spawn(program)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors.startswith("distilgrid: params.yaml: grid.tasks")
    assert errors.count("\n") == 1
