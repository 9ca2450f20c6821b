from dataclasses import replace

import numpy as np

from models_ml.profile import Validation, load_profile
from models_ml.validation.negative_controls import ControlResult, run_controls, shifted, shuffled
from models_ml.validation.out_of_fold import make_fit
from tests.support.panels import make_panel

DEMO = load_profile("equities_xs_demo")
SMALL = replace(
    DEMO, validation=Validation(min_group_sessions=20), controls=replace(DEMO.controls, repeats=2)
)
FIT = make_fit(SMALL, {"learning_rate": 0.1, "min_data_in_leaf": 20}, 10)


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


def test_controls_pass_on_a_sound_pipeline_although_the_signal_is_strong() -> None:
    results = run_controls(make_panel(names=40), SMALL, FIT)
    assert [result.name for result in results] == ["shuffled_labels", "shifted_labels"]
    for result in results:
        assert len(result.ics) == 2
        assert abs(result.ic) < 0.02
        assert result.passed


def test_a_label_that_follows_its_row_round_in_time_fails_the_control() -> None:
    """What the shifted control is for: a feature that gives away the label of any time."""
    panel = make_panel(names=40)
    trait = np.linspace(-1, 1, 40)[panel.security]
    leaky = panel.features.copy()
    leaky[:, 2] = trait
    cheat = replace(panel, features=leaky, ret_rel=0.02 * trait + panel.ret_rel)
    by_name = {result.name: result for result in run_controls(cheat, SMALL, FIT)}
    assert by_name["shuffled_labels"].passed
    assert not by_name["shifted_labels"].passed
    assert "FAIL" in by_name["shifted_labels"].line()


def test_the_bar_is_on_the_size_not_the_sign() -> None:
    assert ControlResult("x", (0.02,), 0.02, 0.02).passed
    assert not ControlResult("x", (-0.021,), -0.021, 0.02).passed
