from dataclasses import replace

import numpy as np
import pytest

from models_ml.data.panel import Panel
from models_ml.profile import TrainingProfile, Validation, load_profile
from models_ml.validation.evaluation import mean_ic, session_ics
from models_ml.validation.negative_controls import (
    KINDS,
    ControlResult,
    lagged,
    run_controls,
    shifted,
    shuffled,
)
from models_ml.validation.out_of_fold import Fit, cross_predict, make_fit
from tests.support.panels import make_market, make_panel

DEMO = load_profile("equities_xs_demo")
SMALL = replace(
    DEMO, validation=Validation(min_group_sessions=20), controls=replace(DEMO.controls, repeats=2)
)
ONCE = replace(SMALL, controls=replace(DEMO.controls, repeats=1))
FIT = make_fit(SMALL, {"learning_rate": 0.1, "min_data_in_leaf": 20}, 10)
QUICK = make_fit(SMALL, {"learning_rate": 0.3, "min_data_in_leaf": 20, "num_leaves": 7}, 4)


def test_shuffling_keeps_the_labels_of_each_session_but_not_their_owners() -> None:
    panel = make_panel()
    mixed = shuffled(panel, 1)
    for session in (0, 57, 199):
        own = panel.session == session
        assert sorted(mixed.ret_rel[own]) == sorted(panel.ret_rel[own])
    assert np.mean(mixed.ret_rel == panel.ret_rel) < 0.1
    assert np.allclose(mixed.ret - mixed.ret_rel, panel.ret - panel.ret_rel)
    assert not np.array_equal(shuffled(panel, 2).ret_rel, mixed.ret_rel)


def test_shifting_gives_each_name_its_own_label_of_another_time() -> None:
    panel = make_panel(names=3, sessions=100)
    moved = shifted(panel, 0.25)
    source = panel.ret_rel.reshape(100, 3)
    assert np.array_equal(moved.ret_rel.reshape(100, 3), np.roll(source, 25, axis=0))


def test_shifting_leaves_out_rows_without_a_label_to_receive() -> None:
    panel = make_panel(names=3, sessions=100)
    young = panel.take((panel.security > 0) | (panel.session >= 60))
    moved = shifted(young, 0.5)
    assert np.unique(moved.session[moved.security == 0]).tolist() == []
    assert np.sum(moved.security == 1) == 100


def judged(
    panel: Panel, profile: TrainingProfile = ONCE, fit: Fit = QUICK
) -> dict[str, ControlResult]:
    """The trained controls of a panel of which trials see every row, by name."""
    paths = cross_predict(panel, profile, [fit])[0]
    ic = mean_ic(session_ics(panel, paths))
    return {result.name: result for result in run_controls(panel, panel, profile, fit, ic)}


def with_feature(panel: Panel, values: np.ndarray) -> Panel:
    """The panel with other values of its last feature, which tells nothing."""
    features = panel.features.copy()
    features[:, 2] = values
    return replace(panel, features=features)


def failed(results: dict[str, ControlResult]) -> set[str]:
    return {name for name, result in results.items() if not result.passed}


def test_an_honest_signal_passes_all_that_are_trained() -> None:
    results = judged(make_market(signal=0.002).panel, SMALL, FIT)
    assert list(results) == ["plausible_ic", "lagged_features", "shuffled_labels", "shifted_labels"]
    assert failed(results) == set()
    assert results["plausible_ic"].ic > 0.05
    assert results["lagged_features"].ic > 0.6 * results["plausible_ic"].ic
    for name in ("shuffled_labels", "shifted_labels"):
        assert len(results[name].ics) == 2
        assert abs(results[name].ic) < 0.02


def test_a_feature_that_is_the_future_is_not_plausible() -> None:
    """Shuffled and shifted labels cannot see it; of five sessions four are still ahead a day on."""
    panel = make_market().panel
    results = judged(with_feature(panel, panel.ret_rel))
    assert failed(results) == {"plausible_ic", "lagged_features"}
    assert results["plausible_ic"].ic > 0.9
    assert results["lagged_features"].ic > 0.6
    assert "FAIL" in results["plausible_ic"].line()


def test_a_leak_of_the_session_that_follows_is_gone_a_session_later() -> None:
    """The first day of the label's window beneath three times as much noise: the IC is credible."""
    market = make_market(signal=0.0)
    panel = market.panel
    first_day = market.closes[2:-4] / market.closes[1:-5] - 1
    noise = np.random.default_rng(5).standard_normal(len(panel))
    leak = first_day[: panel.session.max() + 1].ravel() / 0.02 + 3 * noise
    results = judged(with_feature(panel, leak))
    assert failed(results) == {"lagged_features"}
    assert 0.08 < results["plausible_ic"].ic < 0.2
    assert "without the delay" in results["lagged_features"].line()


def test_nothing_is_asked_of_the_delay_where_there_is_no_signal() -> None:
    results = judged(make_market(names=10, sessions=200, signal=0.0).panel)
    assert results["lagged_features"].floor is None
    assert results["lagged_features"].passed


def test_delayed_rows_have_the_features_of_the_session_before() -> None:
    panel = make_panel(names=3, sessions=21)
    delayed = lagged(panel, panel.every(5))
    assert np.unique(delayed.session).tolist() == [5, 10, 15, 20]
    before = np.isin(panel.session, [4, 9, 14, 19])
    assert np.array_equal(delayed.features, panel.features[before])
    assert np.array_equal(delayed.ret_rel, panel.ret_rel[np.isin(panel.session, [5, 10, 15, 20])])


def test_a_label_that_follows_its_row_round_in_time_fails_the_control() -> None:
    """What the shifted control is for: a feature that gives away the label of any time."""
    panel = make_panel(names=40)
    trait = np.linspace(-1, 1, 40)[panel.security]
    cheat = replace(with_feature(panel, trait), ret_rel=0.02 * trait + panel.ret_rel)
    results = judged(cheat, SMALL, FIT)
    assert results["shuffled_labels"].passed
    assert not results["shifted_labels"].passed
    assert "FAIL" in results["shifted_labels"].line()


@pytest.mark.parametrize("name", KINDS)
def test_every_control_says_what_it_sees_and_what_not(name: str) -> None:
    assert len(KINDS[name].sees) > 20
    assert len(KINDS[name].blind_to) > 20


def test_the_bar_is_on_the_size_not_the_sign() -> None:
    assert ControlResult("x", (0.02,), 0.02, 0.02).passed
    assert not ControlResult("x", (-0.021,), -0.021, 0.02).passed
    assert ControlResult("x", (0.03,), 0.03, 0.2, floor=0.03).passed
    assert not ControlResult("x", (0.02,), 0.02, 0.2, floor=0.03).passed
    assert not ControlResult("x", (), 0.0, 0.0, offending=1).passed
