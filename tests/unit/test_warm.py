"""Warm start: a forked child is to its shell what a fresh process would be, and nothing outlives its workflow."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.processes import alive, eventually

from distilgrid.jobs import process as job
from distilgrid.jobs.warm import client, stages
from distilgrid.stages.table import STAGES
from distilgrid.workflow import opening as workflow

pytestmark = [pytest.mark.chain, pytest.mark.skipif(sys.platform != "linux", reason="a warm start needs Linux")]

# A warm process that loads nothing heavy, and whose jobs are small programs: `distilgrid distill PROGRAM`.
SERVER = """
import sys, types
from distilgrid.jobs.warm import server, stages
def main():
    try:
        exec(sys.argv[2], {{}})
    except KeyboardInterrupt:
        sys.exit(130)
cli = types.ModuleType("distilgrid.cli.app")
cli.main = main
sys.modules["distilgrid.cli.app"] = cli
stages.WARM_STAGES, stages.LATE, stages.FEATURES = {{}}, (), ()
{}
server.main()
"""
START = """
import os, sys
from pathlib import Path
from distilgrid.jobs.warm import client, server
server.COMMAND = [sys.executable, "-c", sys.argv[2]]
server.start(log=Path(sys.argv[1]))
print(os.environ[client.ADDRESS])
"""
WENT_COLD = "Usage: python -m distilgrid distill"  # the real command line does not understand the small programs

# They measure in a clean process, or need no torch.
COLD = {"prepare", "search", "candidate", "latency", "benchmark", "report"}

Process = subprocess.Popen[str]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Warm:
    """A workflow that only waits, its warm process, and jobs of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.log, self.cwd = tmp_path / "logs" / "warm.log", tmp_path
        self.workflow = subprocess.Popen(["sleep", "60"])
        self.started: list[Process] = []
        own = {job.PARENT: f"{self.workflow.pid}:{job._start_time(self.workflow.pid)}"}
        self.environment = {name: value for name, value in os.environ.items() if name != client.ADDRESS} | own

    def launch(self, extra: str = "") -> None:
        words = [sys.executable, "-c", START, str(self.log), SERVER.format(extra)]
        done = subprocess.run(
            words, env=self.environment, cwd=self.cwd, check=True, stdout=subprocess.PIPE, text=True, timeout=20
        )
        self.environment[client.ADDRESS] = done.stdout.strip()

    def start(self, program: str, *, stage: str = "distill", **options: Any) -> Process:
        """A job; its output and errors are pipes."""
        options = {"env": self.environment, "cwd": self.cwd} | options
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        words = [sys.executable, "-m", "distilgrid", stage, program]
        self.started.append(subprocess.Popen(words, text=True, **pipes, **options))
        return self.started[-1]

    def run(self, program: str, *, given: str = "", **options: Any) -> tuple[int, str, str]:
        """A job's exit code, output and errors."""
        process = self.start(program, **options)
        output, errors = process.communicate(given, timeout=30)
        return process.returncode, output, errors

    def server(self) -> int:
        """Its process id."""
        process = self.start("import os; print(os.getppid(), flush=True); input()")
        assert process.stdout
        found = parent(int(process.stdout.readline()))
        process.communicate("\n", timeout=20)
        return found

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(f"\0{self.environment[client.ADDRESS]}") == 0

    def end(self) -> None:
        self.workflow.kill()
        self.workflow.wait()
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Warm]:
    """A workflow whose warm process is not started yet; nothing listens in the end."""
    made = Warm(tmp_path)
    yield made
    made.end()
    assert client.ADDRESS not in made.environment or eventually(lambda: not made.listens())


@pytest.fixture
def warm(fresh: Warm) -> Warm:
    """A workflow with its warm process."""
    fresh.launch()
    return fresh


def wait_for(path: Path) -> str:
    assert eventually(lambda: path.exists() and path.read_text(), seconds=20), f"{path} does not appear"
    return path.read_text()


# A child is what a fresh process would be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("print('done')", 0, ""),
        ("import sys; sys.exit(2)", 2, ""),
        ("import sys; sys.exit('a reason')", 1, "a reason\n"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug"),
        ("import os; os._exit(7)", 7, ""),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import os; os.kill(os.getpid(), 11)", -11, ""),
        ("import atexit, sys; atexit.register(sys.stderr.write, 'last words')", 0, "last words"),
        ("import sys, weakref; weakref.finalize(sys, sys.stderr.write, 'last words')", 0, "last words"),
        ("import threading as t; t.Thread(target=lambda: t.Event().wait(0.2) or print('late')).start()", 0, ""),
    ],
)
def test_a_job_ends_as_its_child_does(warm: Warm, program: str, code: int, said: str) -> None:
    result, output, errors = warm.run(program)
    assert result == code
    assert errors.endswith(said) or f"{said}\n" in errors
    assert output == ("done\n" if "done" in program else "late\n" if "late" in program else "")
    assert len(re.findall(r" (exit|signal) ", warm.log.read_text())) == 1, "the warm process did it"


