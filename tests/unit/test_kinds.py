"""Every task kind keeps the protocol, one of another package included: rows, batches, losses, metrics, answers."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from tests.unit.made import finetune, prepare
from transformers import BertConfig

import distilgrid
from distilgrid.core import loading
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.methods import base
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.methods.pkd.declare import PKD
from distilgrid.models.io import load_tokenizer
from distilgrid.plan import planner
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import GROUP, KINDS, TaskKind, find_kind, find_metric, known_kinds, score
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training
from distilgrid.training.training_set import read_split

SOURCE = Path(distilgrid.__file__).parent
PLUGGED = "odd"
NAMES = [*KINDS, PLUGGED]
SPECS: dict[str, dict[str, Any]] = {
    "label": {"label": "class", "metrics": ["accuracy", "f1", "matthews"]},
    "number": {"label": "value", "metrics": ["pearson", "spearman"]},
    "image": {"source": "digits:sklearn", "validation": ["test"]},
    "odd": {"label": "value", "metrics": ["mae"]},
}


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with a kind."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == GROUP == "distilgrid.task_kinds"
        return [EntryPoint(PLUGGED, "tests.unit.odd_kind:KIND", group)]

    monkeypatch.setattr(loading, "entry_points", entry_points)
    known_kinds.cache_clear()
    yield
    known_kinds.cache_clear()


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[[str], Dataset]:
    rows = [f"words of row {i} {'good' if i % 2 else 'bad'},{'ab'[i % 2]},{i / 1000 + i % 2}" for i in range(90)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,class,value", *rows]) + "\n")

    def run(name: str) -> Dataset:
        fields = {"kind": name, **SPECS[name]}
        if find_kind(name).tokenised:
            fields |= {"source": f"csv:{tmp_path}/rows.csv", "text": ["text"]}
        prepare(task="own", spec=TaskSpec(**fields), data=Data(max_train_rows=60), out=tmp_path / name)
        return open_dataset(tmp_path / name)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_rows_become_batches(name: str, prepared: Callable[[str], Dataset], tiny_model: Path) -> None:
    dataset = prepared(name)
    kind, frame = dataset.task_kind, dataset.split("dev")
    assert read_json(dataset.folder / "dataset.json")["kind"] == kind.name == name
    assert len(kind.batch().labels(frame)) == len(frame)
    tokenizer = load_tokenizer(tiny_model) if kind.tokenised else None
    samples = read_split(dataset, "dev", tokenizer=tokenizer, max_length=16)
    assert len(samples) == len(frame)
    assert all(len(values) == 2 for values in samples.batch([0, 1]).values())
    assert len(samples.joined([samples])) == 2 * len(frame)
    example = kind.rows().example(dataset, "dev", 2)
    given = kind.batch().given(example, tokenizer=tokenizer, max_length=16, pair=dataset.pair)
    own = samples.batch([0, 1])
    assert all(torch.equal(values, own[key]) for key, values in given.batch([0, 1]).items())


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_scalars_with_a_gradient(name: str, prepared: Callable[[str], Dataset]) -> None:
    dataset = prepared(name)
    labels, losses = dataset.task_kind.batch().labels(dataset.split("dev")), dataset.task_kind.losses()
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(len(labels), dataset.outputs, generator=generator, requires_grad=True)
    teacher = torch.randn(len(labels), dataset.outputs, generator=generator)
    hard, soft = losses.hard(student, labels), losses.soft(student, teacher, temperature=2.0)
    (hard + soft + losses.soft(student, teacher, form="mse")).backward()
    assert hard.shape == soft.shape == () and soft > 0 and student.grad is not None
    for form in ("kl", "mse"):
        assert losses.soft(teacher, teacher, form=form).item() == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]
    mixable = losses.mixable(labels, outputs=dataset.outputs)
    mixed = torch.lerp(mixable, mixable.flip(0), 0.25)
    assert math.isfinite(losses.hard(student, mixed).item())
    tempered = losses.soft(student, teacher, temperature=1.0)
    assert (not torch.allclose(tempered, soft)) == dataset.task_kind.tempered


@pytest.mark.parametrize("name", NAMES)
def test_outputs_become_scores_and_answers(name: str, prepared: Callable[[str], Dataset]) -> None:
    dataset = prepared(name)
    kind, labels = dataset.task_kind, dataset.split("dev")["label"].to_numpy()
    config = BertConfig(num_labels=dataset.outputs)
    kind.predict().describe(config, dataset.labels)
    outputs = kind.predict().allocate(len(labels), config)
    outputs[:] = np.random.default_rng(0).normal(size=outputs.shape)
    predicted = kind.predict().decode(outputs)
    assert predicted.shape == labels.shape
    assert set(score(kind, dataset.metrics, labels=labels, outputs=outputs)) == set(dataset.metrics)
    assert len(kind.predict().answers(outputs, dataset.labels)) == len(labels)
    assert kind.answer(outputs[:1], dataset.labels) == kind.named(predicted[0], dataset.labels)
    assert kind.named(labels[0], dataset.labels) == (dataset.labels[labels[0]] if dataset.labels else labels[0])
    judge = kind.predict()
    assert judge.agreement(predicted, predicted) == pytest.approx(1)
    assert "0.9" in judge.complaint(0.5, 0.9) or "90" in judge.complaint(0.5, 0.9)


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_follows_from_the_statistics_of_rows(name: str) -> None:
    generator = np.random.default_rng(1)
    for metric in find_kind(name).metrics.values():
        whole = metric.name in ("accuracy", "f1", "matthews")
        labels = generator.integers(2, size=50) if whole else generator.normal(size=50)
        predicted = generator.integers(2, size=50) if whole else labels + generator.normal(size=50)
        rows, weights = metric.per_row(labels, predicted), generator.integers(3, size=(4, 50)).astype(float)
        assert metric.resampled(np.ones((1, 50)), rows) == pytest.approx([metric.value(labels, predicted)])
        drawn = [np.repeat(np.arange(50), counts.astype(int)) for counts in weights]
        naive = [metric.value(labels[each], predicted[each]) for each in drawn]
        assert metric.resampled(weights, rows) == pytest.approx(naive)
        best, worst = sorted([metric.value(labels, labels), metric.value(labels, predicted)], key=metric.merit)[::-1]
        assert best == metric.value(labels, labels) and metric.better(best, worst) and metric.best(worst, best) == best
        assert find_metric(metric.name) is metric


def test_a_kind_of_another_package_is_trained_and_its_lowest_error_kept(
    prepared: Callable[[str], Dataset], tiny_model: Path, tmp_path: Path
) -> None:
    dataset, out = prepared(PLUGGED), tmp_path / "model"
    settings = Training(epochs=4, batch_size=8, learning_rate=1e-2, max_length=16)
    source, labels = f"path:{tiny_model}", {"task": "own"}
    metrics = finetune(data=dataset.folder, source=source, training=settings, seed=1, out=out, labels=labels)
    assert metrics["score_name"] == "mae" and metrics["validation"]["validation"]["mae"] == metrics["score"]
    assert read_json(out / "config.json")["id2label"] == {"0": "value", "1": "log_variance"}
    history = pd.read_parquet(out / "history.parquet")
    found = history[(history["split"] == "dev") & (history["name"] == "mae")]["value"]
    assert len(found) >= 4 and metrics["dev"]["mae"] == found.min() < found.max()


def test_a_kind_of_ours_wins_over_an_installed_one() -> None:
    assert list(known_kinds()) == NAMES
    assert find_kind("label").metrics["accuracy"].name == "accuracy"
    with pytest.raises(UserError, match="unknown kind 'lable'; did you mean 'label'"):
        find_kind("lable")
    with pytest.raises(UserError, match="unknown metric 'mea'; did you mean 'mae'"):
        find_metric("mea")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"regression": True}, "write kind: number"),
        ({"regression": False}, "leave it out"),
        ({"kind": "text"}, "write kind: label"),
        ({"kind": "numbr"}, "unknown kind 'numbr'; did you mean 'number'"),
        ({"kind": "number", "labels": ["a", "b"], "metrics": ["pearson"]}, "kind: number has no labels"),
        ({"options": {"depth": 3}}, "kind: label has no options; leave it out or set kind: odd"),
        ({"metrics": ["mae"]}, "kind: label has no 'mae'; kind: odd has it"),
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
    ],
)
def test_what_a_kind_does_not_know_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TaskSpec(**{"source": "csv:x.csv", "text": ["text"], **fields})
    assert named in str(caught.value)


def test_a_kind_reads_its_own_options() -> None:
    spec = TaskSpec(source="csv:x.csv", text=["text"], kind="odd", metrics=["mae"], options={"depth": 3})
    assert spec.task_kind.name == "odd" and spec.options == {"depth": 3}


def test_no_other_code_branches_on_what_a_row_is() -> None:
    """Code outside the kinds asks a kind for what it needs; words for readers may say what rows are."""
    branch = re.compile(
        r'\bregression\s*[:=]|\.regression\b|\bkind\s*[!=]=\s*"(text|image|label|number)"|\.modality\s*[!=]=\s*"'
        r"|dataset\.image\b"
    )
    ours = {SOURCE / "stages/features", SOURCE / "tasks/kinds"}
    protocol = SOURCE / "tasks/kind.py"
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path != protocol and not any(folder in path.parents for folder in ours)
        for line in path.read_text().splitlines()
        if branch.search(line) and '"""' not in line
    ]
    assert all("has gone" in line for line in found), found


