"""The training loop: determinism, checkpoint selection, early stopping, batching, precision."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.pkd.declare import PKD
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.signals.asking import AskedTeacher
from distilgrid.signals.base import ROWS
from distilgrid.tasks.batching import Encodings, Rows, epoch_batches, evaluation_batches
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training import loop
from distilgrid.training.loop import Trainer
from distilgrid.training.optimiser import Optimiser, parameter_groups
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import Placement
from distilgrid.training.predictor import forward, predict
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher, TeacherOutputs
from distilgrid.training.weights import FlatParameters

pytestmark = pytest.mark.chain


def make_rows(count: int = 64, seed: int = 0) -> Rows:
    """Rows whose label is whether token 7 occurs."""
    chooser = np.random.default_rng(seed)
    labels = chooser.integers(0, 2, size=count)
    ids = []
    for label in labels:
        body = chooser.integers(10, 30, size=chooser.integers(2, 12))
        body[chooser.integers(len(body))] = 7 if label else 8
        ids.append(np.concatenate([[2], body, [3]]))
    return Rows(Encodings.of(ids, None, pad_id=0), torch.from_numpy(labels))


def run(
    model: torch.nn.Module,
    *,
    settings: Training,
    method: BaseMethod | None = None,
    seed: int = 0,
    teacher: TeacherOutputs | None = None,
    dev: Rows | None = None,
) -> Outcome:
    return Trainer(
        model,  # type: ignore[arg-type]
        (method or Finetune()).phases(settings, kind=LABEL),
        rows=make_rows(),
        dev=dev or make_rows(32, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=seed,
        teacher=teacher,
    ).run()


@pytest.fixture
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(tiny_model, outputs=2, auto=CLASSIFIER)


SHORT = Training(epochs=2, batch_size=8, learning_rate=1e-3)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_training_learns(model: torch.nn.Module) -> None:
    outcome = run(model, settings=Training(epochs=8, batch_size=8, learning_rate=2e-3))
    losses = outcome.history.series("train", "loss")
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert outcome.best_dev["accuracy"] > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(model: torch.nn.Module) -> None:
    copies = [copy.deepcopy(model) for _ in range(3)]
    for m, seed in zip(copies, (0, 0, 1), strict=True):
        torch.rand(seed + 5)  # the global generator's state must not matter
        run(m, settings=SHORT, seed=seed)
    first, second, other = map(weights, copies)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_best_checkpoint_on_dev_is_kept(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.9, 0.9, 0.4])
    seen = []

    def scripted(model: torch.nn.Module, encodings: Encodings, *_: object, **__: object) -> dict[str, float]:
        seen.append(predict(model, encodings, kind=LABEL))  # type: ignore[arg-type]
        return {"accuracy": next(scores)}

    monkeypatch.setattr(loop, "evaluate", scripted)
    outcome = run(model, settings=Training(epochs=4, batch_size=8))
    assert outcome.best_step == 16, "the second of four evaluations is best, and a tie keeps the earlier one"
    assert outcome.best_dev == {"accuracy": 0.9}
    final = predict(model, make_rows(32, seed=1).encodings, kind=LABEL)  # type: ignore[arg-type]
    assert np.allclose(final, seen[1], atol=1e-6)
    assert not np.allclose(final, seen[3], atol=1e-4)


def test_more_evaluations_than_steps_score_each_step(model: torch.nn.Module) -> None:
    outcome = run(model, settings=Training(epochs=2, batch_size=16, evaluations_per_epoch=2**53))
    scored = {step for step, _, split, *_ in outcome.history.records if split == "dev"}
    assert scored == set(range(1, outcome.steps + 1))


def test_dev_rows_of_one_label_select_nothing(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scores = iter([1.0, 0.9, 0.8, 0.7])
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: {"accuracy": next(scores)})
    dev = make_rows(32, seed=1)
    one_label = Rows(dev.encodings, torch.zeros_like(dev.labels))
    outcome = run(model, settings=Training(epochs=4, batch_size=8, patience=1), dev=one_label)
    assert (outcome.best_step, outcome.steps, outcome.stopped_early) == (32, 32, False), "the last weights are kept"
    assert outcome.best_dev == {"accuracy": 0.7}
    assert "all rows of dev have one label, so they select no weights: the last ones are kept" in caplog.text


def test_words_that_occur_in_no_row_are_kept_and_only_decay(model: torch.nn.Module) -> None:
    before = weights(model)["bert.embeddings.word_embeddings.weight"]
    settings = Training(epochs=1, batch_size=8, learning_rate=1e-3, warmup_fraction=0, weight_decay=0.5)
    run(model, settings=settings)
    after = weights(model)["bert.embeddings.word_embeddings.weight"]
    assert after.shape == before.shape
    unused = [token for token in range(len(before)) if token in (4, 5, 6, 9)]
    factor = np.prod([1 - 1e-3 * (8 - step) / 8 * 0.5 for step in range(8)])
    assert torch.allclose(after[unused], before[unused] * factor, rtol=1e-5)
    assert not torch.allclose(after[7], before[7] * factor, rtol=1e-4)


def test_patience_stops_early(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.6, 0.6, 0.55, 0.9, 0.9])
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: {"accuracy": next(scores)})
    outcome = run(model, settings=Training(epochs=6, batch_size=8, patience=2))
    assert outcome.stopped_early
    assert outcome.epochs == 4
    assert outcome.best_dev == {"accuracy": 0.6}


def test_a_loss_that_is_not_finite_ends_in_one_clear_line(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(UserError, match=r"not finite.*learning_rate"):
        run(model, settings=SHORT)


def live_teacher(model: torch.nn.Module, encodings: Encodings, signal: str) -> AskedTeacher:
    rows = SimpleNamespace(dataset=SimpleNamespace(task_kind=LABEL))
    return ROWS[signal].teacher(SimpleNamespace(training_set=rows, model=model, samples=encodings))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [KD(), KD(loss="mse"), PKD(beta=1.0)])
def test_recorded_and_live_teachers_give_the_same_losses(
    method: BaseMethod, model: torch.nn.Module, tiny_model: Path
) -> None:
    rows = make_rows()
    states = method.objective == "pkd"
    torch.manual_seed(1)
    teacher_model = load_model(tiny_model, outputs=2, auto=CLASSIFIER)
    with torch.no_grad():
        batches = (rows.encodings.batch([i]) for i in range(len(rows.labels)))
        outputs = [forward(teacher_model, batch, states=states) for batch in batches]
    live = live_teacher(teacher_model, rows.encodings, "cls-states" if states else "logits")
    recorded = StoredTeacher(
        torch.cat([o.logits for o in outputs]),
        torch.cat([o.cls_states for o in outputs if o.cls_states is not None]) if states else None,
    )
    losses = []
    for teacher in (live, recorded):
        outcome = run(copy.deepcopy(model), settings=SHORT, method=method, teacher=teacher)
        losses.append(outcome.history.series("train", "loss"))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert live.forwards == len(rows.labels), "once, though there are two epochs"
    assert recorded.forwards == 0


def test_a_live_teacher_is_frozen(tiny_model: Path) -> None:
    rows = make_rows(8)
    teacher = live_teacher(load_model(tiny_model, outputs=2, auto=CLASSIFIER), rows.encodings, "logits")
    assert not teacher.outputs([0, 1]).logits.requires_grad
    assert not any(p.requires_grad for p in teacher.model.parameters())


def test_an_epoch_holds_every_row_once_in_batches_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=1000)
    generator = torch.Generator().manual_seed(0)
    first = list(epoch_batches(lengths, batch_size=16, generator=generator))
    second = list(epoch_batches(lengths, batch_size=16, generator=generator))
    for batches in (first, second):
        assert sorted(row for batch in batches for row in batch) == list(range(1000))
    assert {frozenset(b) for b in first}.isdisjoint({frozenset(b) for b in second}), "composition changes every epoch"
    padding = sum(len(b) * lengths[b].max() for b in first) / lengths.sum()
    order = np.random.default_rng(1).permutation(1000)
    at_random = sum(len(b) * lengths[b].max() for b in np.array_split(order, 63)) / lengths.sum()
    assert padding < 1.15 < at_random


def test_evaluation_batches_hold_every_row_once_longest_first() -> None:
    lengths = np.array([3, 9, 4, 9, 1])
    batches = list(evaluation_batches(lengths, batch_size=2))
    assert batches == [[1, 3], [2, 0], [4]]


def test_predictions_do_not_depend_on_padding_or_order(model: torch.nn.Module) -> None:
    rows = make_rows(40)
    together = predict(model, rows.encodings, kind=LABEL)  # type: ignore[arg-type]
    alone = [model(**rows.encodings.batch([i])).logits.detach().numpy()[0] for i in range(40)]
    assert np.allclose(together, np.stack(alone), atol=1e-5)


def test_bf16_follows_fp32(model: torch.nn.Module) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        outcome = Trainer(
            copy.deepcopy(model),  # type: ignore[arg-type]
            Finetune().phases(SHORT, kind=LABEL),
            rows=make_rows(),
            dev=make_rows(16, seed=1),
            kind=LABEL,
            metrics=["accuracy"],
            placement=Placement(precision=precision),  # type: ignore[arg-type]
            seed=0,
            teacher=None,
        ).run()
        losses.append(outcome.history.series("train", "loss"))
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[0] != losses[1]


def test_a_token_budget_bounds_batches_and_keeps_every_row() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=500)
    generator = torch.Generator().manual_seed(0)
    batches = epoch_batches(lengths, batch_size=64, generator=generator, tokens=256)
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    assert all(len(b) * lengths[b].max() <= 256 for b in batches)
    assert np.mean([len(b) * lengths[b].max() for b in batches]) > 180, "batches are not needlessly small"
    assert max(map(len, batches)) <= 64


def test_random_batches_mix_lengths() -> None:
    lengths = np.arange(1000) % 50 + 3
    generator = torch.Generator().manual_seed(0)
    batches = epoch_batches(lengths, batch_size=20, generator=generator, bucketed=False)
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    assert np.mean([np.ptp(lengths[b]) for b in batches]) > 35


def test_layer_decay_slows_layers_far_from_the_head(model: torch.nn.Module) -> None:
    groups = parameter_groups(model, layers=4, layered=True)
    optimiser = Optimiser(FlatParameters(groups, compute=torch.float32), Training(layer_decay=0.5), steps=10)
    rates = {id(p): optimiser.share(group) for group in groups for p in group.parameters}
    named = dict(model.named_parameters())
    assert len(rates) == len(named)
    assert rates[id(named["classifier.weight"])] == rates[id(named["bert.pooler.dense.bias"])] == 1
    assert rates[id(named["bert.encoder.layer.3.output.dense.weight"])] == 0.5
    assert rates[id(named["bert.encoder.layer.0.output.dense.bias"])] == 0.5**4
    assert rates[id(named["bert.embeddings.word_embeddings.weight"])] == 0.5**5
    decays = {o["weight_decay"] for o, g in zip(optimiser.inner.param_groups, groups, strict=True) if g.vectors}
    assert decays == {0.0}
    assert all(group.vectors == (p.dim() <= 1) for group in groups for p in group.parameters)


def test_layer_decay_reaches_the_update(model: torch.nn.Module) -> None:
    start = weights(model)
    run(model, settings=Training(epochs=1, batch_size=8, learning_rate=1e-3, layer_decay=0.01, weight_decay=0))
    moved = {name: float((value - start[name]).abs().max()) for name, value in weights(model).items()}
    assert moved["bert.encoder.layer.0.output.dense.weight"] < 1e-4 * moved["classifier.weight"]


def test_the_time_of_a_run_is_split_up(model: torch.nn.Module) -> None:
    outcome = run(model, settings=SHORT)
    assert set(outcome.time_split) == {"data", "forward", "backward", "optimiser", "evaluation"}
    assert 0.5 * outcome.seconds < sum(outcome.time_split.values()) <= outcome.seconds
    assert outcome.tokens == 2 * make_rows().encodings.lengths.sum()


def test_a_trace_of_some_steps_is_written(model: torch.nn.Module, tmp_path: Path) -> None:
    trainer = Trainer(
        model,  # type: ignore[arg-type]
        Finetune().phases(Training(epochs=1, batch_size=8), kind=LABEL),
        rows=make_rows(96),
        dev=make_rows(16, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=0,
        teacher=None,
    )
    trainer.run(trace=tmp_path / "traces/trace.json")
    events = json.loads((tmp_path / "traces/trace.json").read_text())["traceEvents"]
    assert any(event.get("name") == "aten::addmm" for event in events)


def ended(model: torch.nn.Module, settings: Training, *, after: int) -> dict[str, torch.Tensor]:
    """The weights after a number of steps, scored there alone."""
    phases = Finetune().phases(settings, kind=LABEL)
    options = {"rows": make_rows(), "dev": make_rows(32, seed=1), "metrics": ["accuracy"], "placement": Placement()}
    trainer = Trainer(model, phases, seed=0, kind=LABEL, teacher=None, **options)  # type: ignore[arg-type]
    (stretch,) = trainer.stretches
    trainer.total = stretch.end = after
    stretch.due = {after}
    trainer.run()
    return weights(model)


def test_averaged_weights_are_those_of_the_formula(model: torch.nn.Module) -> None:
    settings = Training(epochs=1, batch_size=8, learning_rate=1e-2, weight_decay=0.1, warmup_fraction=0)
    start, steps = weights(model), 8
    seen = [ended(copy.deepcopy(model), settings, after=count) for count in range(1, steps + 1)]
    expected = start
    for step, now in enumerate(seen, start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = {name: decay * value + (1 - decay) * now[name] for name, value in expected.items()}
    found = ended(model, settings.model_copy(update={"average_decay": 0.6}), after=steps)
    for name, value in found.items():
        assert torch.allclose(value.float(), expected[name].float(), atol=1e-5), name
    assert max(float((seen[-1][name] - expected[name]).abs().max()) for name in start) > 1e-3
