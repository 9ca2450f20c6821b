from dataclasses import replace

import numpy as np
import pytest

from models_ml.data.panel import Panel
from models_ml.profile import LabelChoice, Validation, load_profile
from models_ml.validation.out_of_fold import (
    check_groups,
    cross_predict,
    make_fit,
    splits,
    target_of,
)
from tests.support.panels import make_panel
from trademl.errors import DataError

DEMO = load_profile("equities_xs_demo")
SMALL = replace(DEMO, validation=Validation(min_group_sessions=20), threads=2)
FIT = make_fit(SMALL, {"learning_rate": 0.1, "min_data_in_leaf": 20}, 5)


def ragged() -> Panel:
    """A panel of which a third of the rows is missing and some labels end much later."""
    panel = make_panel(names=12, sessions=240)
    generator = np.random.default_rng(5)
    late = np.where(generator.random(len(panel)) < 0.05, 15, 0).astype(np.int32)
    longer = replace(panel, label_end=panel.label_end + late)
    return longer.take(generator.random(len(panel)) < 0.67)


@pytest.mark.parametrize("panel", [make_panel(), ragged(), ragged().every(5)])
def test_no_label_is_shared_by_train_and_test(panel: Panel) -> None:
    embargo = SMALL.validation.embargo_sessions
    seen = np.zeros(len(panel), dtype=int)
    for train, test in splits(panel, SMALL.validation):
        seen[test] += 1
        covered = np.zeros(panel.label_end.max() + 2, dtype=int)
        np.add.at(covered, panel.label_start[test], 1)
        np.add.at(covered, panel.label_end[test] + 1, -1)
        is_tested = np.r_[0, np.cumsum(np.cumsum(covered) > 0)]
        overlap = is_tested[panel.label_end[train] + 1] - is_tested[panel.label_start[train]]
        assert len(train) > 0
        assert overlap.max() == 0
        assert not np.intersect1d(panel.session[train], panel.session[test]).size
        tested_until = np.unique(panel.label_end[test])
        since = (
            panel.session[train]
            - tested_until[np.maximum(np.searchsorted(tested_until, panel.session[train]) - 1, 0)]
        )
        after = panel.session[train] > tested_until[0]
        assert (since[after] > embargo).all()
    assert set(seen) == {7}


def test_a_row_is_predicted_on_every_path_by_models_blind_to_its_label() -> None:
    panel = make_panel()
    before = cross_predict(panel, SMALL, [FIT])
    assert np.isfinite(before).all()
    assert before.shape == (1, 7, len(panel))
    first_group = panel.session < 25
    spoilt = replace(panel, ret_rel=np.where(first_group, -panel.ret_rel, panel.ret_rel))
    after = cross_predict(spoilt, SMALL, [FIT])
    assert np.array_equal(before[:, :, first_group], after[:, :, first_group])
    assert not np.array_equal(before[:, :, ~first_group], after[:, :, ~first_group])


def test_the_same_bits_on_any_number_of_threads() -> None:
    panel = make_panel()
    one = cross_predict(panel, replace(SMALL, threads=1), [FIT])
    three = cross_predict(panel, replace(SMALL, threads=3), [FIT])
    assert np.array_equal(one, three)


def test_every_fit_gets_its_own_predictions() -> None:
    other = make_fit(SMALL, {"learning_rate": 0.01, "min_data_in_leaf": 20}, 5)
    panel = make_panel(sessions=160)
    both = cross_predict(panel, SMALL, [FIT, other])
    assert np.array_equal(both[1], cross_predict(panel, SMALL, [other])[0])
    assert both[0].std() > 2 * both[1].std()


def test_rows_of_little_weight_are_left_out_of_training_but_predicted() -> None:
    panel = make_panel(sessions=400)
    half = replace(SMALL, weights=replace(SMALL.weights, half_life_months=4.0))
    cut = cross_predict(panel, half, [FIT], min_weight=0.5)
    assert np.isfinite(cut).all()
    old = panel.session < 100
    spoilt = replace(panel, ret_rel=np.where(old, -panel.ret_rel, panel.ret_rel))
    assert np.array_equal(cross_predict(spoilt, half, [FIT], min_weight=0.5), cut)
    assert not np.array_equal(cross_predict(panel, half, [FIT]), cut)


def test_groups_are_counted_in_sessions_also_when_trials_skip_some() -> None:
    panel = make_panel(sessions=200)
    assert check_groups(panel, SMALL.validation) == (25,) * 8
    assert sum(check_groups(panel.every(5), SMALL.validation)) == 196


def test_too_short_a_history_is_refused_with_its_numbers() -> None:
    with pytest.raises(DataError, match=r"1000 sessions .* 8 out-of-sample .* 126 need 1008"):
        check_groups(make_panel(names=2, sessions=1000), DEMO.validation)
    assert check_groups(make_panel(names=2, sessions=1008), DEMO.validation) == (126,) * 8


def test_targets() -> None:
    panel = make_panel(names=5, sessions=2)
    ranks = target_of(panel, LabelChoice(target="rank"))
    order = panel.ret_rel[:5].argsort()
    assert ranks[:5][order].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    clipped = target_of(panel, LabelChoice(target="clipped", clip=0.01))
    assert np.abs(clipped).max() == pytest.approx(0.01)
    assert np.sign(clipped).tolist() == np.sign(panel.ret_rel).tolist()
