"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

All Sharpe ratios are per period (not annualized).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from math import inf

import numpy as np

from trademl.errors import ConfigError, DataError
from trademl.quant.arrays import FloatArray

_COMBINATIONS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class PboResult:
    """Outcome of combinatorially symmetric cross-validation.

    Attributes:
        pbo: share of combinations whose in-sample best is at or below the median out of sample
            (logit <= 0); None with fewer than two trials, where nothing was selected. A gate
            must fail on None.
        logits: shape (C,), ln(w / (1 - w)) with w = rank / (N + 1) of the in-sample best.
        n_trials: N.
        n_combinations: C(S, S / 2), 0 where pbo is None.
        degradation_slope: slope of the chosen trial's out-of-sample on its in-sample Sharpe
            ratio; None where it is not defined.
        probability_of_loss: share of combinations whose chosen trial loses out of sample.
        in_sample_sharpe: shape (C,), of the chosen trial, per period.
        out_of_sample_sharpe: shape (C,), of the chosen trial, per period.
    """

    pbo: float | None
    logits: FloatArray
    n_trials: int
    n_combinations: int
    degradation_slope: float | None
    probability_of_loss: float | None
    in_sample_sharpe: FloatArray
    out_of_sample_sharpe: FloatArray


def probability_of_backtest_overfitting(returns: FloatArray, n_blocks: int = 16) -> PboResult:
    """Estimate how likely selecting the best trial picks one below the median out of sample.

    CSCV of Bailey, Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting",
    J. Computational Finance 20 (2017): the rows are cut into S blocks; every half of the blocks is
    in-sample once. Conventions: Sharpe ratio with ddof 1, relative rank = rank / (N + 1), ties
    share their average rank, the first of tied in-sample winners is chosen, logit <= 0 counts as
    overfit. Rows that do not fill a block are dropped at the old end. A trial without variance
    has Sharpe ratio 0 when flat, else infinite with the sign of its mean.

    Args:
        returns: shape (T, N), one column of returns per trial over the same periods, no gaps.
        n_blocks: S, even.

    Returns:
        The result; its ``pbo`` is None for fewer than two trials.

    Raises:
        ConfigError: an odd number of blocks, below 2, or above 20 (C(20, 10) = 184 756).
        DataError: not a matrix, not finite, or fewer than 2 rows per half.
    """
    if n_blocks % 2 or not 2 <= n_blocks <= 20:
        raise ConfigError(f"n_blocks must be even and within 2..20, got {n_blocks}")
    data = np.asarray(returns, dtype=np.float64)
    if data.ndim != 2:
        raise DataError(f"returns must have shape (T, N), got {data.shape}")
    if data.shape[1] < 2:
        none = np.empty(0)
        return PboResult(None, none, data.shape[1], 0, None, None, none, none)
    if not np.isfinite(data).all():
        raise DataError("returns hold a value that is not finite: align the trials first")
    rows = data.shape[0] // n_blocks
    if rows * n_blocks < 4:
        raise DataError(f"{data.shape[0]} rows do not fill {n_blocks} blocks with 2 per half")
    return _cscv(data[data.shape[0] - rows * n_blocks :], n_blocks)


def _cscv(data: FloatArray, n_blocks: int) -> PboResult:
    moments = _block_moments(data, n_blocks)
    pieces = [_one_batch(moments, halves) for halves in _halves(n_blocks)]
    logits, inside, outside = (np.concatenate(piece) for piece in zip(*pieces, strict=True))
    return PboResult(
        pbo=float(np.mean(logits <= 0.0)),
        logits=logits,
        n_trials=data.shape[1],
        n_combinations=logits.size,
        degradation_slope=_slope(inside, outside),
        probability_of_loss=float(np.mean(outside < 0.0)),
        in_sample_sharpe=inside,
        out_of_sample_sharpe=outside,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Sums per block (S, N) of returns less the trial's own mean, and of their squares."""

    sums: FloatArray
    squares: FloatArray
    means: FloatArray
    rows_per_block: int


def _block_moments(data: FloatArray, n_blocks: int) -> _Moments:
    means = data.mean(axis=0)
    # Without centring, a mean far above the deviation would cancel in squares - sum^2 / n.
    blocks = (data - means).reshape(n_blocks, -1, data.shape[1])
    return _Moments(blocks.sum(axis=1), (blocks**2).sum(axis=1), means, blocks.shape[1])


def _halves(n_blocks: int) -> Iterator[FloatArray]:
    """Indicators of the in-sample blocks, in batches of shape (<= 1024, S)."""
    chosen = combinations(range(n_blocks), n_blocks // 2)
    while batch := list(islice(chosen, _COMBINATIONS_AT_ONCE)):
        indicator = np.zeros((len(batch), n_blocks))
        np.put_along_axis(indicator, np.array(batch), 1.0, axis=1)
        yield indicator


def _one_batch(moments: _Moments, halves: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logits, in-sample and out-of-sample Sharpe of the chosen trial of each combination."""
    inside, outside = _sharpes(moments, halves), _sharpes(moments, 1.0 - halves)
    rows = np.arange(halves.shape[0])
    best = inside.argmax(axis=1)
    picked = outside[rows, best][:, None]
    below, tied = (outside < picked).sum(axis=1), (outside == picked).sum(axis=1)
    omega = (below + 0.5 * (tied + 1.0)) / (outside.shape[1] + 1.0)
    return np.log(omega / (1.0 - omega)), inside[rows, best], picked[:, 0]


def _sharpes(moments: _Moments, halves: FloatArray) -> FloatArray:
    """Sharpe ratio (ddof 1) of every trial on every half, shape (C, N)."""
    n_rows = moments.rows_per_block * halves.shape[1] // 2
    shift = halves @ moments.sums / n_rows
    means = shift + moments.means
    squares = halves @ moments.squares
    variance = (squares - n_rows * shift**2) / (n_rows - 1)
    # What rounding leaves of a constant: of the squares subtracted, and of the centring.
    is_flat = variance <= 1e-14 * squares / n_rows + (1e-14 * means) ** 2
    deviation = np.sqrt(np.where(is_flat, 1.0, variance))
    extreme = np.where(np.abs(means) <= 1e-300, 0.0, np.copysign(inf, means))
    return np.where(is_flat, extreme, means / deviation)


def _slope(inside: FloatArray, outside: FloatArray) -> float | None:
    """Least-squares slope of outside on inside, None where it is not defined."""
    if not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        return None
    centered = inside - inside.mean()
    spread = float(centered @ centered)
    return float(centered @ outside) / spread if spread > 0.0 else None
