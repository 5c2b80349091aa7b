"""Inputs given by hand: a job takes those of one task, its data and its teacher, and refuses others in one line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import sentences
from tests.unit import made
from tests.unit.command_line import Run, one_line

from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished
from distilgrid.core.planned import Artefact, listed
from distilgrid.plan.expand import expand
from distilgrid.plan.params import Params, parse_params
from distilgrid.signals.base import ROWS
from distilgrid.stages.lineage import check_lineage

pytestmark = pytest.mark.chain

LABELS = ["negative", "positive"]
MANY = {"source": "", "text": ["text"], "labels": [f"label-{number}" for number in range(8)]}


@dataclass
class Place:
    """A project with three tasks: one, the same rows under reversed labels, and rows of 8 labels."""

    folder: Path
    params: Params

    def data(self, task: str) -> Path:
        return self.folder / f"data-{task}"

    def teacher(self, task: str, name: str = "tiny") -> Path:
        return self.folder / f"teacher-{task}-{name}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_defaults: dict[str, Any]) -> Place:
    folder = tmp_path_factory.mktemp("lineage")
    many = folder / "many.csv"
    many.write_text(
        "text,label\n" + "".join(f"{text},label-{i % 8}\n" for i, (text, _) in enumerate(sentences(400, 2)))
    )
    own = tiny_defaults["tasks"]["reviews"]
    own = {
        "reviews": {**own, "labels": LABELS},
        "reversed": {**own, "labels": LABELS[::-1]},
        "many": {**MANY, "source": f"csv:{many}"},
        "same": {**own, "labels": LABELS},
    }
    teacher = {**tiny_defaults["teachers"]["tiny"], "training": {"epochs": 1}}
    space = {"layers": [1], "hidden": [16], "heads": [2], "feed_forward": [16]}
    (folder / "space.yaml").write_text(yaml.safe_dump(space))
    search = {"space": str(folder / "space.yaml"), "controller": {"kind": "random"}, "estimator": {"kind": "supernet"}}
    search["reward"] = {"kind": "score-latency"}
    tries = {**search, "estimator": {"kind": "mini_kd", "init": "finetuned"}}
    values = {
        **tiny_defaults,
        "tasks": own,
        "teachers": {"tiny": teacher, "other": teacher},
        "augmentations": {"texts": {"kind": "unlabelled", "texts": ["many"], "labels": "teacher"}},
        "searches": {"net": search, "tries": tries},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    params = parse_params(values, origin="test")
    found = Place(folder, params)
    for task, spec in params.tasks.items():
        made.prepare(task=task, spec=spec, data=params.data, out=found.data(task))
    for task in ("reviews", "reversed", "many"):
        labels = {"task": task, "teacher": "tiny", "method": "teacher", "student": "tiny"}
        training = params.training.model_copy(update={"epochs": 1})
        given = {"source": teacher["source"], "training": training, "seed": 0, "labels": labels}
        made.finetune(data=found.data(task), out=found.teacher(task), **given)
    return found


@pytest.fixture
def refused(place: Place, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Gives a stage a teacher or data by hand, and returns its one line."""

    def call(stage: str, *words: object, task: str = "reviews", teacher: str = "tiny", data: str = "reviews") -> str:
        given = ["--task", task, "--teacher", teacher, "--data", place.data(data), "--params"]
        capsys.readouterr()  # what making inputs has said
        said = one_line(run(stage, *given, place.folder / "params.yaml", "--out", tmp_path / "out", *words))
        assert not (tmp_path / "out" / "run.json").exists()
        return said

    return call


STAGES: dict[str, tuple[str, ...]] = {
    "distill": ("--method", "kd", "--student", "half"),
    "record": (),
    "record mixed": ("--kind", "mixed-logits", "--method", "tmkd"),
    "augment": ("--augmentation", "texts"),
    "features": ("--method", "tmkd"),
    "candidate": ("--search", "tries", "--episode", "0", "--number", "0"),
    "search": ("--search", "tries"),
}


@pytest.mark.parametrize("case", STAGES)
def test_a_teacher_of_reversed_labels_is_refused(refused: Callable[..., str], place: Place, case: str) -> None:
    teacher = place.teacher("reversed")
    said = refused(case.split(maxsplit=1)[0], *STAGES[case], "--teacher-dir", teacher, task="reviews")
    assert f"{teacher}: made for task 'reversed', but --task is 'reviews'" in said