def test_two_jobs_at_once_have_their_own_files(warm: Warm, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "mine, other = input().split(); Path(mine).touch(); print('out', mine); print('err', mine, file=sys.stderr)\n"
        "while not Path(other).exists(): time.sleep(0.02)\n"
    )
    jobs = [warm.start(program), warm.start(program)]
    for process, words in zip(jobs, ("a b", "b a"), strict=True):
        assert process.stdin
        process.stdin.write(words + "\n")
        process.stdin.flush()
    assert [process.communicate(timeout=20) for process in jobs] == [("out a\n", "err a\n"), ("out b\n", "err b\n")]
    assert [process.returncode for process in jobs] == [0, 0]


def test_a_job_keeps_its_arguments_variables_mask_and_folder(warm: Warm, tmp_path: Path) -> None:
    program = "import json, os, sys; print(json.dumps([sys.argv[1], dict(os.environ), os.umask(0), os.getcwd()]))"
    changed = warm.environment | {"OMP_NUM_THREADS": "3", "TOKENIZERS_PARALLELISM": "true"}
    code, output, errors = warm.run(program, env=changed, umask=0o027)
    assert code == 0, errors
    stage, environment, umask, folder = eval(output)
    assert (stage, umask, folder) == ("distill", 0o027, str(tmp_path))
    assert environment == {name: value for name, value in changed.items() if name != client.ADDRESS}


def test_an_ignored_signal_stays_ignored(warm: Warm) -> None:
    program = "import signal; print(*(signal.getsignal(n).name for n in (signal.SIGHUP, signal.SIGUSR1)))"
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731 - as nohup does
    assert warm.run(program, preexec_fn=ignore)[1] == "SIG_IGN SIG_DFL\n"


JOB = """
import os, time
from pathlib import Path
from distilgrid.jobs.process import start_job
start_job(threads=1, log_level="info")
try:
    Path("pid").write_text(str(os.getpid()))
    time.sleep(60)
finally:
    Path("cleaned").touch()
"""


@pytest.mark.parametrize(
    ("number", "code", "cleans"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM, True),
        (signal.SIGINT, 130, True),
        (signal.SIGUSR1, 128 + signal.SIGUSR1, True),
        (signal.SIGHUP, -signal.SIGHUP, False),
    ],
)
def test_signals_reach_the_child(warm: Warm, tmp_path: Path, number: int, code: int, cleans: bool) -> None:
    inherited = signal.signal(number, signal.SIG_DFL)  # `nohup` and `&` have jobs ignore some, rightly
    process = warm.start(JOB)
    signal.signal(number, inherited)
    child = int(wait_for(tmp_path / "pid"))
    assert child != process.pid
    process.send_signal(number)
    assert process.wait(timeout=5) == code
    assert not alive(child)
    assert (tmp_path / "cleaned").exists() == cleans


# Nothing outlives what it belongs to ----------------------------------------------------------------------------------


def test_a_killed_job_takes_its_child_along(warm: Warm, tmp_path: Path) -> None:
    process = warm.start(JOB)
    child = int(wait_for(tmp_path / "pid"))
    process.kill()
    assert eventually(lambda: not alive(child), seconds=2)
    assert warm.run("print('next')")[1] == "next\n"


def test_everything_ends_with_the_workflow(warm: Warm, tmp_path: Path) -> None:
    server, process = warm.server(), warm.start(JOB)
    child = int(wait_for(tmp_path / "pid"))
    time.sleep(0.7)  # longer than the watches sleep: a living workflow is not mistaken for a dead one
    assert alive(server) and alive(child)
    warm.workflow.kill()  # and nobody collects it: a dead process may stay listed
    assert eventually(lambda: not alive(server) and not alive(child), seconds=3)
    assert process.wait(timeout=2) == 1
    assert "is gone: stopping" in process.stderr.read() if process.stderr else False
    assert not warm.listens()


