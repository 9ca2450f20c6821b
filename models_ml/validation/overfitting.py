"""How much of a backtest is luck: Sharpe statistics and the probability of overfitting.

All Sharpe ratios are per period (not annualized), kurtosis is raw (3 for a normal).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from math import e, inf, sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from trademl.errors import ConfigError, DataError
from trademl.quant.arrays import FloatArray

EULER_GAMMA = 0.5772156649015329

_COMBINATIONS_AT_ONCE = 1024


def probabilistic_sharpe_ratio(
    sr: float, benchmark_sr: float, n_obs: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark.

    Phi((sr - benchmark) sqrt(n - 1) / sqrt(1 - skew sr + (kurtosis - 1) / 4 sr^2)). Bailey and
    Lopez de Prado, "The Sharpe ratio efficient frontier", J. Risk 15 (2012).

    Args:
        sr: observed Sharpe ratio per period.
        benchmark_sr: Sharpe ratio per period to be exceeded.
        n_obs: number of returns, at least 2.
        skew: skewness of the returns.
        kurtosis: raw kurtosis of the returns.

    Raises:
        DataError: fewer than 2 observations, a value that is not finite, or moments that no
            distribution has (kurtosis < skew^2 + 1).
    """
    if n_obs < 2:
        raise DataError(f"a Sharpe ratio needs at least 2 returns, got {n_obs}")
    if not np.isfinite(benchmark_sr):
        raise DataError(f"benchmark_sr must be finite, got {benchmark_sr}")
    deviation = sqrt(_sharpe_variance(sr, skew, kurtosis))
    return float(ndtr((sr - benchmark_sr) * sqrt(n_obs - 1) / deviation))


def expected_max_sharpe(n_trials: int, trials_sr_var: float = 1.0) -> float:
    """Return the Sharpe ratio that the best of N skilless trials is expected to show.

    sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))), g Euler's constant: the
    Gauss-Euler approximation of the paper's eq. 6 (2.530603 at N = 100, exact 2.507594; 8 % too
    low at N = 2). One trial has no selection: 0. Bailey and Lopez de Prado, "The deflated Sharpe
    ratio", J. Portfolio Management 40 (2014).

    Args:
        n_trials: trials actually run, at least 1.
        trials_sr_var: variance of the trials' Sharpe ratios, of the same period as the result.

    Raises:
        DataError: no trial, or a variance that is negative or not finite.
    """
    if n_trials < 1:
        raise DataError(f"n_trials must be at least 1, got {n_trials}")
    if not (np.isfinite(trials_sr_var) and trials_sr_var >= 0.0):
        raise DataError(f"trials_sr_var must be finite and not negative, got {trials_sr_var}")
    if n_trials == 1:
        return 0.0
    expected = (1.0 - EULER_GAMMA) * ndtri(1.0 - 1.0 / n_trials)
    expected += EULER_GAMMA * ndtri(1.0 - 1.0 / (n_trials * e))
    return sqrt(trials_sr_var) * float(expected)


def deflated_sharpe_ratio(
    sr: float,
    n_obs: int,
    n_trials: int,
    trials_sr_var: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Return the probability that the true Sharpe ratio exceeds what luck alone would show.

    The probabilistic Sharpe ratio against ``expected_max_sharpe``. It is a probability: "better
    than the best of N skilless trials" means above .5. Source: Bailey and Lopez de Prado (2014).

    Args:
        sr: Sharpe ratio per period of the chosen trial.
        n_obs: number of its returns.
        n_trials: trials actually run (not folds).
        trials_sr_var: variance over the trials of the Sharpe ratio per period.
        skew: skewness of its returns.
        kurtosis: raw kurtosis of its returns.

    Raises:
        DataError: as for the two functions it is made of.
    """
    benchmark = expected_max_sharpe(n_trials, trials_sr_var)
    return probabilistic_sharpe_ratio(sr, benchmark, n_obs, skew, kurtosis)


def min_track_record_length(
    sr: float,
    benchmark_sr: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    confidence: float = 0.95,
) -> float:
    """Return how many returns it takes to believe that sr exceeds the benchmark.

    1 + (1 - skew sr + (kurtosis - 1) / 4 sr^2) (Phi^-1(confidence) / (sr - benchmark))^2, the
    inverse of ``probabilistic_sharpe_ratio`` in n. Bailey and Lopez de Prado (2012).

    Args:
        sr: observed Sharpe ratio per period.
        benchmark_sr: Sharpe ratio per period to be exceeded.
        skew: skewness of the returns.
        kurtosis: raw kurtosis of the returns.
        confidence: in (.5, 1).

    Returns:
        A number of periods, not rounded; inf when sr does not exceed the benchmark.

    Raises:
        DataError: confidence out of range, or impossible moments.
    """
    if not 0.5 < confidence < 1.0:
        raise DataError(f"confidence must be in (.5, 1), got {confidence}")
    variance = _sharpe_variance(sr, skew, kurtosis)
    if not sr > benchmark_sr:
        return inf
    return 1.0 + variance * (float(ndtri(confidence)) / (sr - benchmark_sr)) ** 2


def _sharpe_variance(sr: float, skew: float, kurtosis: float) -> float:
    """Variance of the Sharpe estimator times n - 1."""
    if not np.isfinite([sr, skew, kurtosis]).all():
        raise DataError(f"sr, skew and kurtosis must be finite, got {sr}, {skew}, {kurtosis}")
    if kurtosis < skew**2 + 1.0:
        raise DataError(
            f"no distribution has skew {skew} with raw kurtosis {kurtosis}: kurtosis must be at "
            "least skew^2 + 1; was excess kurtosis passed?"
        )
    variance = 1.0 - skew * sr + 0.25 * (kurtosis - 1.0) * sr**2
    if variance <= 0.0:
        raise DataError(f"the Sharpe estimator has no variance at sr {sr}, skew {skew}")
    return variance


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