@pytest.mark.parametrize("case", STAGES)
def test_a_teacher_of_more_labels_is_refused(refused: Callable[..., str], place: Place, case: str) -> None:
    said = refused(case.split(maxsplit=1)[0], *STAGES[case], "--teacher-dir", place.teacher("many"))
    assert "made for task 'many'" in said


def test_a_teacher_whose_task_changed_since_is_refused_by_the_key_of_its_data(
    refused: Callable[..., str], place: Place, tmp_path: Path
) -> None:
    data, out = place.data("reversed"), tmp_path / "teacher"
    labels = {"task": "reviews", "teacher": "tiny", "method": "teacher", "student": "tiny"}
    training = place.params.training.model_copy(update={"epochs": 1})
    source = place.params.teachers["tiny"].source
    made.finetune(data=data, source=source, training=training, seed=0, labels=labels, out=out)
    said = refused("record", "--teacher-dir", out)
    assert f"--teacher-dir {out}: was trained on data " in said
    assert "(labels positive, negative, but here negative, positive)" in said


def test_data_of_another_task_is_refused(refused: Callable[..., str], place: Place) -> None:
    said = refused("finetune", task="reversed")
    assert f"--data {place.data('reviews')}: made for task 'reviews', but --task is 'reversed'" in said
    assert "made for task 'same'" in refused("finetune", data="same")


def test_another_teacher_than_the_named_one_is_refused(refused: Callable[..., str], place: Place) -> None:
    said = refused("record", "--teacher-dir", place.teacher("reviews"), teacher="other")
    assert "of teacher 'tiny', but --teacher is 'other'" in said


def test_recordings_and_rows_of_other_data_are_refused(
    refused: Callable[..., str], place: Place, tmp_path: Path
) -> None:
    out, labels = tmp_path / "outputs", {"task": "reviews", "teacher": "tiny", "method": "record"}
    how: dict[str, Any] = {"signal": ROWS["logits"], "max_length": 32, "labels": labels}
    made.record(data=place.data("reversed"), teacher=place.teacher("reversed"), out=out, **how)
    given = ("--teacher-outputs", out)
    assert "was recorded on data" in refused("distill", *STAGES["distill"], *given)
    assert "was recorded on data" in refused("search", "--search", "tries", *given)
    supernet = ("--search", "net", "--teacher-dir", place.teacher("reviews"), *given)
    assert "was recorded on data" in refused("supernet", *supernet)
    cell = {"task": "reviews", "teacher": "tiny", "augmentation": "texts"}
    pool = place.params.augmentations["texts"].model_copy(update={"labels": "copied"})
    rows = tmp_path / "rows"
    texts = place.params.augmentations["texts"].lent_texts(
        key="texts", task=place.params.tasks["reversed"], own=place.params.tasks, folders=made.HUB
    )
    made.augment(
        data=place.data("reversed"),
        settings=pool,
        teacher=None,
        max_length=32,
        fraction=1.0,
        out=rows,
        labels=cell,
        pool=texts,
    )
    assert "was made of data" in refused("distill", *STAGES["distill"], "--augmented", rows)


def test_inputs_of_one_task_and_data_are_taken(place: Place, run: Run, tmp_path: Path) -> None:
    given = ["--task", "reviews", "--teacher", "tiny", "--data", place.data("reviews")]
    given += ["--teacher-dir", place.teacher("reviews"), "--params", place.folder / "params.yaml"]
    code, _, errors = run("record", *given, "--out", tmp_path / "outputs")
    assert code == 0, errors


def opened(stage: str, key: str, **recipe: Any) -> Finished:
    run = {"stage": stage, "key": key, "labels": {}, "files": {}, "recipe": recipe}
    return Finished(Path(stage), run)


@pytest.mark.unit
def test_a_supernet_that_the_search_did_not_ask_is_refused() -> None:
    data = opened("prepare", "d")
    search = opened("search", "s", inputs={"data": "d", "supernet": "a"})
    unasked = opened("search", "s", inputs={"data": "d"})
    given = {"data": [data], "search": [search], "supernet": [opened("supernet", "a", inputs={"data": "d"})]}
    check_lineage(given, {})
    with pytest.raises(UserError, match="--supernet supernet: has key b, but --search search asked a; give those of"):
        check_lineage(given | {"supernet": [opened("supernet", "b", inputs={"data": "d"})]}, {})
    with pytest.raises(UserError, match="asked no supernet"):
        check_lineage(given | {"search": [unasked]}, {})


