"""Performance of one series of simple returns: the only Sharpe ratio, drawdown and moments.

A figure that is not defined (no return, too few, no variance) is nan; who needs a number instead
says which. A missing return (nan) is no observation, and no change of wealth.
"""

from dataclasses import dataclass

import numpy as np

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray

_NAN = float("nan")

FLAT = 1e-12
"""A standard deviation up to this share of the largest return is rounding noise of a constant:
pairwise sums leave 1e-16 to 1e-15 of it."""


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
        sharpe_per_period: the same without annualization, what ``deflated_sharpe`` asks for.
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
    present, wealth = _present(series), _wealth(series)
    annual = _annual_return(wealth, periods_per_year)
    drawdown, sharpe = max_drawdown(series), sharpe_ratio(series)
    root = float(np.sqrt(periods_per_year))
    skew, kurtosis = skew_and_kurtosis(series)
    return Metrics(
        n_periods=series.size,
        n_obs=present.size,
        total_return=float(wealth[-1]) - 1.0 if wealth.size else _NAN,
        annual_return=annual,
        annual_volatility=_deviation(present) * root,
        sharpe=sharpe * root,
        sharpe_per_period=sharpe,
        sortino=_sortino(present) * root,
        max_drawdown=drawdown,
        calmar=_quotient(annual, -drawdown),
        skew=skew,
        kurtosis=kurtosis,
        win_rate=float(np.mean(present > 0.0)) if present.size else _NAN,
    )


def sharpe_ratio(returns: FloatArray) -> float:
    """Mean over standard deviation (ddof 1), per period, risk-free 0; nan where nothing moves.

    Args:
        returns: shape (T,), simple returns as fractions, nan for missing.
    """
    present = _present(returns)
    return _quotient(present.mean() if present.size else _NAN, _deviation(present))


def max_drawdown(returns: FloatArray) -> float:
    """Lowest wealth over its running peak, less 1; wealth is 1 before the first return.

    Args:
        returns: shape (T,), simple returns as fractions, nan for missing.

    Returns:
        0 or negative; nan without a period.
    """
    if returns.size == 0:
        return _NAN
    wealth = _wealth(returns)
    peak = np.maximum.accumulate(np.maximum(wealth, 1.0))
    return min(float((wealth / peak).min()) - 1.0, 0.0)


def skew_and_kurtosis(returns: FloatArray) -> tuple[float, float]:
    """Skewness and raw kurtosis (3 for a normal), population moments; nan where nothing moves.

    Args:
        returns: shape (T,), simple returns as fractions, nan for missing.
    """
    present = _present(returns)
    if present.size < 2 or _deviation(present) == 0.0:
        return _NAN, _NAN
    scores = (present - present.mean()) / present.std()
    return float(np.mean(scores**3)), float(np.mean(scores**4))


def _present(returns: FloatArray) -> FloatArray:
    return returns[~np.isnan(returns)]


def _wealth(returns: FloatArray) -> FloatArray:
    return np.asarray(np.cumprod(1.0 + np.where(np.isnan(returns), 0.0, returns)))


def _quotient(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0.0 else _NAN


def _annual_return(wealth: FloatArray, periods_per_year: float) -> float:
    if wealth.size == 0:
        return _NAN
    # Wealth below 0 (a short that lost more than everything) has no root; it is a total loss.
    final = max(float(wealth[-1]), 0.0)
    with np.errstate(over="ignore"):
        return float(np.power(final, periods_per_year / wealth.size)) - 1.0


def _deviation(present: FloatArray) -> float:
    """Standard deviation (ddof 1); 0 when it is rounding noise of a constant series."""
    if present.size < 2:
        return _NAN
    deviation = float(present.std(ddof=1))
    return deviation if deviation > FLAT * float(np.abs(present).max()) else 0.0


def _sortino(present: FloatArray) -> float:
    if present.size < 2:
        return _NAN
    losses = np.minimum(present, 0.0)
    return _quotient(float(present.mean()), float(np.sqrt(np.mean(losses**2))))
