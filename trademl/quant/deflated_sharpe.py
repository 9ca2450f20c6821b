"""Probabilistic and deflated Sharpe ratios, and the minimum track record length.

All Sharpe ratios are per period (not annualized), kurtosis is raw (3 for a normal).
"""

from math import e, inf, sqrt

import numpy as np
from scipy.special import ndtr, ndtri

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray

EULER_GAMMA = 0.5772156649015329


def probabilistic_sharpe_ratio(
    sr: float, benchmark_sr: float, n_obs: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark.

    Phi((sr - benchmark) sqrt(n - 1) / sqrt(1 - skew sr + (kurtosis - 1) / 4 sr^2)). Bailey and
    Lopez de Prado, "The Sharpe ratio efficient frontier", J. Risk 15 (2012).

    Args:
        sr: observed Sharpe ratio per period.
        benchmark_sr: Sharpe ratio per period to be exceeded.
        n_obs: number of returns, at least 2; ``effective_length`` where they are autocorrelated.
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


def effective_length(returns: FloatArray, lags: int | None = None) -> float:
    """Return how many independent returns tell as much of the mean as these do.

    n / (1 + 2 sum_k (1 - k / (L + 1)) rho_k), k = 1..L, rho_k the autocorrelation at lag k: the
    variance of the mean by Newey and West, "A simple, positive semi-definite, heteroskedasticity
    and autocorrelation consistent covariance matrix", Econometrica 55 (1987), eq. 5, over that of
    independent returns. Positive autocorrelation overstates a Sharpe ratio: Lo, "The statistics of
    Sharpe ratios", Financial Analysts Journal 58 (2002). Negative one is not credited: the length
    is at most n.

    Args:
        returns: shape (n,), at least 2, simple returns as fractions, all finite.
        lags: L; by default floor(4 (n / 100)^(2/9)), Newey and West, "Automatic lag selection in
            covariance matrix estimation", Review of Economic Studies 61 (1994), as it is commonly
            applied.

    Returns:
        At least 2 and at most n; n for returns that do not move.

    Raises:
        DataError: not one-dimensional, fewer than 2 returns, one that is not finite, or lags
            below 0.
    """
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1 or series.size < 2 or not np.isfinite(series).all():
        raise DataError(
            f"returns must have shape (n,), n at least 2, and be finite, got {series.shape}"
        )
    if lags is not None and lags < 0:
        raise DataError(f"lags must be 0 or more, got {lags}")
    n = series.size
    most = int(4 * (n / 100) ** (2 / 9)) if lags is None else lags
    deviations = series - series.mean()
    variance = float(deviations @ deviations)
    if variance == 0.0:
        return float(n)
    weighted = sum(
        (1 - k / (most + 1)) * float(deviations[k:] @ deviations[:-k])
        for k in range(1, min(most, n - 1) + 1)
    )
    inflation = 1.0 + 2.0 * weighted / variance
    return float(np.clip(n / inflation, 2.0, n)) if inflation > 0.0 else float(n)


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
    n_obs: float,
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
        n_obs: number of its returns; ``effective_length`` where they are autocorrelated.
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
