"""Artefacts: they appear whole or not at all, one writer at a time, and damage is noticed on use."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilgrid.core.artefacts import RUN, STATE, content_digest, is_complete, read_json, verified, write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256, recipe_key

RECIPE: dict[str, Any] = {"stage": "prepare", "version": 1, "rows": 10}
LABELS = {"task": "reviews"}


def make(out: Path, text: str = "first", *, recipe: dict[str, Any] = RECIPE) -> Path:
    with writing(out, recipe=recipe, labels=LABELS) as folder:
        (folder / "a.txt").write_text(text * 100)
        (folder / "b.txt").write_text("b")
    return out


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.is_dir() else []


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_artefact_says_what_it_is(tmp_path: Path) -> None:
    run = verified(make(tmp_path / "data"), stage="prepare")
    assert (run["stage"], run["key"], run["labels"], run["recipe"]) == ("prepare", recipe_key(RECIPE), LABELS, RECIPE)
    assert run["files"] == {name: file_sha256(tmp_path / "data" / name) for name in ("a.txt", "b.txt")}
    assert {"python", "numpy"} <= run["versions"].keys()
    assert run["machine"]["cores"] >= 1
    assert run["seconds"] >= 0


def test_it_names_the_contents_of_what_was_read_not_of_an_earlier_making(tmp_path: Path) -> None:
    made_from = RECIPE | {"stage": "finetune", "inputs": {"data": recipe_key(RECIPE)}}
    first = verified(make(tmp_path / "first", "first"))
    second = make(tmp_path / "second", "second")
    unread = verified(make(tmp_path / "unread", recipe=made_from))
    assert unread["inputs"] == {}, "the first was read, but may not be what this is made from"
    verified(second)
    read = verified(make(tmp_path / "read", recipe=made_from))
    assert read["inputs"] == {first["key"]: content_digest(read_json(second / RUN)["files"])}


def test_nothing_appears_when_the_work_fails(tmp_path: Path) -> None:
    def failing() -> None:
        with writing(tmp_path / "data", recipe=RECIPE, labels={}) as folder:
            (folder / "a.txt").write_text("half")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        failing()
    assert not (tmp_path / "data").exists()
    assert not is_complete(tmp_path / "data")


@pytest.mark.parametrize(("name", "stays"), [(f"data-{recipe_key(RECIPE)}", False), ("own", True)])
def test_a_refused_job_leaves_no_empty_folder_but_the_users_own(tmp_path: Path, name: str, stays: bool) -> None:
    def refused() -> None:
        with writing(tmp_path / name, recipe=RECIPE, labels={}):
            raise UserError("the data is of another kind")

    (tmp_path / name).mkdir()  # as Snakemake does, or the user
    refusal(refused)
    assert visible(tmp_path / name) == []
    assert (tmp_path / name).exists() == stays


def test_unfinished_work_stays_when_a_job_fails(tmp_path: Path) -> None:
    def failing() -> None:
        with writing(tmp_path / "data", recipe=RECIPE, labels={}):
            (tmp_path / "data" / STATE).mkdir()
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        failing()
    assert visible(tmp_path / "data") == [STATE]


def test_a_failed_second_run_leaves_the_first_result(tmp_path: Path) -> None:
    out = make(tmp_path / "data")

    def failing() -> None:
        with writing(out, recipe=RECIPE, labels={}) as folder:
            (folder / "a.txt").write_text("other")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    verified(out)
    assert (out / "a.txt").read_text() == "first" * 100


@pytest.mark.parametrize("crash_at", ["a.txt", "b.txt", RUN])
@pytest.mark.parametrize("before", [False, True])
def test_a_half_published_artefact_is_not_taken_for_whole(
    tmp_path: Path, crash_at: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "data"
    if before:
        make(out)
    replace = Path.replace

    def crashing(self: Path, target: Path) -> Path:
        if self.name == crash_at:
            raise RuntimeError("power cut")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        make(out, "second")
    monkeypatch.undo()
    assert not is_complete(out)
    assert str(out) in refusal(lambda: verified(out))
    assert verified(make(out, "second"))["key"] == recipe_key(RECIPE)


def damage_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [damage_byte, truncate, Path.unlink])
@pytest.mark.parametrize("checked_before", [False, True])
def test_damage_is_refused_with_the_name_of_the_file(
    tmp_path: Path, damage: Callable[[Path], object], checked_before: bool
) -> None:
    out = make(tmp_path / "data")
    if checked_before:
        os.utime(out / "a.txt", (1, 1))  # long ago: digests of unchanged files are remembered by size and time stamp
        verified(out)
    damage(out / "a.txt")
    assert str(out / "a.txt") in refusal(lambda: verified(out))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"stage": "prepare", "files": {}}'])
def test_a_damaged_run_file_is_refused(tmp_path: Path, text: str) -> None:
    out = make(tmp_path / "data")
    (out / RUN).write_text(text)
    assert str(out / RUN) in refusal(lambda: verified(out))


def test_completeness_needs_every_listed_file(tmp_path: Path) -> None:
    out = make(tmp_path / "data")
    assert is_complete(out)
    (out / "b.txt").unlink()
    assert not is_complete(out)
    (out / RUN).write_text("[]")
    assert not is_complete(out)
    assert not is_complete(tmp_path / "absent")


def test_another_stage_or_no_folder_is_refused(tmp_path: Path) -> None:
    out = make(tmp_path / "data")
    assert "'prepare', but 'finetune' is wanted" in refusal(lambda: verified(out, stage="finetune"))
    assert "no such folder" in refusal(lambda: verified(tmp_path / "absent"))


def test_a_folder_may_carry_the_right_key_or_none(tmp_path: Path) -> None:
    for name in (f"data-{recipe_key(RECIPE)}", "data", "data-2024"):
        verified(make(tmp_path / name))


def test_a_folder_named_after_another_recipe_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "data-0123456789ab"
    message = refusal(lambda: make(wrong))
    assert "0123456789ab" in message
    assert recipe_key(RECIPE) in message
    assert not wrong.exists()
    make(tmp_path / "data").rename(wrong)
    assert "0123456789ab" in refusal(lambda: verified(wrong))


@pytest.mark.parametrize("name", ["a.txt", ".scratch-1/mine", f"{STATE}/mine", "other.csv"])
def test_a_folder_of_somebodys_files_is_refused(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "own" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert f"such as {name.partition('/')[0]}; take another folder" in refusal(lambda: make(tmp_path / "own"))
    assert mine.read_text() == "mine"
    assert not (tmp_path / "own" / ".lock").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (RECIPE, {**RECIPE, "stage": "finetune"}),  # as `finetune --data mine --out mine`
        ({"stage": "distill", "seed": 0}, {"stage": "distill", "seed": 1}),
    ],
)
def test_an_artefact_is_not_overwritten_by_another(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    out = make(tmp_path / "mine", recipe=old)
    assert f"holds the output of '{old['stage']}'" in refusal(lambda: make(out, recipe=new))
    verified(out, stage=old["stage"])


def test_rows_may_be_prepared_again_with_other_settings(tmp_path: Path) -> None:
    verified(make(make(tmp_path / "mine"), "second", recipe=RECIPE | {"rows": 11}))


def test_unfinished_work_is_not_replaced_by_another(tmp_path: Path) -> None:
    def failing() -> None:
        with writing(tmp_path / "mine", recipe=RECIPE, labels={}):
            (tmp_path / "mine" / STATE).mkdir()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        failing()
    assert "holds unfinished work" in refusal(lambda: make(tmp_path / "mine", recipe=RECIPE | {"rows": 11}))
    assert visible(tmp_path / "mine") == [STATE]
    verified(make(tmp_path / "mine"))


def test_unfinished_and_equal_artefacts_are_made_again_without_a_key_in_their_name(tmp_path: Path) -> None:
    out = make(tmp_path / "mine")
    verified(make(out, "second"))
    (out / RUN).unlink()
    verified(make(out, "third"))


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refusal(lambda: make(tmp_path / "file"))
    assert str(tmp_path / "file") in refusal(lambda: make(tmp_path / "file" / "data"))


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    (tmp_path / "x.json").write_text("{cut")
    assert str(tmp_path / "x.json") in refusal(lambda: read_json(tmp_path / "x.json"))
    assert "absent.json" in refusal(lambda: read_json(tmp_path / "absent.json"))


def fill_text(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"x" * 400_000)


def fill_tensors(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(100_000, dtype=np.float32)}, folder / "model.safetensors")


def fill_table(folder: Path) -> None:
    import pandas as pd

    pd.DataFrame({"x": np.random.default_rng(0).random(50_000)}).to_parquet(folder / "rows.parquet")


@pytest.mark.parametrize("fill", [fill_text, fill_tensors, fill_table])
def test_a_full_disk_gives_one_line_and_keeps_the_earlier_result(
    mounted: Callable[[str], Path], fill: Callable[[Path], None]
) -> None:
    out = make(mounted("size=200k") / "data")

    def filling() -> None:
        with writing(out, recipe=RECIPE, labels={}) as folder:
            fill(folder)

    assert "no space left" in refusal(filling)
    verified(out)
    assert visible(out) == ["a.txt", "b.txt", RUN]


def test_a_read_only_disk_gives_one_line(mounted: Callable[[str], Path]) -> None:
    assert "Read-only" in refusal(lambda: make(mounted("ro") / "data"))


@pytest.mark.usefixtures("bound_by_modes")
def test_a_read_only_folder_gives_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "Permission denied" in refusal(lambda: make(tmp_path / "data"))
    finally:
        tmp_path.chmod(0o700)


WRITER = """
import signal, sys, time
from pathlib import Path
from distilgrid.core.artefacts import writing

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell runs in the background