@pytest.mark.unit
def test_a_candidate_of_other_data_is_refused() -> None:
    given = {"data": [opened("prepare", "d")], "after": [opened("candidate", "c", search={"inputs": {"data": "e"}})]}
    with pytest.raises(UserError, match="--after candidate: was trained on data e, but --data prepare has key d"):
        check_lineage(given, {})


@pytest.mark.unit
def test_inputs_of_another_teacher_are_refused_unless_no_teacher_made_them() -> None:
    def labelled(stage: str, teacher: str, **keys: str) -> Finished:
        run = {"stage": stage, "key": "k", "labels": {"teacher": teacher}, "files": {}}
        return Finished(Path(stage), run | {"recipe": {"inputs": {"data": "d"} | keys}})

    asked = {"teacher": "one+two"}
    for option in ("teacher-dir", "teacher-outputs", "tried", "search"):
        check_lineage({option: [labelled("made", "two")]}, asked)
        check_lineage({option: [labelled("made", "one+two")]}, asked)
        with pytest.raises(UserError, match=f"--{option} made: of teacher 'three', but --teacher is 'one"):
            check_lineage({option: [labelled("made", "three")]}, asked)
    check_lineage({"augmented": [labelled("augment", "three")]}, asked)
    with pytest.raises(UserError, match="--augmented augment: of teacher 'three'"):
        check_lineage({"augmented": [labelled("augment", "three", **{"teacher-dir": "t"})]}, asked)


@pytest.mark.unit
def test_a_plan_gives_each_stage_inputs_that_it_takes(tiny_values: dict[str, Any], tmp_path: Path) -> None:
    space = {"layers": [1], "hidden": [16], "heads": [2], "feed_forward": [16]}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    search = {
        "space": str(tmp_path / "space.yaml"),
        "controller": {"kind": "random"},
        "estimator": {"kind": "supernet"},
    }
    search |= {"reward": {"kind": "score-latency"}, "episodes": 2, "candidates": 2}
    search["latency"] = {"source": "predicted"}
    tiny_values["tasks"]["again"] = tiny_values["tasks"]["reviews"]
    tiny_values["teachers"]["other"] = {**tiny_values["teachers"]["tiny"], "seed": 1, "rows": "students"}
    tiny_values["students"] |= {"found": {"found": {"search": "net"}, "init": "supernet"}, "three": {"layers": 3}}
    tiny_values["methods"] |= {
        "tuned": {"objective": "kd", "tuning": {"alpha": [0.5, 0.7], "temperature": [2]}},
        "chain": {"objective": "takd", "assistants": ["three"]},
        "live": {"objective": "kd", "teacher": "live"},
    }
    tiny_values["augmentations"] = {
        "eda": {"kind": "eda"},
        "texts": {"kind": "unlabelled", "texts": ["again"], "labels": "teacher"},
    }
    tiny_values |= {"searches": {"net": search}, "resources": {"candidate_jobs": True}}
    tiny_values["grid"] |= {
        "tasks": ["reviews", "again"],
        "teachers": ["tiny", "other"],
        "methods": ["finetune", "kd", "tuned", "chain", "live", "tmkd"],
        "students": ["half", "found"],
        "augmentations": ["none", "eda", "texts"],
        "fractions": [0.5, 1.0],
        "baselines": [],
    }
    plan = expand(parse_params(tiny_values, origin="test"))
    told = [artefact for artefact in plan.artefacts.values() if artefact.passes_inputs and artefact.inputs]
    assert {artefact.stage for artefact in told} >= {"distill", "record", "augment", "supernet", "candidate", "search"}
    for artefact in told:
        given = {option: [_made(each) for each in listed(source)] for option, source in artefact.inputs.items()}
        check_lineage(given, artefact.options)


def _made(artefact: Artefact) -> Finished:
    """A planned artefact as if it were finished."""
    run = {
        "stage": artefact.stage,
        "key": artefact.key,
        "labels": artefact.labels,
        "recipe": artefact.recipe,
        "files": {},
    }
    return Finished(Path(artefact.folder), run)
