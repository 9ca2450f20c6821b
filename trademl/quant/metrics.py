"""Performance of one series of simple returns."""

from dataclasses import dataclass

import numpy as np

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Performance figures; nan where a figure is not defined (too few returns, no variance).

    Attributes:
        n_periods: length of the series, missing returns included.
        n_obs: returns that are present.
        total_return: compounded over the whole series, as a fraction.
        annual_return: compound annual growth, (1 + total)^(periods_per_year / n_periods) - 1.
        annual_volatility: standard deviation (ddof 1) times sqrt(periods_per_year).
        sharpe: mean / standard deviation (ddof 1) times sqrt(periods_per_year), risk-free 0.
        sharpe_per_period: the same without annualization, what ``overfitting`` asks for.
        sortino: mean / root of the mean squared loss, times sqrt(periods_per_year).
        max_drawdown: lowest wealth over its running peak, less 1; 0 or negative.
        calmar: annual return / abs(max drawdown).
        skew: skewness, population moments.
        kurtosis: raw kurtosis (3 for a normal), population moments.
        win_rate: share of the present returns that are positive.
    """

    n_periods: int
    n_obs: int
    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sharpe_per_period: float
    sortino: float
    max_drawdown: float
    calmar: float
    skew: float
    kurtosis: float
    win_rate: float


def performance(returns: FloatArray, periods_per_year: float) -> Metrics:
    """Return the performance figures of simple periodic returns.

    Conventions of quantopian/empyrical: a missing return (nan) is not a change of wealth but its
    period counts as time; moments are over the present returns; drawdown starts from wealth 1
    before the first return.

    Args:
        returns: shape (T,), simple returns as fractions, nan for missing.
        periods_per_year: 252 for exchange sessions, 365 for calendars without a break.

    Raises:
        DataError: not one-dimensional, an infinite return, or periods_per_year not positive.
    """
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1:
        raise DataError(f"returns must have shape (T,), got {series.shape}")
    if np.isinf(series).any():
        raise DataError("returns hold an infinite value")
    if not periods_per_year > 0:
        raise DataError(f"periods_per_year must be positive, got {periods_per_year}")
    present = series[~np.isnan(series)]
    filled = np.where(np.isnan(series), 0.0, series)
    wealth = np.asarray(np.cumprod(1.0 + filled), dtype=np.float64)
    annual = _annual_return(wealth, periods_per_year)
    drawdown = _max_drawdown(wealth)
    deviation = _deviation(present)
    sharpe = _quotient(present.mean() if present.size else _NAN, deviation)
    root = float(np.sqrt(periods_per_year))
    skew, kurtosis = _shape(present)
    return Metrics(
        n_periods=series.size,
        n_obs=present.size,
        total_return=float(wealth[-1]) - 1.0 if wealth.size else _NAN,
        annual_return=annual,
        annual_volatility=deviation * root,
        sharpe=sharpe * root,
        sharpe_per_period=sharpe,
        sortino=_sortino(present) * root,
        max_drawdown=drawdown,
        calmar=_quotient(annual, -drawdown),
        skew=skew,
        kurtosis=kurtosis,
        win_rate=float(np.mean(present > 0.0)) if present.size else _NAN,
    )


def _quotient(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0.0 else _NAN


def _annual_return(wealth: FloatArray, periods_per_year: float) -> float:
    if wealth.size == 0:
        return _NAN
    # Wealth below 0 (a short that lost more than everything) has no root; it is a total loss.
    final = max(float(wealth[-1]), 0.0)
    with np.errstate(over="ignore"):
        return float(np.power(final, periods_per_year / wealth.size)) - 1.0


def _max_drawdown(wealth: FloatArray) -> float:
    if wealth.size == 0:
        return _NAN
    peak = np.maximum.accumulate(np.concatenate([[1.0], wealth]))[1:]
    return min(float((wealth / peak).min()) - 1.0, 0.0)


def _deviation(present: FloatArray) -> float:
    """Standard deviation (ddof 1); 0 when it is rounding noise of a constant series."""
    if present.size < 2:
        return _NAN
    deviation = float(present.std(ddof=1))
    noise = 1e-15 * float(np.abs(present).max())
    return deviation if deviation > noise else 0.0


def _sortino(present: FloatArray) -> float:
    if present.size < 2:
        return _NAN
    losses = np.minimum(present, 0.0)
    return _quotient(float(present.mean()), float(np.sqrt(np.mean(losses**2))))


def _shape(present: FloatArray) -> tuple[float, float]:
    """Skewness and raw kurtosis from population moments."""
    if present.size < 2 or _deviation(present) == 0.0:
        return _NAN, _NAN
    scores = (present - present.mean()) / present.std()
    return float(np.mean(scores**3)), float(np.mean(scores**4))
