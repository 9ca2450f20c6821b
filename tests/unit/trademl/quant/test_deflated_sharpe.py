from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trademl.errors import DataError
from trademl.quant.deflated_sharpe import (
    deflated_sharpe_ratio,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe_ratio,
)


@given(
    sr=st.floats(-1.0, 1.0), benchmark=st.floats(-1.0, 1.0), skew=st.floats(-2.0, 2.0),
    extra=st.floats(0.1, 8.0), n_obs=st.integers(2, 5000),
)  # fmt: skip
def test_probabilities_are_probabilities_and_fall_with_the_benchmark(
    sr, benchmark, skew, extra, n_obs
):
    kurtosis = skew**2 + 1.0 + extra
    value = probabilistic_sharpe_ratio(sr, benchmark, n_obs, skew, kurtosis)
    assert 0.0 <= value <= 1.0
    assert probabilistic_sharpe_ratio(sr, benchmark + 0.1, n_obs, skew, kurtosis) <= value


def test_more_trials_or_more_variance_deflate_more():
    base = deflated_sharpe_ratio(0.1, 1000, 10, 0.001)
    assert deflated_sharpe_ratio(0.1, 1000, 100, 0.001) < base
    assert deflated_sharpe_ratio(0.1, 1000, 10, 0.002) < base
    assert deflated_sharpe_ratio(0.1, 1000, 1, 0.001) == probabilistic_sharpe_ratio(0.1, 0.0, 1000)


def test_expected_maximum_of_one_trial_is_zero_and_scales_with_the_deviation():
    assert expected_max_sharpe(1, 5.0) == 0.0
    assert isclose(expected_max_sharpe(50, 0.25), 0.5 * expected_max_sharpe(50), rel_tol=1e-15)


def test_track_record_never_suffices_below_the_benchmark():
    assert min_track_record_length(0.1, 0.1) == inf
    assert min_track_record_length(0.1, 0.2) == inf


def test_impossible_inputs_are_refused():
    with pytest.raises(DataError, match="kurtosis"):
        probabilistic_sharpe_ratio(0.1, 0.0, 100, skew=-3.0, kurtosis=7.0)
    with pytest.raises(DataError, match="at least 2"):
        probabilistic_sharpe_ratio(0.1, 0.0, 1)
    with pytest.raises(DataError, match="finite"):
        probabilistic_sharpe_ratio(float("nan"), 0.0, 10)
    with pytest.raises(DataError, match="finite"):
        probabilistic_sharpe_ratio(0.1, inf, 10)
    with pytest.raises(DataError, match="n_trials"):
        expected_max_sharpe(0)
    with pytest.raises(DataError, match="trials_sr_var"):
        expected_max_sharpe(5, -1.0)
    with pytest.raises(DataError, match="confidence"):
        min_track_record_length(0.1, 0.0, confidence=1.0)
    with pytest.raises(DataError, match="no variance"):
        probabilistic_sharpe_ratio(1.0, 0.0, 10, skew=2.0, kurtosis=5.0)
