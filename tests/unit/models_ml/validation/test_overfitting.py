from itertools import combinations
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from models_ml.validation.overfitting import probability_of_backtest_overfitting
from trademl.errors import ConfigError, DataError


def by_definition(data: np.ndarray, n_blocks: int) -> tuple[float, np.ndarray]:
    """CSCV in the words of the paper, one combination at a time."""
    rows = len(data) // n_blocks
    blocks = np.split(data[len(data) - rows * n_blocks :], n_blocks)
    logits = []
    for chosen in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(n_blocks) if i not in chosen])
        best = np.argmax(inside.mean(0) / inside.std(0, ddof=1))
        omega = rankdata(outside.mean(0) / outside.std(0, ddof=1))[best] / (data.shape[1] + 1)
        logits.append(np.log(omega / (1 - omega)))
    return float(np.mean(np.array(logits) <= 0)), np.array(logits)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), trials=st.integers(2, 9), blocks=st.sampled_from([2, 4, 6]),
    rows=st.integers(24, 61), drift=st.floats(-1.0, 1.0),
)  # fmt: skip
def test_pbo_equals_the_definition(seed, trials, blocks, rows, drift):
    data = np.random.default_rng(seed).standard_normal((rows, trials)) + drift
    result = probability_of_backtest_overfitting(data, blocks)
    pbo, logits = by_definition(data, blocks)
    assert result.pbo == pbo
    np.testing.assert_allclose(result.logits, logits, atol=1e-12)
    half = data[len(data) % blocks :][
        : len(data) // blocks * (blocks // 2)
    ]  # the first combination
    best = (half.mean(0) / half.std(0, ddof=1)).max()
    assert result.in_sample_sharpe[0] == pytest.approx(best, rel=1e-9)


def test_pbo_survives_a_mean_far_above_the_deviation():
    data = np.random.default_rng(3).standard_normal((64, 5)) * 1e-6 + 1e3
    assert probability_of_backtest_overfitting(data, 4).pbo == by_definition(data, 4)[0]


def test_pbo_without_a_choice_is_none():
    for data in (np.zeros((64, 1)), np.zeros((64, 0))):
        result = probability_of_backtest_overfitting(data, 4)
        assert result.pbo is None
        assert result.logits.size == 0
        assert result.probability_of_loss is None


def test_identical_trials_tie_at_the_median_and_count_as_overfit():
    column = np.random.default_rng(0).standard_normal((64, 1))
    result = probability_of_backtest_overfitting(np.repeat(column, 5, axis=1), 4)
    assert (result.logits == 0).all()
    assert result.pbo == 1.0


def test_flat_trials_rank_by_the_sign_of_their_mean():
    # A trial that never traded has Sharpe 0; one that earns the same every day has +inf.
    rng = np.random.default_rng(0)
    losing = rng.standard_normal((64, 3)) * 0.01 - 1.0
    data = np.column_stack([losing, np.zeros(64)])
    result = probability_of_backtest_overfitting(data, 4)
    assert (result.out_of_sample_sharpe == 0.0).all()
    assert result.pbo == 0.0
    always = probability_of_backtest_overfitting(np.column_stack([losing, np.full(64, 0.1)]), 4)
    assert (always.out_of_sample_sharpe == inf).all()
    assert always.degradation_slope is None


def test_oldest_rows_are_dropped_when_blocks_do_not_fill():
    data = np.random.default_rng(5).standard_normal((67, 4))
    full = probability_of_backtest_overfitting(data[3:], 8)
    np.testing.assert_array_equal(probability_of_backtest_overfitting(data, 8).logits, full.logits)


def test_degradation_and_loss_describe_the_chosen_trial():
    data = np.random.default_rng(42).standard_normal((512, 20)) * 0.01
    data -= data.mean(axis=0)
    result = probability_of_backtest_overfitting(data, 8)
    assert result.degradation_slope is not None
    assert result.degradation_slope < -0.5  # the better inside, the worse outside
    assert result.probability_of_loss == 1.0
    slope = np.polyfit(result.in_sample_sharpe, result.out_of_sample_sharpe, 1)[0]
    assert result.degradation_slope == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize("n_blocks", [0, 1, 7, 22])
def test_odd_or_extreme_numbers_of_blocks_are_refused(n_blocks):
    with pytest.raises(ConfigError):
        probability_of_backtest_overfitting(np.zeros((100, 3)), n_blocks)


def test_bad_returns_are_refused():
    with pytest.raises(DataError, match="shape"):
        probability_of_backtest_overfitting(np.zeros(10), 2)
    with pytest.raises(DataError, match="finite"):
        probability_of_backtest_overfitting(np.array([[1.0, np.nan]] * 8), 2)
    with pytest.raises(DataError, match="do not fill"):
        probability_of_backtest_overfitting(np.zeros((3, 2)), 2)
