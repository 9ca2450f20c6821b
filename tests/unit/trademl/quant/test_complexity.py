from math import gamma, isnan, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trademl.errors import DataError
from trademl.quant import complexity
from trademl.quant.complexity import (
    hurst,
    permutation_entropy,
    rolling_hurst,
    rolling_permutation_entropy,
    rolling_tail_means,
)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n) * 0.01


def hurst_by_definition(x: np.ndarray) -> float:
    """Rescaled range with the Anis-Lloyd correction, block by block."""
    points = []
    n = 8
    while n <= len(x) / 2:
        ratios = []
        for stop in range(len(x), n - 1, -n):
            block = x[stop - n : stop]
            level = np.cumsum(block - block.mean())
            if block.std() > 0:
                ratios.append((level.max() - level.min()) / block.std())
        white = gamma((n - 1) / 2) / (sqrt(pi) * gamma(n / 2))
        white *= sum(sqrt((n - i) / i) for i in range(1, n))
        points.append((log(n), log(np.mean(ratios)) - log(white)))
        n *= 2
    xs, ys = np.array(points).T
    return float(np.clip(0.5 + np.polyfit(xs, ys, 1)[0], 0, 1))


@pytest.mark.parametrize("n", [32, 63, 64, 65, 252, 300])
def test_hurst_equals_its_definition(n):
    x = noise(n, n)
    assert hurst(x) == pytest.approx(hurst_by_definition(x), abs=1e-10)


def test_white_noise_scores_a_half_and_memory_scores_above():
    # Uncorrected R/S gives .59 at 252 observations; persistence and reversal must show.
    white = rolling_hurst(noise(252 * 600).reshape(252, 600), 252)[-1]
    assert white.mean() == pytest.approx(0.5, abs=0.015)
    steps = noise(2000, 1)
    trending = np.convolve(steps, np.ones(60), "valid")
    reverting = np.diff(noise(2000, 2))
    assert hurst(trending) > 0.8
    assert hurst(reverting) < 0.3


def test_hurst_needs_thirty_two_finite_values_with_variance():
    assert isnan(hurst(noise(31)))
    assert not isnan(hurst(noise(32)))
    assert isnan(hurst(np.where(np.arange(64) == 5, np.nan, noise(64))))
    assert isnan(hurst(np.zeros(64)))
    assert isnan(hurst(np.full(64, 0.01)))


def test_blocks_without_variance_are_left_out_not_averaged_as_zero():
    x = noise(64)
    x[-8:] = 0.0
    assert hurst(x) == pytest.approx(hurst_by_definition(x), abs=1e-10)


@pytest.mark.parametrize(("n", "periods"), [(25, None), (300, None), (300, 21), (61, 21)])
def test_tails_equal_their_definition_on_every_row(n, periods):
    x = np.round(noise(n, 3), 3)  # rounding makes ties, some of them at the quantiles
    window = 61
    cvar, gain = rolling_tail_means(x, window, min_periods=periods)
    for row in range(n):
        part = x[max(0, row - window + 1) : row + 1]
        if part.size < (periods or window):
            assert isnan(cvar[row])
            assert isnan(gain[row])
            continue
        low, high = np.quantile(part, [0.05, 0.95])
        assert cvar[row] == pytest.approx(part[part <= low + 1e-15].mean(), abs=1e-15)
        best = part[part > high + 1e-15]
        assert gain[row] == pytest.approx(best.mean() if best.size else np.nan, nan_ok=True)


def test_nothing_above_the_quantile_is_nan_not_zero():
    cvar, gain = rolling_tail_means(np.zeros(40), 30)
    assert (cvar[29:] == 0.0).all()
    assert np.isnan(gain).all()


