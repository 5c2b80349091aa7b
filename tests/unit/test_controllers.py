"""Controllers: what they propose, that a replay gives the same, that they find what there is to find."""

import importlib.util
import logging
import random
import statistics
import warnings
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from tests.unit.landscape import LAYERED, SPACE, observe, search

from distilgrid.core.errors import UserError
from distilgrid.search.controllers.registry import CONTROLLERS, Observation, build_controller
from distilgrid.search.controllers.settings import (
    KDNAS,
    ControllerSettings,
    Evolution,
    Optuna,
    RandomSearch,
    Reinforce,
)
from distilgrid.search.space import Space

FAST: dict[str, Any] = {
    "random": RandomSearch(),
    "evolution": Evolution(population=5, tournament=3),
    "kd_nas": KDNAS(pool=20, epochs=1, epsilon_step=0.4),
    "reinforce": Reinforce(depth_episodes=2),
    "tpe": Optuna(startup=5),
    "nsga2": Optuna(sampler="nsga2", population=4),
}
LEARNING = [name for name in FAST if name != "random"]
TINY = Space(layers=[1, 2], hidden=[8], heads=[2], feed_forward=[8, 16, 32])


def build(name: str, space: Any = SPACE, seed: int = 0) -> Any:
    return build_controller(FAST[name], space, seed=seed)


def test_every_registered_controller_is_tested() -> None:
    assert {settings.kind for settings in FAST.values()} == set(CONTROLLERS)


@pytest.mark.parametrize("space", [SPACE, LAYERED], ids=["homogeneous", "layered"])
@pytest.mark.parametrize("name", FAST)
def test_a_replay_of_asks_and_tells_gives_the_same_next_candidates(name: str, space: Any) -> None:
    def run() -> tuple[list[Any], list[Any]]:
        controller = build(name, space)
        asked = []
        for _ in range(4):
            asked.append(controller.ask(6))
            controller.tell([observe(candidate) for candidate in asked[-1]])
        return asked, controller.ask(6)

    torch_state = random.getstate()
    first, following = run()
    again, replayed = run()
    assert first == again and following == replayed
    assert random.getstate() == torch_state  # no global state
    assert first[0] != build(name, space, seed=1).ask(6)
    for candidates in [*first, following]:
        assert 0 < len(candidates) == len(set(candidates)) <= 6
        assert all(space.allows(candidate) for candidate in candidates)


@pytest.mark.parametrize("name", FAST)
def test_a_space_can_be_searched_to_its_end(name: str) -> None:
    controller, seen = build(name, TINY), set()
    for _ in range(12):
        asked = controller.ask(4)
        controller.tell([observe(candidate) for candidate in asked])
        seen |= set(asked)
        if name != "reinforce" and seen == set(TINY.shapes):
            break
    if name == "reinforce":
        assert {shape.layers for shape in seen} == {1, 2} and len(seen) >= 4
    else:
        assert seen == set(TINY.shapes) and controller.ask(4) == []


@pytest.mark.parametrize("name", FAST)
def test_candidates_that_nothing_became_of_do_no_harm(name: str) -> None:
    controller = build(name)
    controller.ask(4)
    controller.tell([])
    asked = controller.ask(4)
    controller.tell([observe(candidate) for candidate in asked[:2]])
    assert len(set(controller.ask(4))) == 4


def test_evolution_mutates_one_choice_of_the_best_of_a_tournament() -> None:
    controller = build_controller(Evolution(population=4, tournament=4), SPACE, seed=0)
    founders = controller.ask(4)
    controller.tell([observe(founder) for founder in founders])
    fittest = max(founders, key=lambda founder: observe(founder).reward)
    assert set(controller.ask(6)) <= set(SPACE.neighbours(fittest))


def test_evolution_forgets_the_oldest_however_good() -> None:
    controller = build_controller(Evolution(population=2, tournament=2), SPACE, seed=0)
    ranked = sorted(SPACE.sample(40, seed=1), key=lambda shape: -observe(shape).reward)
    controller.tell([observe(shape) for shape in ranked[:1]])
    controller.tell([observe(shape) for shape in ranked[20:22]])
    assert set(controller.ask(5)) <= set(SPACE.neighbours(ranked[20]))


def test_optuna_is_quiet_and_leaves_logging_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("optuna")  # sets its own level when it is imported
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search(FAST["tpe"], seed=0, episodes=2, count=4)
    assert logger.level == level and not caplog.records


def test_optuna_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'optuna' needs optuna: pip install 'distilgrid\[search\]'"):
        build("tpe")


def test_settings_are_chosen_by_kind() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ControllerSettings)
    assert adapter.validate_python({"kind": "optuna", "sampler": "nsga2"}) == Optuna(sampler="nsga2")
    with pytest.raises(ValidationError, match="larger than population"):
        adapter.validate_python({"kind": "evolution", "population": 3, "tournament": 4})


@pytest.mark.parametrize("space", [SPACE, LAYERED], ids=["homogeneous", "layered"])
@pytest.mark.parametrize("name", FAST)
def test_what_does_not_fit_is_not_proposed(name: str, space: Any) -> None:
    median = statistics.median(observe(each).latency_ms for each in space.sample(200, seed=0))

    def fast(architecture: Any) -> bool:
        return observe(architecture).latency_ms <= median

    controller = build_controller(FAST[name], space, seed=0, fits=fast)
    for _ in range(5):
        asked = controller.ask(6)
        assert asked and all(map(fast, asked))
        controller.tell([observe(candidate) for candidate in asked])


@pytest.mark.parametrize("name", FAST)
def test_a_space_without_any_fit_ends_the_search_or_is_left_to_the_penalty(name: str) -> None:
    controller = build_controller(FAST[name], TINY, seed=0, fits=lambda architecture: False)
    asked = controller.ask(4)
    assert asked == [] or name == "reinforce", "the policy's draws are penalised instead"


def test_nsga2_is_told_of_the_penalty() -> None:
    controller = build(name="nsga2")
    asked = controller.ask(3)
    controller.tell([Observation(each, 0.4, 0.9, 7.0, penalty=0.5) for each in asked])
    assert [trial.values for trial in controller._study.trials] == [pytest.approx([0.4, 7.0])] * 3
