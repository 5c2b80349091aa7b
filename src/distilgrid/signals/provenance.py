"""Checks that recordings, which users may give by hand, belong together and to the teachers of a student.

`asking.py` checks the rows of a recording; this module checks the model behind it and the length of its inputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished

HASHES = {"teacher_weights_sha256": "weights", "tokenizer_sha256": "tokeniser"}
"""Hashes of a manifest, and what they are of."""


def teacher_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """Facts about a teacher for the manifest of its recordings, from its `run.json`."""
    files = run["files"]
    return {
        "teacher_key": run["key"],
        "teacher_stage": run["stage"],
        "teacher_weights_sha256": files["model.safetensors"],
        "tokenizer_sha256": files.get("tokenizer.json"),
    }


@dataclass(frozen=True)
class Recorded:
    """A complete recording."""

    option: str  # option of `distill` that gave it
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def teacher(self) -> str:
        """Recipe key of its teacher."""
        return str(self.manifest["teacher_key"])


def by_teacher(
    folders: Mapping[str, Sequence[Path]], *, teachers: Sequence[Path], lengths: Sequence[int]
) -> dict[str, list[list[Path]]]:
    """The recordings of each option, grouped by teacher in the order of the folders.

    `teachers` and `lengths` are those of the student. Raises UserError for recordings that are damaged, or do not
    belong together or to them.
    """
    recordings = {option: _grouped(option, given) for option, given in folders.items()}
    check_together(recordings)
    check_teachers(recordings, teachers)
    check_lengths(recordings, lengths)
    return {option: [[each.folder for each in group] for group in groups] for option, groups in recordings.items()}


def _grouped(option: str, folders: Sequence[Path]) -> list[list[Recorded]]:
    groups: dict[str, list[Recorded]] = {}
    for folder in folders:
        recorded = Recorded(option, folder, open_finished(folder, stage="record").json("manifest.json"))
        groups.setdefault(recorded.teacher, []).append(recorded)
    return list(groups.values())


def check_together(recordings: Mapping[str, Sequence[Sequence[Recorded]]]) -> None:
    """Refuse recordings of one cell that differ in their teachers, or in weights, tokeniser or length of one teacher.

    `recordings` holds, by option, groups by teacher; an option without any asks live teachers. Raises UserError.
    """
    given = {option: groups for option, groups in recordings.items() if groups}
    first: dict[str, Recorded] = {}
    for recorded in _each(given):
        other = first.setdefault(recorded.teacher, recorded)
        for fact, said in {**HASHES, "max_length": "max_length"}.items():
            _compare(recorded, fact, other.manifest[fact], said=said, whose=f"{other.folder}")
    teachers = {option: [group[0].teacher for group in groups] for option, groups in given.items()}
    for option, found in teachers.items():
        expected, wanted = next(iter(teachers.items()))
        if found != wanted:
            own, theirs = " and ".join(found), " and ".join(wanted)
            raise UserError(
                f"--{option}: recorded of teacher {own}, but --{expected} of {theirs}; record one of both again"
            )


def check_teachers(recordings: Mapping[str, Sequence[Sequence[Recorded]]], teachers: Sequence[Path]) -> None:
    """Refuse recordings of other teachers than the given ones. Raises UserError.

    Recordings of assistants pass: `teachers` are those at the head of their chain.
    """
    found = [open_finished(folder, only=()) for folder in teachers]
    facts = {teacher.key: (teacher.folder, teacher_facts(teacher.run)) for teacher in found}
    for recorded in _each(recordings):
        if not facts or recorded.manifest["teacher_stage"] != "finetune":
            continue
        if recorded.teacher not in facts:
            said = f"recorded of teacher {recorded.teacher}, but --teacher-dir gives {' and '.join(facts)}"
            raise UserError(f"{recorded.folder}: {said}; give the folder of that teacher, or record again")
        folder, own = facts[recorded.teacher]
        for fact, said in HASHES.items():
            _compare(recorded, fact, own[fact], said=said, whose=f"{folder}")


def check_lengths(recordings: Mapping[str, Sequence[Sequence[Recorded]]], lengths: Sequence[int]) -> None:
    """Refuse recordings of other lengths of inputs than the teachers' `lengths`, in tokens. Raises UserError."""
    for groups in recordings.values():
        for group, length in zip(groups, lengths, strict=False):  # several teachers may share an assistant
            for recorded in group:
                if recorded.manifest["max_length"] is not None:  # images have no tokens
                    _compare(recorded, "max_length", length, said="max_length", whose="the teacher's settings")


def _each(recordings: Mapping[str, Sequence[Sequence[Recorded]]]) -> Iterator[Recorded]:
    return (recorded for groups in recordings.values() for group in groups for recorded in group)


def _compare(recorded: Recorded, fact: str, wanted: str | int | None, *, said: str, whose: str) -> None:
    found = recorded.manifest[fact]
    if found != wanted:
        shown = [value[:12] if isinstance(value, str) else value for value in (found, wanted)]
        raise UserError(f"{recorded.folder}: recorded with {said} {shown[0]}, but {whose}: {shown[1]}; record again")
