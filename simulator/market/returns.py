"""The return process of the simulated market, with the signal that a daily model can find.

Equities: market factor + 11 sector factors + own noise, each with volatility clustering and
Student-t tails, plus a small drift that follows ``planted_score``. Coins: one factor + own noise
and a drift that follows their own 20-day momentum. All returns are log total returns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

SIGNAL_LOOKBACK = 60
"""Sessions of history that ``planted_score`` looks at."""

SIGNAL_WEIGHTS = np.array([0.15, 0.50, -0.15, -0.60, -0.40])
"""Weights of the ranks of mom_20, mom_60, return_1, return_5 and rv_20: momentum, short-term
reversal, low volatility."""

DAILY_DRIFT = 0.00068
"""Log return per session of one cross-sectional standard deviation of the score; 0.00062 gave a
mean IC of 0.063, see ``simulate_market`` for this one's."""

COIN_DRIFT = 0.0020
LARGEST_MOVE = 0.22
"""Ordinary log returns stay within this, so that a split is never an ordinary move."""

_BURN_IN = 130


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Simulated returns.

    Attributes:
        log_returns: Total log return per session and name, shape (sessions, names).
        sigma: The daily volatility in force, same shape.
    """

    log_returns: Floats
    sigma: Floats


def planted_score(levels: Floats) -> Floats:
    """The score that the next sessions' drift follows, known at the close of the last row.

    Args:
        levels: Cumulative log total returns, shape (at least 61 sessions, names), all finite.

    Returns:
        One value per name with mean about 0 and standard deviation 1 across names.
    """
    last = levels[-1]
    steps = np.diff(levels[-21:], axis=0)
    features = np.stack(
        [
            last - levels[-21],
            last - levels[-61],
            last - levels[-2],
            last - levels[-6],
            steps.std(axis=0),
        ]
    )
    return _unit(SIGNAL_WEIGHTS @ _ranks(features))


def equity_paths(
    rng: np.random.Generator, sectors: Indices, busy: Flags, drift: float = DAILY_DRIFT
) -> ReturnPaths:
    """Draws the equities' returns.

    Args:
        rng: The source of all randomness.
        sectors: Sector number per name.
        busy: Sessions of earnings, shape (sessions, names): own volatility doubles there.
        drift: Size of the planted signal; 0 gives a market without one.
    """
    sessions, names = busy.shape
    total = _BURN_IN + sessions
    beta = np.clip(rng.normal(1.0, 0.25, names), 0.4, 1.8)
    market_sigma = 0.0085 * np.exp(_autoregression(rng, total, 1, 0.98, 0.40))
    sector_sigma = 0.0045 * np.exp(_autoregression(rng, total, 11, 0.97, 0.30))
    base = np.clip(0.0135 * np.exp(rng.normal(0.0, 0.28, names)), 0.007, 0.026)
    common = _autoregression(rng, total, 1, 0.98, 0.20)
    own_sigma = base * np.exp(common + _autoregression(rng, total, names, 0.96, 0.25))
    own_sigma[_BURN_IN:] *= np.where(busy, 2.0, 1.0)
    market = 0.0003 + market_sigma * _fat_tails(rng, (total, 1))
    sector = sector_sigma * _fat_tails(rng, (total, 11))
    noise = beta * market + sector[:, sectors] + own_sigma * _fat_tails(rng, (total, names))
    sigma = np.sqrt((beta * market_sigma) ** 2 + sector_sigma[:, sectors] ** 2 + own_sigma**2)
    returns = _with_drift(noise, planted_score, drift)
    return ReturnPaths(log_returns=returns[_BURN_IN:], sigma=sigma[_BURN_IN:])


def coin_paths(rng: np.random.Generator, days: int, coins: int) -> ReturnPaths:
    """Draws the coins' returns, shape (days, coins)."""
    total = _BURN_IN + days
    loading = np.clip(rng.normal(1.0, 0.2, coins), 0.5, 1.5)
    factor_sigma = 0.024 * np.exp(_autoregression(rng, total, 1, 0.97, 0.40))
    own_sigma = 0.026 * np.exp(
        rng.normal(0.0, 0.25, coins) + _autoregression(rng, total, coins, 0.96, 0.30)
    )
    factor = 0.0006 + factor_sigma * _fat_tails(rng, (total, 1))
    noise = loading * factor + own_sigma * _fat_tails(rng, (total, coins))
    sigma = np.sqrt((loading * factor_sigma) ** 2 + own_sigma**2)
    returns = _with_drift(noise, _coin_momentum, COIN_DRIFT)
    return ReturnPaths(log_returns=returns[_BURN_IN:], sigma=sigma[_BURN_IN:])


def autoregressive_noise(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Unit-variance noise with memory (0.9 per step), for volumes."""
    return _autoregression(rng, shape[0], shape[1], 0.9, 1.0)


def _with_drift(noise: Floats, score: Callable[[Floats], Floats], drift: float) -> Floats:
    """Adds the drift step by step, since each day's score depends on the days before it."""
    levels = np.zeros((len(noise) + 1, noise.shape[1]))
    for step, shock in enumerate(noise):
        known = levels[max(0, step - SIGNAL_LOOKBACK) : step + 1]
        push = drift * score(known) if len(known) > SIGNAL_LOOKBACK else 0.0
        levels[step + 1] = levels[step] + np.clip(shock + push, -LARGEST_MOVE, LARGEST_MOVE)
    return np.diff(levels, axis=0)


def _coin_momentum(levels: Floats) -> Floats:
    return _unit(_ranks((levels[-1] - levels[-21])[np.newaxis])[0])


def _ranks(features: Floats) -> Floats:
    """Ranks along the last axis, spread over [-1, 1]."""
    order = features.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable")
    ranks: Floats = 2.0 * order / max(features.shape[-1] - 1, 1) - 1.0
    return ranks


def _unit(score: Floats) -> Floats:
    spread = score.std()
    return score / spread if spread > 0 else score * 0.0


def _autoregression(
    rng: np.random.Generator, steps: int, width: int, memory: float, deviation: float
) -> Floats:
    """A stationary AR(1) with the given standard deviation, shape (steps, width)."""
    shocks = rng.normal(0.0, deviation * np.sqrt(1.0 - memory**2), (steps, width))
    state = rng.normal(0.0, deviation, width)
    for step in range(steps):
        state = memory * state + shocks[step]
        shocks[step] = state
    return shocks


def _fat_tails(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Student-t noise with 5 degrees of freedom and unit variance."""
    noise: Floats = rng.standard_t(5.0, shape) * np.sqrt(3.0 / 5.0)
    return noise
