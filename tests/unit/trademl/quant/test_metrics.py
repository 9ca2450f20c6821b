from dataclasses import asdict
from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from trademl.errors import DataError
from trademl.quant.metrics import max_drawdown, performance, sharpe_ratio, skew_and_kurtosis


def test_moments_and_rates_by_their_definitions():
    returns = np.random.default_rng(0).standard_normal(500) * 0.01 + 0.0005
    metrics = performance(returns, 252)
    wealth = np.cumprod(1 + returns)
    peak = np.maximum.accumulate(np.concatenate([[1.0], wealth]))[1:]
    assert metrics.total_return == pytest.approx(wealth[-1] - 1)
    assert metrics.annual_return == pytest.approx(wealth[-1] ** (252 / 500) - 1)
    assert metrics.annual_volatility == pytest.approx(returns.std(ddof=1) * sqrt(252))
    assert metrics.sharpe == pytest.approx(metrics.sharpe_per_period * sqrt(252))
    assert metrics.sharpe_per_period == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert metrics.max_drawdown == pytest.approx((wealth / peak).min() - 1)
    assert metrics.calmar == pytest.approx(metrics.annual_return / -metrics.max_drawdown)
    assert metrics.skew == pytest.approx(skew(returns))
    assert metrics.kurtosis == pytest.approx(kurtosis(returns, fisher=False))
    assert metrics.win_rate == np.mean(returns > 0)


def test_a_first_day_loss_is_a_drawdown_from_the_start():
    assert performance(np.array([-0.2, 0.1]), 252).max_drawdown == pytest.approx(-0.2)


def test_measures_worked_by_hand():
    assert sharpe_ratio(np.array([0.01, 0.03])) == pytest.approx(0.02 / (0.01 * sqrt(2)))
    assert max_drawdown(np.array([0.10, -0.50, 0.20, -0.20])) == pytest.approx(0.96 * 0.5 - 1)
    assert max_drawdown(np.array([-0.25, 0.10])) == pytest.approx(-0.25)
    sample = np.random.default_rng(0).exponential(size=100_000)
    measured_skew, measured_kurtosis = skew_and_kurtosis(sample)
    assert measured_skew == pytest.approx(2, abs=0.1)
    assert measured_kurtosis == pytest.approx(9, abs=0.7)


@pytest.mark.parametrize("n", [2, 9, 250, 5000])
def test_a_constant_has_no_sharpe_and_no_moments_whatever_rounding_leaves(n):
    for constant in (np.full(n, 0.1), np.full(n, 0.1) + np.resize([0.0, 1e-15], n)):
        assert isnan(sharpe_ratio(constant))
        assert all(isnan(moment) for moment in skew_and_kurtosis(constant))


def test_a_small_movement_on_a_large_mean_is_no_rounding_noise():
    series = 0.1 + np.resize([0.0, 1e-12], 100)
    assert sharpe_ratio(series) > 1e11


def test_a_missing_return_takes_time_but_is_no_observation():
    with_gap = performance(np.array([0.01, np.nan, 0.03]), 252)
    without = performance(np.array([0.01, 0.03]), 252)
    assert with_gap.sharpe == without.sharpe
    assert with_gap.total_return == without.total_return
    assert with_gap.annual_return < without.annual_return


@pytest.mark.parametrize("returns", [[], [np.nan], [0.01], [0.01, 0.01, 0.01], [0.0, 0.0]])
def test_what_is_not_defined_is_nan_and_warns_of_nothing(returns):
    metrics = performance(np.array(returns), 252)
    assert isnan(metrics.sharpe)
    assert isnan(metrics.calmar)
    assert isnan(metrics.kurtosis)


def test_a_total_loss_is_minus_one_whatever_comes_after():
    metrics = performance(np.array([0.1, -1.0, 0.5]), 252)
    assert (metrics.total_return, metrics.annual_return, metrics.max_drawdown) == (-1, -1, -1)
    beyond = performance(np.array([0.1, -1.5]), 252)
    assert beyond.annual_return == -1.0
    assert beyond.max_drawdown == pytest.approx(-1.5)


@given(st.lists(st.floats(-0.9, 2.0), min_size=1, max_size=40), st.sampled_from([12, 252, 365]))
def test_drawdown_is_bounded_and_order_matters_only_to_it(returns, periods):
    metrics = performance(np.array(returns), periods)
    assert -1.0 <= metrics.max_drawdown <= 0.0
    mirrored = performance(np.array(returns[::-1]), periods)
    assert mirrored.total_return == pytest.approx(metrics.total_return, rel=1e-9, abs=1e-12)
    assert set(asdict(metrics)) == set(asdict(mirrored))


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="shape"):
        performance(np.zeros((2, 2)), 252)
    with pytest.raises(DataError, match="infinite"):
        performance(np.array([np.inf]), 252)
    with pytest.raises(DataError, match="periods_per_year"):
        performance(np.array([0.1]), 0)
