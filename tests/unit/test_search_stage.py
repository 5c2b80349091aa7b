"""The stage `search` on tiny models: the same trials after a kill, what searches share, what is kept and refused."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.made import Cell, distill, finetune, latency, prepare, record

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.journal import NAME
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.teaching import Sources as Taught
from distilgrid.models.settings import Found, Student
from distilgrid.runtimes.base import RunOptions
from distilgrid.search import latency_bench
from distilgrid.search.architecture import Shape, model_parameters, shape_of
from distilgrid.search.estimators import mini_kd
from distilgrid.search.estimators.supernet_estimator import supernet_slice
from distilgrid.search.latency_predictor import LatencyPredictor
from distilgrid.search.settings import Search
from distilgrid.search.space import Space
from distilgrid.signals.base import ROWS
from distilgrid.stages.runner import make
from distilgrid.stages.search.declare import SearchStageSettings
from distilgrid.stages.table import STAGES
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
QUICK = Benchmark(lengths=[8], warmup=0, repetitions=5, max_repetitions=5, retries=0)
SPACE = Space(layers=[1, 2], hidden=[8, 16], heads=[2], feed_forward=[16, 32])
MINI = {"kind": "mini_kd", "epochs": 1, "learning_rate": 2e-3, "batch_size": 16}
SETTINGS: dict[str, Any] = {
    "space": "unread",
    "controller": {"kind": "evolution", "population": 2, "tournament": 1},
    "estimator": MINI,
    "reward": {"kind": "score-latency"},
    "latency": {"runtime": "torch-eager-fp32"},
    "episodes": 3,
    "candidates": 2,
    "keep": 2,
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, a teacher and its logits."""
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=96, max_dev_rows=32), out=folder / "data")
    source = f"path:{tiny_model}"
    finetune(data=folder / "data", source=source, training=TRAINING, seed=0, out=folder / "teacher", labels={})
    given: dict[str, Any] = {"data": folder / "data", "teacher": folder / "teacher", "labels": {}}
    record(signal=ROWS["logits"], max_length=32, out=folder / "logits", **given)
    return folder


def chosen(tiny_model: Path, *, seed: int = 0, space: Space = SPACE, **changes: Any) -> SearchStageSettings:
    return SearchStageSettings(
        search=Search(**{**SETTINGS, **changes}),
        space=space,
        benchmark=QUICK,
        origin=f"path:{tiny_model}",
        seed=seed,
        training=TRAINING,
    )


def folders(work: Path, **more: Path) -> dict[str, Sequence[Path]]:
    return {"data": [work / "data"], "teacher-outputs": [work / "logits"], **{n: [path] for n, path in more.items()}}


def run(work: Path, tiny_model: Path, out: Path, **changes: Any) -> list[dict[str, Any]]:
    options = {"teacher": "teacher-dir", "supernet": "supernet", "latency_folder": "latency"}
    more = {option: changes.pop(name) for name, option in options.items() if name in changes}
    return make(STAGES["search"], chosen(tiny_model, **changes), folders(work, **more), out=out)


def trials(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "trials.parquet")


def estimates(known: Path) -> dict[str, str]:
    """What the journal of the only recipe holds."""
    (path,) = known.glob(f"estimates-*/{NAME}")
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT about, found FROM findings"))