@pytest.mark.parametrize("order", [2, 3, 4])
def test_rolling_entropy_equals_the_entropy_of_each_window(order):
    x = np.round(noise(200, 4), 2)
    rolled = rolling_permutation_entropy(x, 50, order, min_periods=10)
    for row in range(200):
        part = x[max(0, row - 49) : row + 1]
        expected = permutation_entropy(part, order) if part.size >= 10 else np.nan
        assert rolled[row] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_entropy_extremes():
    assert permutation_entropy(np.arange(50.0)) == 0.0
    assert permutation_entropy([0.0, 1.0] * 40, order=2) == pytest.approx(1.0, abs=1e-3)
    assert permutation_entropy(noise(20_000)) == pytest.approx(1.0, abs=1e-3)
    assert isnan(permutation_entropy([1.0, 2.0]))
    assert isnan(permutation_entropy([1.0, np.nan, 2.0]))


ROLLING = {
    "hurst": lambda x: rolling_hurst(x, 70, 32),
    "cvar": lambda x: rolling_tail_means(x, 70, min_periods=25)[0],
    "gain": lambda x: rolling_tail_means(x, 70, min_periods=25)[1],
    "entropy": lambda x: rolling_permutation_entropy(x, 70, 3, min_periods=25),
}


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Bit for bit, nan for nan."""
    return left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", ROLLING)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 299), gap=st.integers(0, 299))
def test_a_row_depends_on_its_own_window_only(name, seed, cut, gap):
    rolled = ROLLING[name]
    x = noise(300, seed)
    x[gap] = np.nan
    full = rolled(x)
    # Truncation: rows that exist do not change. Start: rows with a full window do not change.
    assert same(full[:cut], rolled(x[:cut]))
    late = rolled(x[cut:])
    if 300 - cut > 70:
        assert same(full[cut + 69 :], late[69:])
    # Neighbors in a matrix do not matter, nor what follows.
    other = np.column_stack([noise(300, seed + 1), x, noise(300, seed + 2)])
    assert same(full, np.ascontiguousarray(rolled(other)[:, 1]))
    changed = x.copy()
    changed[cut:] = 5.0
    assert same(full[:cut], rolled(changed)[:cut])


@pytest.mark.parametrize("name", ROLLING)
def test_chunk_sizes_do_not_change_a_bit(name, monkeypatch):
    x = noise(900, 9)
    full = ROLLING[name](x)
    for size in (1, 7, 64, 333):
        monkeypatch.setattr(complexity, "_CHUNK_CELLS", size)
        monkeypatch.setattr(complexity, "_CHUNK_WINDOWS", size)
        assert same(full, ROLLING[name](x))


def test_a_gap_restarts_the_run():
    x = noise(200)
    x[100] = np.nan
    rolled = rolling_hurst(x, 64, 32)
    assert np.isnan(rolled[100:132]).all()
    assert rolled[132] == hurst(x[101:133])
    assert rolled[99] == hurst(x[36:100])


@pytest.mark.parametrize(
    "call",
    [
        lambda: rolling_hurst(noise(50), 31),
        lambda: rolling_hurst(noise(50), 64, 16),
        lambda: rolling_hurst(noise(50), 40, 41),
        lambda: rolling_hurst(np.zeros((2, 2, 2)), 40),
        lambda: rolling_tail_means(noise(50), 20),
        lambda: rolling_tail_means(noise(50), 30, q=0.5),
        lambda: permutation_entropy(noise(50), 8),
        lambda: permutation_entropy(np.zeros((2, 2))),
        lambda: rolling_permutation_entropy(noise(50), 30, 6),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(DataError):
        call()


def test_empty_and_short_series_give_empty_and_missing():
    assert rolling_hurst(np.empty(0), 32).shape == (0,)
    assert rolling_tail_means(np.empty((0, 3)), 32)[0].shape == (0, 3)
    assert rolling_hurst(np.empty((5, 0)), 32).shape == (5, 0)
    assert rolling_tail_means(np.empty((5, 0)), 32)[1].shape == (5, 0)
    assert rolling_permutation_entropy(np.empty(0), 32).shape == (0,)
    assert np.isnan(rolling_hurst(noise(5), 32)).all()
    assert np.isnan(rolling_permutation_entropy(noise(2), 32)).all()
