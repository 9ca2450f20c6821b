from dataclasses import replace

import numpy as np
import pytest

from models_ml.data.panel import ENDINGS, Panel
from models_ml.profile import Strategy, TrainingProfile, load_profile
from models_ml.validation.evaluation import evaluate
from models_ml.validation.strategy import make_tape, strategy_returns
from tests.support.panels import make_panel

DEMO = load_profile("equities_xs_demo")
LONG_SHORT = Strategy(kind="long_short", quantile=0.25, cost_bps=10.0, borrow_rate_ann=0.0)
LONG_ONLY = Strategy(kind="long_only", quantile=0.25, cost_bps=10.0)


def four_names() -> Panel:
    """Four names, six sessions, traded at sessions 0 and 5; the best and the worst change sides."""
    panel = make_panel(names=4, sessions=6)
    ret = np.zeros(24)
    ret[:4] = [0.10, 0.02, 0.00, -0.04]
    ret[20:] = [0.01, 0.03, 0.05, 0.07]
    return replace(panel, ret=ret)


PREDICTION = np.zeros(24, dtype=np.float32)
PREDICTION[:4] = [4, 3, 2, 1]
PREDICTION[20:] = [1, 2, 3, 4]


def profile_with(strategy: Strategy) -> TrainingProfile:
    return replace(DEMO, strategy=strategy)


def test_long_short_worked_by_hand() -> None:
    tape = make_tape(four_names(), profile_with(LONG_SHORT))
    run = strategy_returns(tape, PREDICTION, LONG_SHORT)
    assert run.gross.tolist() == pytest.approx([0.10 + 0.04, 0.07 - 0.01])
    assert run.turnover.tolist() == pytest.approx([2.0, 4.0])
    assert run.net.tolist() == pytest.approx([0.14 - 0.002, 0.06 - 0.004])
    assert tape.periods_per_year == pytest.approx(252 / 5)


def test_long_only_is_measured_against_the_universe() -> None:
    tape = make_tape(four_names(), profile_with(LONG_ONLY))
    run = strategy_returns(tape, PREDICTION, LONG_ONLY)
    assert run.gross.tolist() == pytest.approx([0.10 - 0.02, 0.07 - 0.04])
    assert run.turnover.tolist() == pytest.approx([1.0, 2.0])


def test_shorts_pay_the_borrow_rate_for_as_long_as_they_are_held() -> None:
    panel = four_names()
    end = panel.label_start + np.int32(5)
    end[3] += 58  # The first period's short is held over a halt.
    profile = profile_with(replace(LONG_SHORT, borrow_rate_ann=0.0252))
    run = strategy_returns(
        make_tape(replace(panel, label_end=end), profile), PREDICTION, profile.strategy
    )
    cost = run.turnover * 10e-4
    borrowed = [0.0252 * 63 / 252, 0.0252 * 5 / 252]
    assert (run.gross - cost - run.net).tolist() == pytest.approx(borrowed)
    assert borrowed == pytest.approx([0.0063, 0.0005])


def test_what_could_not_be_entered_borrows_nothing() -> None:
    panel = four_names()
    panel.ending[20] = ENDINGS.index("not_entered")
    profile = profile_with(replace(LONG_SHORT, borrow_rate_ann=0.0252))
    run = strategy_returns(make_tape(panel, profile), PREDICTION, profile.strategy)
    assert (run.gross - run.net)[1] == pytest.approx(run.turnover[1] * 10e-4)


def test_long_only_borrows_nothing() -> None:
    dear = replace(LONG_ONLY, borrow_rate_ann=0.5)
    tape = make_tape(four_names(), profile_with(dear))
    run = strategy_returns(tape, PREDICTION, dear)
    assert run.net.tolist() == pytest.approx((run.gross - run.turnover * 10e-4).tolist())


def test_a_prediction_without_opinion_earns_nothing() -> None:
    tape = make_tape(four_names(), profile_with(LONG_SHORT))
    run = strategy_returns(tape, np.zeros(24, dtype=np.float32), LONG_SHORT)
    assert run.net.tolist() == [0.0, 0.0]


def test_a_name_that_disappears_is_sold() -> None:
    panel = four_names()
    kept = panel.take(~((panel.session == 5) & (panel.security == 0)))
    tape = make_tape(kept, profile_with(LONG_SHORT))
    run = strategy_returns(tape, np.delete(PREDICTION, 20), LONG_SHORT)
    # Sold: name 0 long, and name 3 from short to long; bought short: name 1.
    assert run.turnover[1] == pytest.approx(1 + 2 + 1)


def test_periods_do_not_overlap() -> None:
    panel = make_panel(sessions=200)
    tape = make_tape(panel, DEMO)
    entry = np.unique(panel.session[tape.rows])
    assert np.diff(entry).tolist() == [5] * 39
    assert np.all(panel.label_end[tape.rows][tape.period == 0] < panel.label_start[tape.rows][-1])


def test_stride_of_the_trials_leaves_the_periods_where_they_are() -> None:
    panel = make_panel(sessions=200)
    every = np.unique(panel.session[make_tape(panel, DEMO).rows])
    fifth = panel.every(5)
    assert np.unique(fifth.session[make_tape(fifth, DEMO).rows]).tolist() == every.tolist()


def test_a_path_that_does_not_move_scores_nothing_with_the_moments_of_a_normal() -> None:
    profile = profile_with(LONG_SHORT)
    score = evaluate(four_names(), profile, np.zeros((1, 24), dtype=np.float32)).score
    assert (score.sharpe, score.sharpe_ann, score.max_drawdown) == (0.0, 0.0, 0.0)
    assert (score.skew, score.kurtosis) == (0.0, 3.0)