def test_a_killed_search_makes_the_same_trials(
    work: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, asked = mini_kd.MiniKD.estimate, list[str]()

    def dies_at_the_fourth(self: Any, architecture: Any) -> Any:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(architecture.name)
        return whole(self, architecture)

    with monkeypatch.context() as patch:
        patch.setattr(mini_kd.MiniKD, "estimate", dies_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            run(work, tiny_model, tmp_path / "search", seed=3)
    assert not (tmp_path / "search/trials.parquet").exists()
    known = estimates(tmp_path / ".known")
    assert len(known) == 3
    again: list[str] = []

    def counted(self: Any, architecture: Any) -> Any:
        again.append(architecture.name)
        return whole(self, architecture)

    monkeypatch.setattr(mini_kd.MiniKD, "estimate", counted)
    run(work, tiny_model, tmp_path / "search", seed=3)
    assert not set(again) & set(asked), "nothing is estimated twice"
    resumed = trials(tmp_path / "search")
    assert known.items() <= estimates(tmp_path / ".known").items()
    (tmp_path / "search/run.json").unlink()
    run(work, tiny_model, tmp_path / "search", seed=3)
    pd.testing.assert_frame_equal(trials(tmp_path / "search"), resumed)
    fresh = tmp_path / "elsewhere/search"
    run(work, tiny_model, fresh, seed=3, latency={"runtime": "torch-eager-fp32"}, reward=LATENCY_FREE)
    run(work, tiny_model, tmp_path / "free", seed=3, reward=LATENCY_FREE)
    same = ["name", "score", "loss", "reward", "episode", "repeated"]
    pd.testing.assert_frame_equal(trials(fresh)[same], trials(tmp_path / "free")[same])


LATENCY_FREE = {"kind": "score-latency", "alpha": 0.0}


def test_searches_share_what_they_find_out(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    run(work, tiny_model, tmp_path / "a", controller={"kind": "random"}, episodes=1, candidates=8)
    before = estimates(tmp_path / ".known")
    run(work, tiny_model, tmp_path / "b", seed=5)
    assert len(before) == 8 and estimates(tmp_path / ".known") == before, "all 8 were known"
    one, other = (trials(tmp_path / name).drop_duplicates("name").set_index("name") for name in ("a", "b"))
    shared = one.index.intersection(other.index)
    assert len(shared) > 1
    columns = ["score", "loss", "latency_ms", "reward"]
    pd.testing.assert_frame_equal(one.loc[shared, columns], other.loc[shared, columns])
    assert read_json(tmp_path / "b/search.json")["cost"]["estimates_seconds"] > 0, "a budget counts what it used"


def test_the_best_are_kept_and_within_the_limit(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    found = run(work, tiny_model, tmp_path / "a", controller={"kind": "random"}, episodes=1, candidates=8)
    table = trials(tmp_path / "a")
    assert [one["reward"] for one in found] == sorted(table["reward"], reverse=True)[:2]
    limit = float(table["latency_ms"].sort_values().iloc[3])
    fast = run(
        work, tiny_model, tmp_path / "b", controller={"kind": "random"}, episodes=1, candidates=8, max_latency=limit
    )
    assert max(one["latency_ms"] for one in fast) <= limit
    share = limit / read_json(tmp_path / "b/search.json")["teacher"]["latency_ms"]
    fast = run(
        work,
        tiny_model,
        tmp_path / "c",
        controller={"kind": "random"},
        episodes=1,
        candidates=8,
        max_latency_share=share,
    )
    assert max(one["latency_ms"] for one in fast) <= limit * (1 + 1e-9)
    with pytest.raises(ValueError, match="not both"):
        Search(**{**SETTINGS, "max_latency": 1.0, "max_latency_share": 0.5})


def test_a_latency_beyond_the_limit_costs_reward_and_is_never_the_best(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole = {"controller": {"kind": "random"}, "episodes": 1, "candidates": 8}
    run(work, tiny_model, tmp_path / "free", **whole)
    free = trials(tmp_path / "free").set_index("name")
    limit = float(free["latency_ms"].sort_values().iloc[3])
    best = run(work, tiny_model, tmp_path / "limited", **whole, max_latency=limit, limit_penalty=0.5)
    table = trials(tmp_path / "limited")
    excess = (table["latency_ms"] - limit).clip(lower=0) / limit
    assert table["penalty"].tolist() == pytest.approx((0.5 * excess).tolist()) and (excess > 0).sum() == 4
    assert table["reward"].tolist() == pytest.approx((free.loc[table["name"], "reward"] - 0.5 * excess.values).tolist())
    assert table["best_reward"].iloc[-1] == best[0]["reward"], "plots and tables show the same quantity"
    assert read_json(tmp_path / "limited/search.json")["limit_ms"] == limit


def test_what_is_predicted_to_be_too_slow_is_not_proposed(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "latency"
    about: dict[str, Any] = {"space": SPACE, "runtime": "torch-eager-fp32", "settings": QUICK, "device": "local-cpu"}
    latency(**about, fitted=6, held_out=2, out=folder, vocabulary=40)
    predictor = LatencyPredictor.load(folder)
    times = dict(zip(SPACE.shapes, predictor.latencies(SPACE.shapes), strict=True))
    limit = sorted(times.values())[3]
    for kind in ("random", "kd_nas", "evolution", "reinforce"):
        run(
            work,
            tiny_model,
            tmp_path / kind,
            controller={"kind": kind},
            latency={"runtime": "torch-eager-fp32", "source": "predicted"},
            latency_folder=folder,
            max_latency=limit,
        )
        table = trials(tmp_path / kind)
        assert set(table["name"]) <= {shape.name for shape in SPACE.shapes if times[shape] <= limit}, kind
        assert (table["penalty"] == 0).all() and len(table) >= 2


def test_a_search_measures_on_the_processor_of_its_device(
    work: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    class Faked:
        def __call__(self, folder: Path, how: RunOptions) -> Any:
            self.processor = how.processor
            return self

        def bind(self, inputs: Any) -> Any:
            return lambda: used.append(self.processor)

    monkeypatch.setattr(latency_bench, "open_runtime", lambda name: Faked())
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/fake-gpu.yaml").write_text("kind: local\nprocessor: cuda\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for device, processor in (("fake-gpu", "cuda"), ("local-cpu", "cpu")):
        used.clear()
        latency = {"runtime": "torch-eager-fp32", "device": device}
        run(work, tiny_model, tmp_path / device, latency=latency, episodes=1)
        assert set(used) == {processor}


def test_what_is_too_large_is_neither_proposed_nor_kept(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    config = read_json(tiny_model / "config.json")
    sizes = {shape.name: model_parameters(shape, config) for shape in SPACE.shapes}
    fourth, fifth = sorted(sizes.values())[3:5]
    share = (fourth + fifth) / 2 / model_parameters(shape_of(config), config)
    run(work, tiny_model, tmp_path / "a", max_size_share=share, controller={"kind": "random"})
    names = trials(tmp_path / "a")["name"].tolist()
    assert len(names) == 4 and max(sizes[name] for name in names) == fourth
    with pytest.raises(UserError, match=r"max_size_share 0.01: no architecture is that small; the smallest of 8, 1L-"):
        run(work, tiny_model, tmp_path / "b", max_size_share=0.01)


def test_a_limit_that_nothing_keeps_to_names_the_fastest(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1e-05 ms: no architecture is that fast; the fastest of 4, 1L-"):
        run(work, tiny_model, tmp_path / "a", max_latency=1e-5)
    reward = {"kind": "score-limit", "limit_share": 1e-6}
    with pytest.raises(UserError, match="no architecture is that fast"):
        run(work, tiny_model, tmp_path / "b", reward=reward)


def test_a_found_shape_is_a_student_like_any_other(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    found = run(work, tiny_model, tmp_path / "search")
    cell = Cell(
        KD(),
        Student(found=Found(search="any", rank=2)),
        f"path:{tiny_model}",
        TRAINING,
        "none",
        1.0,
        seed=0,
    )
    sources = Taught(data=work / "data", teacher_outputs=[work / "logits"], search=tmp_path / "search")
    metrics = distill(cell=cell, sources=sources, out=tmp_path / "student", labels={})
    config = read_json(tmp_path / "student/config.json")
    shape = found[1]["architecture"]
    assert (config["num_hidden_layers"], config["hidden_size"]) == (shape["layers"], shape["hidden"])
    assert metrics["layers"] == shape["layers"]
    with pytest.raises(UserError, match="give its folder with --search"):
        distill(
            cell=cell,
            sources=Taught(data=work / "data", teacher_outputs=[work / "logits"]),
            out=tmp_path / "other",
            labels={},
        )


def test_a_supernet_and_a_predictor_stand_in_for_training_and_timing(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = chosen(tiny_model, estimator={**MINI, "kind": "supernet"})
    given = folders(work, **{"teacher-dir": work / "teacher"})
    make(STAGES["supernet"], settings, given, out=tmp_path / "supernet")
    latency(
        space=SPACE,
        runtime="torch-eager-fp32",
        settings=QUICK,
        device="local-cpu",
        fitted=6,
        held_out=2,
        out=tmp_path / "latency",
        vocabulary=40,
    )
    found = run(
        work,
        tiny_model,
        tmp_path / "search",
        estimator={**MINI, "kind": "supernet"},
        latency={"runtime": "torch-eager-fp32", "source": "predicted"},
        supernet=tmp_path / "supernet",
        latency_folder=tmp_path / "latency",
    )
    assert len(found) == 2
    cost = read_json(tmp_path / "search/search.json")["cost"]
    assert cost["preparation_seconds"] == read_json(tmp_path / "supernet/run.json")["seconds"]
    student = Student(found=Found(search="any", rank=2), init="supernet")
    frozen = TRAINING.model_copy(update={"learning_rate": 1e-12})
    cell = Cell(KD(), student, f"path:{tiny_model}", frozen, "none", 1.0, seed=0)
    sources = Taught(data=work / "data", teacher_outputs=[work / "logits"], search=tmp_path / "search")
    metrics = distill(
        cell=cell, sources=replace(sources, supernet=tmp_path / "supernet"), out=tmp_path / "student", labels={}
    )
    assert metrics["init"] == "supernet"
    assert metrics["dev"]["accuracy"] == pytest.approx(found[1]["score"]), "it begins as what the search scored"
    with pytest.raises(UserError, match="give --search and --supernet"):
        distill(cell=cell, sources=sources, out=tmp_path / "b", labels={})
    with pytest.raises(UserError, match="does not hold 3L-8H-2A-16F-gelu"):
        supernet_slice(tmp_path / "supernet", Shape(3, 8, 2, 16))
    other = Space(layers=[1, 2], hidden=[8, 16], heads=[2], feed_forward=[16])
    with pytest.raises(UserError, match="trained for another space"):
        run(
            work,
            tiny_model,
            tmp_path / "other",
            space=other,
            estimator={**MINI, "kind": "supernet"},
            supernet=tmp_path / "supernet",
        )


def test_candidates_may_inherit_the_teacher(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    finetuned = {**MINI, "init": "finetuned"}
    run(work, tiny_model, tmp_path / "a", reward=LATENCY_FREE)
    run(work, tiny_model, tmp_path / "b", reward=LATENCY_FREE, estimator=finetuned, teacher=work / "teacher")
    first, other = trials(tmp_path / "a"), trials(tmp_path / "b")
    assert first["name"].iloc[0] == other["name"].iloc[0] and first["loss"].iloc[0] != other["loss"].iloc[0]
    with pytest.raises(UserError, match="give --teacher-dir"):
        run(work, tiny_model, tmp_path / "c", estimator=finetuned)


def test_candidates_as_jobs_of_their_own_make_the_same_trials(
    work: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    whole = mini_kd.MiniKD.estimate

    def counted(self: Any, architecture: Any) -> Any:
        asked.append(architecture.name)
        return whole(self, architecture)

    monkeypatch.setattr(mini_kd.MiniKD, "estimate", counted)
    settings = chosen(tiny_model, seed=3, reward=LATENCY_FREE)

    def candidate(out: Path, *, episode: int, number: int, after: Sequence[Path] = ()) -> None:
        one = replace(settings, episode=episode, number=number)
        make(STAGES["candidate"], one, {**folders(work), "after": after}, out=out)

    names, last = [], list[Path]()
    for episode in range(3):
        made = [tmp_path / f"jobs/{episode}-{number}" for number in range(2)]
        for number in (1, 0):
            candidate(made[number], episode=episode, number=number, after=last)
        names += [read_json(folder / "finding.json")["name"] for folder in made]
        last = made
    assert len(asked) == len(set(names))
    make(STAGES["search"], settings, {**folders(work), "after": last}, out=tmp_path / "search")
    assert len(asked) == len(set(names)), "the search estimates nothing again"
    assert trials(tmp_path / "search")["name"].tolist() == names
    run(work, tiny_model, tmp_path / "alone/search", seed=3, reward=LATENCY_FREE)
    same = ["name", "score", "loss", "reward", "episode", "repeated"]
    pd.testing.assert_frame_equal(trials(tmp_path / "search")[same], trials(tmp_path / "alone/search")[same])
    for place, said in (({"episode": 3, "number": 0}, "--episode 3"), ({"episode": 0, "number": 2}, "--number 2")):
        with pytest.raises(UserError, match=f"{said}: the search has ., counted from 0"):
            candidate(tmp_path / "other", **place)


@pytest.mark.parametrize(
    ("controller", "counts"),
    [({"kind": "random"}, [3, 1, 0]), ({"kind": "reinforce", "depth_episodes": 1}, None)],
    ids=["small-space", "policy"],
)
def test_candidates_that_nobody_proposes_end_with_nothing_to_try(
    work: Path, tiny_model: Path, tmp_path: Path, controller: dict[str, Any], counts: list[int] | None
) -> None:
    """A space of four shapes, and three episodes of three: candidates as jobs end where the search alone does."""
    space = Space(layers=[1, 2], hidden=[8], heads=[2], feed_forward=[16, 32])
    asked = {"controller": controller, "candidates": 3, "reward": LATENCY_FREE}
    settings = chosen(tiny_model, space=space, **asked)
    found, last = [], list[Path]()
    for episode in range(3):
        made = [tmp_path / f"jobs/{episode}-{number}" for number in range(3)]
        for number, out in enumerate(made):
            one = replace(settings, episode=episode, number=number)
            make(STAGES["candidate"], one, {**folders(work), "after": last}, out=out)
        found.append([own for folder in made if (own := read_json(folder / "finding.json"))["architecture"]])
        assert all(read_json(out / "finding.json") == {"architecture": None} for out in made[len(found[-1]) :])
        last = made
    assert min(map(len, found)) < 3 and (counts is None or [len(each) for each in found] == counts)
    make(STAGES["search"], settings, {**folders(work), "after": last}, out=tmp_path / "search")
    run(work, tiny_model, tmp_path / "alone/search", space=space, **asked)
    names = [own["name"] for episode in found for own in episode]
    assert trials(tmp_path / "search")["name"].tolist() == names == trials(tmp_path / "alone/search")["name"].tolist()


def test_a_search_without_a_proposal_is_refused(
    work: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilgrid.search.controllers.evolution.EvolutionController.ask", lambda *_: [])
    with pytest.raises(UserError, match="the controller proposed no architecture; widen the space"):
        run(work, tiny_model, tmp_path / "search")
