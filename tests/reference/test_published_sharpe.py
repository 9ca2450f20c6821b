"""Sharpe statistics against the papers of Bailey and Lopez de Prado."""

from math import sqrt

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from trademl.errors import DataError
from trademl.quant.deflated_sharpe import (
    deflated_sharpe_ratio,
    effective_length,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe_ratio,
)

# "The deflated Sharpe ratio" (2014), numerical example: annual SR 2.5 on 250 days, variance of the
# trials' annual SR .5, five years of days, skewness -3, raw kurtosis 10.
DAILY_SR = 2.5 / sqrt(250)
DAILY_VARIANCE = 0.5 / 250
DAYS = 1250


def test_expected_maximum_of_the_trials_in_the_2014_example() -> None:
    # The paper prints .1132 for N = 100; .10036 for N = 46 is the formula's value.
    assert expected_max_sharpe(100, DAILY_VARIANCE) == pytest.approx(0.113172, abs=5e-7)
    assert expected_max_sharpe(46, DAILY_VARIANCE) == pytest.approx(0.10036, abs=5e-6)


def test_deflated_sharpe_of_the_2014_example() -> None:
    # The paper prints .9004 (N = 100) and about .9505 (N = 46).
    dsr = deflated_sharpe_ratio(DAILY_SR, DAYS, 100, DAILY_VARIANCE, skew=-3.0, kurtosis=10.0)
    assert dsr == pytest.approx(0.90039683444939, rel=1e-10)
    fewer = deflated_sharpe_ratio(DAILY_SR, DAYS, 46, DAILY_VARIANCE, skew=-3.0, kurtosis=10.0)
    assert fewer == pytest.approx(0.9505, abs=5e-5)


def test_the_known_wrong_readings_do_not_pass_for_the_example() -> None:
    # An annual Sharpe ratio with a daily count saturates at 1; without the trials' variance the
    # benchmark is 2.53 a day and the answer 0; excess kurtosis (7) is impossible beside skew -3.
    annual = deflated_sharpe_ratio(2.5, DAYS, 100, 0.5, skew=-3.0, kurtosis=10.0)
    assert annual > 0.999
    assert deflated_sharpe_ratio(DAILY_SR, DAYS, 100, 1.0, skew=-3.0, kurtosis=10.0) < 1e-6
    with pytest.raises(DataError, match="excess kurtosis"):
        deflated_sharpe_ratio(DAILY_SR, DAYS, 100, DAILY_VARIANCE, skew=-3.0, kurtosis=7.0)


def test_probabilistic_sharpe_of_the_2012_example() -> None:
    # "The Sharpe ratio efficient frontier" (2012): monthly SR .458 over 24 months.
    normal = probabilistic_sharpe_ratio(0.458, 0.0, 24)
    assert normal == pytest.approx(0.98167, abs=5e-6)
    skewed = probabilistic_sharpe_ratio(0.458, 0.0, 24, skew=-2.448, kurtosis=10.164)
    assert skewed == pytest.approx(0.913361, abs=5e-7)


def test_gauss_euler_approximation_of_the_expected_maximum() -> None:
    # Exact for N = 100: 2.50759. At N = 2 the exact value is 1 / sqrt(pi) = .5642.
    assert expected_max_sharpe(100) == pytest.approx(2.5306028932, rel=1e-10)
    assert expected_max_sharpe(2) / 0.5641895835 == pytest.approx(0.92, abs=0.01)


def test_minimum_track_record_inverts_the_probabilistic_sharpe() -> None:
    # The 2012 paper defines one as the inverse of the other; with normal returns the closed form is
    # 1 + (1 + SR^2 / 2) (z / SR)^2.
    length = min_track_record_length(0.458, 0.0)
    z = norm.ppf(0.95)
    assert length == pytest.approx(1 + (1 + 0.458**2 / 2) * (z / 0.458) ** 2, rel=1e-12)
    longer = min_track_record_length(0.458, 0.1, -2.448, 10.164, confidence=0.9)
    below = probabilistic_sharpe_ratio(0.458, 0.1, int(longer), -2.448, 10.164)
    above = probabilistic_sharpe_ratio(0.458, 0.1, int(longer) + 1, -2.448, 10.164)
    assert below < 0.9 < above


def test_effective_length_worked_by_hand() -> None:
    # Deviations -1.5, -.5, .5, 1.5: squares sum to 5, neighbors' products to 1.25, Bartlett's
    # weight of the only lag is 1/2, so 4 / (1 + 2 * 1/2 * 1.25 / 5).
    assert effective_length(np.array([1.0, 2.0, 3.0, 4.0]), lags=1) == pytest.approx(3.2)
    assert effective_length(np.array([1.0, 2.0, 3.0, 4.0]), lags=0) == 4


def test_effective_length_is_the_squared_aggregation_factor_of_lo_2002() -> None:
    # "The statistics of Sharpe ratios" (2002): q periods of AR(1) returns scale a Sharpe ratio by
    # q / sqrt(q + 2 sum (q - k) rho^k), 2.88 for q = 12 and rho = .2 instead of sqrt(12) = 3.46.
    # With q - 1 lags Bartlett's weights are his (q - k) / q.
    noise = np.random.default_rng(4).standard_normal(400_000)
    returns = lfilter([1.0], [1.0, -0.2], noise)
    share = effective_length(returns, lags=11) / returns.size
    assert share == pytest.approx((2.88 / sqrt(12)) ** 2, rel=0.01)


def test_effective_length_stays_within_two_and_n() -> None:
    back_and_forth = np.tile([0.01, -0.01], 50)
    assert effective_length(back_and_forth) == 100
    assert effective_length(np.full(50, 0.01)) == 50
    assert effective_length(np.array([0.01, 0.01, -0.01]), lags=1) >= 2
    for wrong in (np.array([0.1]), np.zeros((2, 2)), np.array([0.1, np.nan, 0.2])):
        with pytest.raises(DataError, match="must have shape"):
            effective_length(wrong)
    with pytest.raises(DataError, match="lags must be 0 or more, got -1"):
        effective_length(np.zeros(5), lags=-1)


def test_autocorrelation_lowers_the_deflated_sharpe() -> None:
    noise = np.random.default_rng(4).standard_normal(500)
    returns = lfilter([1.0], [1.0, -0.4], noise)
    length = effective_length(returns)
    # AR(1) with .4: (1 - .4) / (1 + .4) of n in the limit; five lags of Bartlett's see most of it.
    assert 0.4 < length / 500 < 0.65
    plain, corrected = (deflated_sharpe_ratio(0.09, n, 8, 0.0004) for n in (500.0, length))
    assert 0.5 < corrected < plain
