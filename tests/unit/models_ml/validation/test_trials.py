"""What counts as another configuration, the N of the deflated Sharpe ratio."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from models_ml.profile import Losses, Plausible, TrainingProfile, Universe, load_profile
from models_ml.validation.trials import configuration_id

FEATURES = ("feat_mom_5", "feat_rv_20")
PARAMS = {"learning_rate": 0.05}
Change = Callable[[TrainingProfile], TrainingProfile]

VARIED: dict[str, Change] = {
    "quantile": lambda p: replace(p, strategy=replace(p.strategy, quantile=0.3)),
    "long only": lambda p: replace(p, strategy=replace(p.strategy, kind="long_only")),
    "cost": lambda p: replace(p, strategy=replace(p.strategy, cost_bps=0.0)),
    "seed": lambda p: replace(p, seed=43),
    "half-life": lambda p: replace(p, weights=replace(p.weights, half_life_months=60.0)),
    "groups": lambda p: replace(p, validation=replace(p.validation, groups=6)),
    "borrow rate": lambda p: replace(p, strategy=replace(p.strategy, borrow_rate_ann=0.0)),
    "loss": lambda p: replace(p, label=replace(p.label, losses=Losses(long_halt_return=0.0))),
    "clip": lambda p: replace(p, label=replace(p.label, clip=0.1)),
    "min weight": lambda p: replace(p, trials=replace(p.trials, min_weight=0.5)),
    "common parameter": lambda p: replace(p, lightgbm={**p.lightgbm, "num_leaves": 7}),
}
THE_SAME: dict[str, Change] = {
    "purpose": lambda p: replace(p, purpose="Another sentence."),
    "threads": lambda p: replace(p, threads=p.threads + 1),
    "gates": lambda p: replace(p, gates=None),
    "reason of a loss": lambda p: replace(
        p, label=replace(p.label, losses=replace(p.label.losses, reason="Another sentence."))
    ),
    "universe": lambda p: replace(p, universe=Universe(min_names=0.5)),
    "plausible": lambda p: replace(
        p, controls=replace(p.controls, plausible=Plausible(max_ic=0.3))
    ),
    "order of the grid": lambda p: replace(p, trials=replace(p.trials, grid=p.trials.grid[::-1])),
}


@pytest.fixture
def demo() -> TrainingProfile:
    return load_profile("equities_xs_demo")


@pytest.mark.parametrize("what", VARIED)
def test_whatever_was_varied_is_another_configuration(demo: TrainingProfile, what: str) -> None:
    first = configuration_id(demo, FEATURES, PARAMS)
    assert configuration_id(VARIED[what](demo), FEATURES, PARAMS) != first


def test_other_features_and_parameters_are_another_configuration(demo: TrainingProfile) -> None:
    ids = {
        configuration_id(demo, FEATURES, PARAMS),
        configuration_id(demo, FEATURES[:1], PARAMS),
        configuration_id(demo, FEATURES, {"learning_rate": 0.1}),
    }
    assert len(ids) == 3


@pytest.mark.parametrize("what", THE_SAME)
def test_what_changes_no_result_is_the_same_configuration(demo: TrainingProfile, what: str) -> None:
    first = configuration_id(demo, FEATURES, PARAMS)
    assert configuration_id(THE_SAME[what](demo), FEATURES, PARAMS) == first
