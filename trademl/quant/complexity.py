"""Order, memory and tails of a return series, for one series and for rolling windows.

Rolling functions take one vector (T,) or a matrix (T, N) with time on axis 0 and return the same
shape. A row's value depends only on that row's own window: every operation is elementwise over
rows, in a fixed order over the window, so the result is the same bit for bit whatever the number
of rows, columns or chunks. That is what makes a truncated history reproduce the full one.

The window of a row is the unbroken run of finite values that ends at it, at most ``window`` long.
Callers with gaps remove them first; a gap that is left in restarts the run.
"""

from collections.abc import Callable, Iterator
from itertools import permutations
from math import factorial, lgamma, log, pi

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray

IntArray = NDArray[np.int64]

MIN_HURST_OBS = 32
MIN_TAIL_OBS = 21

_SMALLEST_BLOCK = 8
_CHUNK_CELLS = 16_384
"""Rows of R/S worked on at once: the dozen temporaries stay within a core's cache."""

_CHUNK_WINDOWS = 1024
"""Windows sorted at once: 2 MB at window 252."""


def permutation_entropy(x: ArrayLike, order: int = 3) -> float:
    """Return the normalized permutation entropy of a series, in [0, 1].

    Shannon entropy of the frequencies of ordinal patterns of ``order`` successive values (delay
    1), over ln(order!). Bandt and Pompe, Phys. Rev. Lett. 88 (2002), whose example
    [4, 7, 9, 10, 6, 11, 3] gives .58876 at order 3. Equal values rank by their position. Order 3
    by default: 120 values hold 116 patterns of order 5, one for each of its 120 permutations, and
    noise then averages .88 instead of 1.

    Args:
        x: shape (T,).
        order: values per pattern, 2 to 7.

    Returns:
        The entropy, nan for fewer than ``order`` values or when one is not finite.

    Raises:
        DataError: an order outside 2..7, or not one-dimensional.
    """
    if not 2 <= order <= 7:
        raise DataError(f"order must be 2..7, got {order}")
    series = _vector(x)
    if series.size < order or not np.isfinite(series).all():
        return float("nan")
    ranks = np.argsort(sliding_window_view(series, order), axis=1, kind="stable")
    counts = np.unique(ranks @ order ** np.arange(order), return_counts=True)[1]
    shares = counts / counts.sum()
    # max: a single pattern gives -0.0
    return max(float(-(shares * np.log(shares)).sum() / log(factorial(order))), 0.0)


def hurst(x: ArrayLike) -> float:
    """Return the Hurst exponent of increments by rescaled range, corrected for small samples.

    For n = 8, 16, ... <= N / 2 the series is cut from its end into blocks of n; R/S of a block is
    the range of the cumulated deviations from its mean over its population deviation; blocks
    without variance are left out. H = .5 + slope of ln(mean R/S) - ln(E[R/S]) on ln n, clipped
    to [0, 1], with the expectation for white noise of Anis and Lloyd, Biometrika 63 (1976):
    gamma((n-1)/2) / (sqrt(pi) gamma(n/2)) * sum of sqrt((n-i)/i). Without it white noise scores
    .59 at N = 252.

    Args:
        x: shape (T,), returns (not prices).

    Returns:
        The exponent; nan for fewer than 32 values, when one is not finite, or without variance.

    Raises:
        DataError: not one-dimensional.
    """
    series = _vector(x)
    if series.size < MIN_HURST_OBS or not np.isfinite(series).all():
        return float("nan")
    return float(rolling_hurst(series, series.size)[-1])


def rolling_hurst(returns: ArrayLike, window: int, min_periods: int | None = None) -> FloatArray:
    """Return ``hurst`` of the window that ends at every row.

    Blocks are cut from the window's end, so a block's R/S belongs to the row where the block ends
    and is computed once, not once per window: 120 steps per row instead of 1000 at window 252.

    Args:
        returns: shape (T,) or (T, N), time on axis 0.
        window: rows per window, at least 32.
        min_periods: fewest rows that give a value, at least 32; the full window by default.

    Returns:
        Same shape as ``returns``, nan where the run of finite values is too short.

    Raises:
        DataError: a window below 32, min_periods outside 32..window, or a wrong shape.
    """
    fewest = _fewest(window, min_periods, MIN_HURST_OBS)
    return _by_column(lambda series: _hurst_of(series, window, fewest), returns)


