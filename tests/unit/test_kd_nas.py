"""The controller of KD-NAS: its exploration, and what its predictor reads and learns."""

from typing import Any

import numpy as np
import torch
from tests.unit.landscape import LAYERED, SPACE, observe

from distilgrid.search.architecture import LayeredShape, Shape
from distilgrid.search.controllers.kd_nas import KDNASController, RewardPredictor
from distilgrid.search.controllers.settings import KDNAS


class Recording(RewardPredictor):
    """A predictor that notes what it is given."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.predicted: list[tuple[Any, list[Any], list[float]]] = []
        self.fitted: list[tuple[Any, list[Any]]] = []

    def predict(self, bests: Any, candidates: Any) -> list[float]:
        found = super().predict(bests, candidates)
        self.predicted.append((bests, list(candidates), found))
        return found

    def fit(self, bests: Any, rewards: Any) -> None:
        self.fitted.append((bests, list(rewards)))


def controller_with(settings: KDNAS) -> tuple[KDNASController, Recording]:
    controller = KDNASController(SPACE, settings, seed=0)
    controller._predictor = predictor = Recording(SPACE, settings, seed=0)
    return controller, predictor


def test_random_candidates_fall_from_all_to_the_floor() -> None:
    controller, predictor = controller_with(KDNAS())
    shares, predicted = [], []
    for _ in range(25):
        shares.append(controller.epsilon)
        before = len(predictor.predicted)
        asked = controller.ask(20)
        assert len(set(asked)) == 20
        best_first = []
        if len(predictor.predicted) > before:
            _, pool, rewards = predictor.predicted[-1]
            assert len(pool) == 128
            best_first = [pool[at] for at in np.argsort([-reward for reward in rewards], kind="stable")]
        count = sum(shape in best_first for shape in asked)
        assert asked[20 - count :] == best_first[:count]
        predicted.append(count)
        controller.tell([observe(shape) for shape in asked])
    assert np.allclose(shares, [max(0.05, 1 - 0.05 * episode) for episode in range(25)])
    assert np.allclose(predicted, [20 * (1 - share) for share in shares], atol=1)
    assert predicted[0] == 0


def test_a_share_of_less_than_one_candidate_still_explores_at_times() -> None:
    controller, predictor = controller_with(KDNAS(epsilon=0.25, epsilon_floor=0.25, pool=4))
    asked = [controller.ask(2) for _ in range(200)]
    pools = [set(pool) for _, pool, _ in predictor.predicted]
    explored = sum(not set(pair) <= pool for pair, pool in zip(asked, pools, strict=True))
    assert 70 < explored < 130  # half of the episodes have one random candidate of two


def test_the_predictor_is_trained_behind_the_bests_it_was_used_with() -> None:
    controller, predictor = controller_with(KDNAS())
    by_reward = sorted(map(observe, SPACE.sample(9, seed=0)), key=lambda seen: -seen.reward)
    episodes = [by_reward[:2], by_reward[6:], by_reward[4:6]]
    for told in episodes:
        controller.tell(told)
    top, poor = by_reward[0], by_reward[6]
    assert predictor.fitted[0][0] == (None, None)
    assert predictor.fitted[1][0] == (top.architecture, top.architecture)
    bests, rows = predictor.fitted[2]
    assert bests == (poor.architecture, top.architecture)  # the previous episode's, the global one
    assert set(rows) == {(seen.architecture, seen.reward) for seen in [*episodes[2], poor, top]}


def test_all_that_was_tried_can_be_trained_on() -> None:
    controller, predictor = controller_with(KDNAS(memory="all"))
    seen = [observe(shape) for shape in SPACE.sample(6, seed=0)]
    for at in range(0, 6, 2):
        controller.tell(seen[at : at + 2])
    assert set(predictor.fitted[-1][1]) == {(one.architecture, one.reward) for one in seen}


def test_targets_can_be_standardised_over_all_that_was_observed() -> None:
    controller, predictor = controller_with(KDNAS(targets="standardised"))
    seen = [observe(shape) for shape in SPACE.sample(4, seed=0)]
    controller.tell(seen[:2])
    controller.tell(seen[2:])
    rewards = np.array([one.reward for one in seen])
    expected = dict(zip([one.architecture for one in seen], (rewards - rewards.mean()) / rewards.std(), strict=True))
    for shape, target in predictor.fitted[-1][1]:
        assert np.isclose(target, expected[shape])
    alone, single = controller_with(KDNAS(targets="standardised"))
    alone.tell(seen[:1])
    assert single.fitted[-1][1] == [(seen[0].architecture, 0.0)]


def test_what_was_tried_is_not_proposed_again_unless_set() -> None:
    for repeats in (False, True):
        controller, _ = controller_with(KDNAS(epsilon=0, epsilon_floor=0, pool=10_000, repeats=repeats))
        first = controller.ask(30)
        controller.tell([observe(shape) for shape in first])
        assert bool(set(first) & set(controller.ask(30))) == repeats


def test_codes_are_places_with_shorter_architectures_padded() -> None:
    predictor = RewardPredictor(LAYERED, KDNAS(), seed=0)
    short, long = LayeredShape((192,), (384,), 12), LayeredShape((96, 96, 96, 192), (192, 192, 192, 768), 6)
    codes = predictor.inputs((None, short), [long]).tolist()
    assert codes == [
        [
            [0] * 11,
            [1, 2, 1, 2, 2, 0, 0, 0, 0, 0, 0],
            [4, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3],
        ]
    ]


def test_the_model_is_an_lstm_over_three_architectures() -> None:
    settings = KDNAS(embedding=3, hidden=4)
    model = RewardPredictor(SPACE, settings, seed=0)
    codes = torch.tensor([[[0] * 5, [1, 2, 1, 1, 1], [6, 7, 5, 6, 3]]])
    weights = {name: values.detach().double().numpy() for name, values in model.named_parameters()}
    h = c = np.zeros(4)
    for row in codes[0].tolist():
        x = np.concatenate([weights[f"embeddings.{at}.weight"][code] for at, code in enumerate(row)])
        gates = weights["lstm.weight_ih_l0"] @ x + weights["lstm.bias_ih_l0"]
        i, f, g, o = np.split(gates + weights["lstm.weight_hh_l0"] @ h + weights["lstm.bias_hh_l0"], 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    expected = weights["reward.weight"][0] @ h + weights["reward.bias"][0]
    assert np.allclose(model(codes).item(), expected, atol=1e-6)
    assert RewardPredictor(SPACE, KDNAS(), seed=0).lstm.input_size == 5 * 32


def test_the_predictor_learns_an_order() -> None:
    predictor = RewardPredictor(SPACE, KDNAS(learning_rate=1e-3, epochs=20, batch_size=4), seed=0)
    shapes = SPACE.sample(120, seed=0)
    wanted = {shape: float(shape.layers >= 4) for shape in shapes}
    bests: tuple[Shape | None, Shape | None] = (None, shapes[0])
    predictor.fit(bests, [(shape, wanted[shape]) for shape in shapes[:80]])
    found = predictor.predict(bests, shapes[80:])
    assert np.corrcoef(found, [wanted[shape] for shape in shapes[80:]])[0, 1] > 0.5