def test_a_job_starts_cold_when_the_warm_process_dies_under_it(warm: Warm, tmp_path: Path) -> None:
    server, process = warm.server(), warm.start(JOB)
    child = int(wait_for(tmp_path / "pid"))
    os.kill(server, signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    assert not alive(child)
    assert errors.startswith("the warm process of this workflow is gone: starting this job again")
    assert WENT_COLD in errors
    assert WENT_COLD in warm.run("print('next')")[2]


def test_a_waiting_job_ends_with_its_workflow(fresh: Warm) -> None:
    fresh.launch("stages.load = lambda: __import__('time').sleep(2)")
    process = fresh.start("print('never')")
    time.sleep(0.5)
    fresh.workflow.kill()
    assert process.wait(timeout=1.4) == 1


# When a start is cold -------------------------------------------------------------------------------------------------


def test_the_benchmark_runs_in_a_clean_process(warm: Warm) -> None:
    assert "Usage: python -m distilgrid benchmark" in warm.run("print('warm')", stage="benchmark")[2]


def test_other_surroundings_start_cold(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert WENT_COLD in warm.run("print('warm')", env=warm.environment | {"MKL_CBWR": "COMPATIBLE"})[2]
    assert WENT_COLD in warm.run("print('warm')", cwd=tmp_path / "elsewhere")[2]
    assert WENT_COLD in warm.run("print('warm')", preexec_fn=lambda: os.nice(1))[2]
    assert warm.run("print('warm')") == (0, "warm\n", "")
    assert warm.log.read_text().count("refused a job") == 3


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start()", "threads"),
        ("stages.LATE = ('no_such_library',)", "No module named"),
        ("server.identity = lambda _, found=iter('ab'): next(found)", "changed"),
    ],
)
def test_an_unfit_process_serves_nobody(fresh: Warm, extra: str, reason: str) -> None:
    fresh.launch(extra)
    assert WENT_COLD in fresh.run("print('warm')")[2]
    assert reason in fresh.log.read_text()
    assert WENT_COLD in fresh.run("print('warm')")[2]


def test_nothing_is_loaded_before_a_job_asks(warm: Warm) -> None:
    warm.run("print('cold')", stage="prepare")
    assert warm.log.read_text() == ""
    warm.run("print('warm')")
    assert " loaded\n" in warm.log.read_text()


def test_jobs_of_another_user_are_refused(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{warm.environment[client.ADDRESS]}")
        assert client.same_user(connection)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert not client.same_user(connection)


def test_what_starts_warm_is_loaded_for_it() -> None:
    assert all(importlib.util.find_spec(name) for name in (*stages.WARM_STAGES.values(), *stages.LATE))
    assert all(module == f"distilgrid.stages.{stage}.run" for stage, module in stages.WARM_STAGES.items())
    assert set(STAGES) - set(stages.WARM_STAGES) == COLD


GPU = """
import sys, types
from distilgrid.jobs.warm import server
torch = types.ModuleType("torch")
torch.version = types.SimpleNamespace(cuda=sys.argv[1] or None)
def zeros(size, device):
    if sys.argv[3]: raise RuntimeError(sys.argv[3])
torch.zeros, sys.modules["torch"] = zeros, torch
server.visible_gpus = lambda: sys.argv[2].split()
print(server.obstacle())
"""


@pytest.mark.parametrize(
    ("built", "gpus", "error", "said"),
    [
        ("13.0", "0", "", "None"),
        ("13.0", "0", "cannot re-initialize CUDA", "cannot use the GPU"),
        ("13.0", "", "no GPU here", "None"),
        ("", "0", "not built for GPUs", "None"),
    ],
)
def test_a_process_that_has_touched_the_gpu_is_unfit(built: str, gpus: str, error: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", GPU, built, gpus, error], capture_output=True, text=True, check=True)
    assert said in done.stdout


def test_an_edited_package_has_another_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jobs" / "warm").mkdir(parents=True)
    source = tmp_path / "jobs" / "warm" / "client.py"
    source.write_text("a = 1\n")
    monkeypatch.setattr(client, "__file__", str(source))
    before = client.identity(os.environ)
    assert client.identity(os.environ) == before
    os.utime(source, (1, 1))
    assert client.identity(os.environ) != before


# What the workflow starts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "setting", "started"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_workflow_starts_a_warm_process_for_its_own_jobs(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_values: dict[str, Any],
    main: bool,
    setting: bool,
    started: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow, "_held", [])
    monkeypatch.setenv(job.PARENT, "of another workflow")
    monkeypatch.setenv(client.ADDRESS, "of another workflow")
    tiny_values["resources"] = {"warm_start": setting}
    calls: list[Path] = []
    monkeypatch.setattr(workflow.server, "start", lambda *, log: calls.append(log))
    plan, _ = workflow.open_workflow(tiny_values, results="results", origin=["params.yaml"], main=main)
    assert client.ADDRESS not in os.environ
    assert calls == [], "nothing is started for a dry run"
    workflow.start_jobs(plan, results="results", main=main)
    assert calls == [Path("results/logs/warm.log")] * started


def test_a_job_without_a_warm_process_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(client.ADDRESS, raising=False)
    assert client.run_warm(["distill"]) is None
    monkeypatch.setenv(client.ADDRESS, "distilgrid-nobody")
    assert client.run_warm(["distill"]) is None
    assert client.run_warm([]) is None