def rolling_tail_means(
    returns: ArrayLike, window: int, q: float = 0.05, min_periods: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the mean of the worst and of the best returns of the window ending at every row.

    Args:
        returns: shape (T,) or (T, N), time on axis 0.
        window: rows per window, at least 21.
        q: share of each tail, in (0, .5).
        min_periods: fewest rows that give a value, at least 21; the full window by default.

    Returns:
        (cvar, tail_gain), each of the shape of ``returns``: the mean of the returns at or below
        their q quantile, and of those above their 1 - q quantile (quantiles interpolated
        linearly, as in numpy). nan where the run is too short; tail_gain is nan too where no
        return exceeds the quantile.

    Raises:
        DataError: a window below 21, min_periods outside 21..window, q outside (0, .5).
    """
    if not 0.0 < q < 0.5:
        raise DataError(f"q must be in (0, .5), got {q}")
    fewest = _fewest(window, min_periods, MIN_TAIL_OBS)
    both = _by_column(lambda series: _tails_of(series, window, fewest, q), returns)
    return both[0], both[1]


def rolling_permutation_entropy(
    x: ArrayLike, window: int, order: int = 3, min_periods: int | None = None
) -> FloatArray:
    """Return ``permutation_entropy`` of the window that ends at every row.

    Args:
        x: shape (T,) or (T, N), time on axis 0.
        window: rows per window, at least ``order``.
        order: values per pattern, 2 to 5.
        min_periods: fewest rows that give a value, at least ``order``; the full window by default.

    Returns:
        Same shape as ``x``, nan where the run of finite values is too short.

    Raises:
        DataError: an argument out of range.
    """
    if not 2 <= order <= 5:
        raise DataError(f"order must be 2..5 for rolling windows, got {order}")
    fewest = _fewest(window, min_periods, order)
    return _by_column(lambda series: _entropy_of(series, window, fewest, order), x)


def _hurst_of(series: FloatArray, window: int, fewest: int) -> FloatArray:
    usable = np.minimum(_run_length(series), window)
    finite = np.where(np.isfinite(series), series, 0.0)
    sizes = _block_sizes(window)
    result = np.full(series.size, np.nan)
    for first, start, stop in _chunks(series.size, window, _CHUNK_CELLS):
        lengths = usable[start:stop]
        curves = [
            _mean_rescaled_range(finite[first:stop], start - first, size, lengths, window)
            for size in sizes
        ]
        value = _corrected_slope(curves, sizes, lengths)
        result[start:stop] = np.where(lengths >= fewest, value, np.nan)
    return result


def _block_sizes(window: int) -> list[int]:
    """8, 16, 32, ... up to half the window."""
    sizes = [_SMALLEST_BLOCK]
    while sizes[-1] * 4 <= window:
        sizes.append(sizes[-1] * 2)
    return sizes


def _mean_rescaled_range(
    series: FloatArray, skip: int, size: int, lengths: IntArray, window: int
) -> FloatArray:
    """Mean R/S over the blocks of one size in each row's window; nan where there is none."""
    ratio = _rescaled_range(series, size)
    total, count = np.zeros(lengths.size), np.zeros(lengths.size)
    for block in range(min(window // size, series.size // size)):
        # Rows whose block would start before the chunk's reach have no such block either.
        source = ratio[max(skip - block * size, 0) : series.size - block * size]
        late = lengths.size - source.size
        is_used = (lengths[late:] >= (block + 1) * size) & ~np.isnan(source)
        total[late:] += np.where(is_used, source, 0.0)
        count[late:] += is_used
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _rescaled_range(series: FloatArray, size: int) -> FloatArray:
    """R/S of the block of ``size`` values that ends at each row; nan without variance."""
    ratio = np.full(series.size, np.nan)
    n_blocks = series.size - size + 1
    if n_blocks < 1:
        return ratio
    steps = [series[lag : lag + n_blocks] for lag in range(size)]
    mean, level, square = np.zeros(n_blocks), np.zeros(n_blocks), np.zeros(n_blocks)
    for step in steps:
        mean += step
    mean /= size
    high, low = np.full(n_blocks, -np.inf), np.full(n_blocks, np.inf)
    change, spare = np.empty(n_blocks), np.empty(n_blocks)
    for step in steps:
        np.subtract(step, mean, out=change)
        level += change
        square += np.multiply(change, change, out=spare)
        np.maximum(high, level, out=high)
        np.minimum(low, level, out=low)
    deviation = np.sqrt(square / size)
    # A constant block leaves rounding noise of the mean, not a deviation.
    is_flat = deviation <= 1e-13 * np.abs(mean)
    deviation[is_flat] = np.nan
    ratio[size - 1 :] = (high - low) / deviation
    return ratio


def _corrected_slope(curves: list[FloatArray], sizes: list[int], lengths: IntArray) -> FloatArray:
    """.5 + slope of ln(R/S) less its expectation on ln n, over the sizes a row has."""
    count, sum_x, sum_y, sum_xx, sum_xy = (np.zeros(lengths.size) for _ in range(5))
    for curve, size in zip(curves, sizes, strict=True):
        is_used = (lengths >= 2 * size) & ~np.isnan(curve)
        x = np.where(is_used, log(size), 0.0)
        y = np.where(
            is_used, np.log(np.where(is_used, curve, 1.0)) - _log_expected_range(size), 0.0
        )
        count += is_used
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_xy += x * y
    spread = count * sum_xx - sum_x * sum_x
    has_slope = count >= 2
    slope = (count * sum_xy - sum_x * sum_y) / np.where(has_slope, spread, 1.0)
    return np.where(has_slope, np.clip(0.5 + slope, 0.0, 1.0), np.nan)


def _log_expected_range(size: int) -> float:
    """Log of E[R/S] of white noise in blocks of ``size`` (Anis and Lloyd)."""
    total = sum(((size - i) / i) ** 0.5 for i in range(1, size))
    return lgamma((size - 1) / 2) - lgamma(size / 2) - 0.5 * log(pi) + log(total)


def _tails_of(series: FloatArray, window: int, fewest: int, q: float) -> FloatArray:
    """Return cvar and tail gain of every row, shape (2, T)."""
    if series.size == 0:
        return np.empty((2, 0))
    usable = np.minimum(_run_length(series), window)
    padded = np.concatenate([np.full(window - 1, np.nan), series])
    windows = sliding_window_view(padded, window)
    result = np.full((2, series.size), np.nan)
    for _, start, stop in _chunks(series.size, 1, _CHUNK_WINDOWS):
        rows = np.flatnonzero(usable[start:stop] >= fewest) + start
        if rows.size == stop - start:
            result[:, start:stop] = _sorted_tails(windows[start:stop], usable[start:stop], q)
        elif rows.size:
            result[:, rows] = _sorted_tails(windows[rows], usable[rows], q)
    return result


def _sorted_tails(values: FloatArray, lengths: IntArray, q: float) -> FloatArray:
    """Tail means of the last ``lengths`` values of each row of (rows, window)."""
    window = values.shape[1]
    if (lengths < window).any():
        values = np.where(np.arange(window) >= window - lengths[:, None], values, np.inf)
    ordered = np.sort(values, axis=1)
    last = lengths - 1
    n_worst = _count_up_to(ordered, lengths, q * last)
    n_best = lengths - _count_up_to(ordered, lengths, last - q * last)
    # A column index below 0 wraps to a value that the count masks out.
    from_top = last[:, None] - np.arange(int(n_best.max()))
    top = np.take_along_axis(ordered, from_top, axis=1) if from_top.size else ordered[:, :0]
    return np.stack(
        [_leading_mean(ordered[:, : n_worst.max()], n_worst), _leading_mean(top, n_best)]
    )


def _count_up_to(
    ordered: FloatArray, lengths: IntArray, position: NDArray[np.floating]
) -> IntArray:
    """How many values of each sorted row are at or below its quantile at a fractional position."""
    nearest = np.rint(position)
    # .05 * 20 may miss 1 by an ulp, which would pull in or drop a whole observation.
    position = np.where(np.abs(position - nearest) < 1e-9, nearest, position)
    below = position.astype(np.intp)
    rows, above = np.arange(lengths.size), np.minimum(below + 1, lengths - 1)
    step = ordered[rows, above] - ordered[rows, below]
    quantile = ordered[rows, below] + (position - below) * step
    counts = below + 1
    # Only equal values (a stock that stood still) put more than these at or below the quantile.
    tied = np.flatnonzero(ordered[rows, above] <= quantile)
    counts[tied] = (ordered[tied] <= quantile[tied, None]).sum(axis=1)
    return counts


def _leading_mean(values: FloatArray, counts: IntArray) -> FloatArray:
    """Mean of the first ``counts`` values of each row, added from left to right; nan for none."""
    if values.shape[1] == 0:
        return np.full(counts.size, np.nan)
    is_inside = np.arange(values.shape[1]) < counts[:, None]
    sums = np.cumsum(np.where(is_inside, values, 0.0), axis=1)
    total = sums[np.arange(counts.size), np.maximum(counts - 1, 0)]
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _entropy_of(series: FloatArray, window: int, fewest: int, order: int) -> FloatArray:
    usable = np.minimum(_run_length(series), window)
    result = np.full(series.size, np.nan)
    if series.size < order:
        return result
    finite = np.where(np.isfinite(series), series, 0.0)
    ranks = np.argsort(sliding_window_view(finite, order), axis=1, kind="stable")
    codes = ranks @ order ** np.arange(order)
    patterns = np.arange(order - 1, series.size)
    counts = np.maximum(usable[patterns] - order + 1, 1)
    total = np.zeros(patterns.size)
    for code in _pattern_codes(order):
        cumulative = np.concatenate([[0], np.cumsum(codes == code)])
        inside = cumulative[patterns - order + 2] - cumulative[patterns - order + 2 - counts]
        share = inside / counts
        total -= share * np.log(np.where(inside > 0, share, 1.0))
    entropy = np.maximum(total / log(factorial(order)), 0.0)
    result[patterns] = np.where(usable[patterns] >= fewest, entropy, np.nan)
    return result


def _pattern_codes(order: int) -> IntArray:
    return np.array(list(permutations(range(order)))) @ order ** np.arange(order)


def _run_length(series: FloatArray) -> IntArray:
    """Number of finite values in a row that end at each position."""
    position = np.arange(1, series.size + 1)
    last_gap = np.maximum.accumulate(np.where(np.isfinite(series), 0, position))
    return position - last_gap


def _chunks(n_rows: int, window: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(first row needed, first row, last row + 1) of successive chunks."""
    for start in range(0, n_rows, size):
        yield max(start - window + 1, 0), start, min(start + size, n_rows)


def _by_column(function: Callable[[FloatArray], FloatArray], values: ArrayLike) -> FloatArray:
    """Apply a function of one series to a vector, or to each column of a matrix."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        return function(np.ascontiguousarray(array))
    if array.ndim != 2:
        raise DataError(f"values must have shape (T,) or (T, N), got {array.shape}")
    columns = [function(np.ascontiguousarray(column)) for column in array.T]
    if not columns:
        return function(np.full(array.shape[0], np.nan))[..., None][..., :0]
    return np.stack(columns, axis=-1)


def _fewest(window: int, min_periods: int | None, floor: int) -> int:
    fewest = window if min_periods is None else min_periods
    if not floor <= fewest <= window:
        raise DataError(
            f"window and min_periods must satisfy {floor} <= min_periods <= window, "
            f"got {min_periods} and {window}"
        )
    return fewest


def _vector(x: ArrayLike) -> FloatArray:
    series = np.asarray(x, dtype=np.float64)
    if series.ndim != 1:
        raise DataError(f"x must have shape (T,), got {series.shape}")
    return series