out, events, name, seconds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])

def note(what):
    with events.open("a") as stream:
        stream.write(f"{what} {name}\\n")

with writing(out, recipe={"stage": "prepare", "version": 1, "rows": 10}, labels={"writer": name}) as folder:
    note("start")
    (folder / "a.txt").write_text(name)
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and "go on" not in events.read_text():
        time.sleep(0.02)
    (folder / "b.txt").write_text(name)
    note("end")
"""


def writer(out: Path, events: Path, name: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(out), str(events), name, str(seconds)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(events: Path, line: str) -> None:
    limit = time.monotonic() + 20
    while not events.exists() or line not in events.read_text():
        assert time.monotonic() < limit, f"'{line}' never happened"
        time.sleep(0.02)


def test_two_writers_of_one_artefact_take_turns(tmp_path: Path) -> None:
    out, events = tmp_path / "data", tmp_path / "events"
    first = writer(out, events, "one", 60)
    wait_for(events, "start one")
    second = writer(out, events, "two", 0.0)
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    with events.open("a") as stream:
        stream.write("go on\n")
    complaints = [process.communicate(timeout=30)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], complaints
    assert events.read_text().split("\n")[:5] == ["start one", "go on", "end one", "start two", "end two"]
    assert verified(out)["labels"] == {"writer": "two"}
    assert (out / "a.txt").read_text() == (out / "b.txt").read_text() == "two"


def test_a_killed_writer_leaves_neither_lock_nor_scratch(tmp_path: Path) -> None:
    out, events = tmp_path / "data", tmp_path / "events"
    killed = writer(out, events, "one", 60)
    wait_for(events, "start one")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    assert not is_complete(out)
    started = time.monotonic()
    make(out)
    assert time.monotonic() - started < 5
    verified(out)
    assert visible(out) == ["a.txt", "b.txt", RUN]


def test_a_waiting_writer_goes_on_after_the_other_was_refused(tmp_path: Path) -> None:
    out, events = tmp_path / "data", tmp_path / "events"
    first = writer(out, events, "one", 60)
    wait_for(events, "start one")
    second = writer(out, events, "two", 0)
    time.sleep(1)
    first.send_signal(signal.SIGINT)
    assert second.wait(timeout=30) == 0
    first.communicate(timeout=20)
    assert verified(out)["labels"] == {"writer": "two"}