class SpanKind(TaskKind):
    row_labels = False


def test_methods_take_text_kinds_of_other_packages_with_one_label_per_row(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = find_kind("odd")
    spans = SpanKind(**{field.name: getattr(odd, field.name) for field in dataclasses.fields(odd)})
    monkeypatch.setattr(base, "find_kind", {"spans": spans}.get)
    assert not PKD.accepts("spans") and not MixKD.accepts("spans") and KD.accepts("spans")
    monkeypatch.setattr(base, "find_kind", find_kind)
    for method in (PKD, MixKD, HiddenKD):
        assert method.accepts("odd") and method.accepts("number") and not method.accepts("image")


def test_models_that_do_not_read_a_kinds_rows_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = find_kind("odd")
    parts = {field.name: getattr(odd, field.name) for field in dataclasses.fields(odd)}
    spoken = SpanKind(**parts | {"modality": "sound"})
    monkeypatch.setattr(planner, "find_task", lambda name, tasks: SimpleNamespace(task_kind=spoken))
    sources: Any = {"one": SimpleNamespace(source="path:text-model")}
    params: Any = SimpleNamespace(tasks={}, students=sources, teachers=sources)
    said = planner.misfit(params, {"task": "talks", "student": "one", "teachers": ["one"]})
    assert f"take models of {odd.words.rows}, or" in said
