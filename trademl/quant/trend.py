"""Wilder's average directional index."""

from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray


def wilder_adx(high: ArrayLike, low: ArrayLike, close: ArrayLike, period: int = 14) -> FloatArray:
    """Return Wilder's ADX, 0 to 100.

    Wilder, "New Concepts in Technical Trading Systems" (1978). True range and directional
    movements are summed over the first ``period`` bars and then smoothed by
    S <- S - S / period + x; DX = 100 |DI+ - DI-| / (DI+ + DI-), 0 where nothing moved; the first
    ADX is the mean of the first ``period`` DX, then ADX <- ((period - 1) ADX + DX) / period. The
    first value stands at bar 2 * period - 1 (counted from 0). A row depends on the rows before it
    only. After a missing bar the recursion starts anew.

    Args:
        high: shape (T,) or (T, N), time on axis 0.
        low: same shape.
        close: same shape.
        period: bars of smoothing, at least 2.

    Returns:
        Same shape, nan during warm-up.

    Raises:
        DataError: shapes differ, or a period below 2.
    """
    if period < 2:
        raise DataError(f"period must be at least 2, got {period}")
    bars = [np.asarray(values, dtype=np.float64) for values in (high, low, close)]
    shape = bars[0].shape
    if any(values.shape != shape for values in bars) or len(shape) not in (1, 2):
        raise DataError(
            "high, low and close must share a shape (T,) or (T, N), got "
            f"{[values.shape for values in bars]}"
        )
    n_columns = shape[1] if len(shape) > 1 else 1
    columns = [values.reshape(shape[0], n_columns) for values in bars]
    result = np.full(columns[0].shape, np.nan)
    for column in range(result.shape[1]):
        prices = [np.ascontiguousarray(values[:, column]) for values in columns]
        for start, stop in _runs(np.isfinite(prices[0] + prices[1] + prices[2])):
            part = _adx(prices[0][start:stop], prices[1][start:stop], prices[2][start:stop], period)
            result[start:stop, column] = part
    return result.reshape(shape)


def _runs(is_present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, stop) of every unbroken run of present bars."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_present.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _adx(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    result = np.full(high.size, np.nan)
    if high.size < 2 * period:
        return result
    up, down = np.diff(high), -np.diff(low)
    plus = np.where((up > down) & (up > 0.0), up, 0.0)
    minus = np.where((down > up) & (down > 0.0), down, 0.0)
    previous = close[:-1]
    reach = np.maximum(high[1:], previous) - np.minimum(low[1:], previous)
    true_range, plus, minus = (_smooth(part, period) for part in (reach, plus, minus))
    plus_di, minus_di = _share(plus, true_range), _share(minus, true_range)
    directional = 100.0 * _share(np.abs(plus_di - minus_di), plus_di + minus_di)
    # Wilder's mean is his sum over the period: the same recursion, scaled.
    result[2 * period - 1 :] = _smooth(directional, period) / period
    return result


def _smooth(values: FloatArray, period: int) -> FloatArray:
    """Wilder sum: first the plain sum of ``period`` values, then S - S / period + x.

    A plain loop: scipy.signal would filter faster, but takes longer to import than a night's bars.
    """
    decay = 1.0 - 1.0 / period
    first = float(np.cumsum(values[:period])[-1])
    steps = accumulate(values[period:].tolist(), lambda s, x: decay * s + x, initial=first)
    return np.fromiter(steps, np.float64, values.size - period + 1)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.where(whole > 0.0, part / np.where(whole > 0.0, whole, 1.0), 0.0)
