"""Daily bars of the simulated market: unadjusted prices, dividends, open/high/low and volumes."""

from dataclasses import dataclass

import numpy as np

from simulator.market.returns import Flags, Floats, Indices, ReturnPaths, autoregressive_noise

HALF_DAY_VOLUME = 0.45


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars on a grid of sessions by names; prices in USD.

    Attributes:
        open: First price, shape (sessions, names), as all others.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: Shares (equities) or quote volume in USDT (coins).
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def copy(self) -> "Bars":
        """The same bars in arrays of their own."""
        return Bars(
            self.open.copy(),
            self.high.copy(),
            self.low.copy(),
            self.close.copy(),
            self.volume.copy(),
        )


@dataclass(frozen=True, slots=True)
class PricePaths:
    """Unadjusted closes with what they went ex.

    Attributes:
        close: Unadjusted close in whole cents, shape (sessions, names).
        basis: The close before, minus the dividend, divided by the split ratio: the price that
            a return of zero leads to.
        cash: Dividend per share of the old count, zero where there is none.
    """

    close: Floats
    basis: Floats
    cash: Floats


def unadjusted_prices(
    log_returns: Floats, first_price: Floats, ratio: Floats, payout: Floats
) -> PricePaths:
    """Walks prices forward through dividends and splits.

    Args:
        log_returns: Total log returns, shape (sessions, names).
        first_price: Price before the first session, per name.
        ratio: New shares per old one on the ex-date, 1 elsewhere.
        payout: Dividend as a part of the close before on the ex-date, 0 elsewhere.
    """
    close, basis, cash = (np.zeros_like(log_returns) for _ in range(3))
    last = np.round(first_price, 2)
    for row, moves in enumerate(log_returns):
        cash[row] = np.round(last * payout[row], 2)
        basis[row] = (last - cash[row]) / ratio[row]
        last = np.maximum(np.round(basis[row] * np.exp(moves), 2), 0.01)
        close[row] = last
    return PricePaths(close=close, basis=basis, cash=cash)


def equity_bars(
    rng: np.random.Generator, paths: ReturnPaths, prices: PricePaths, early: Flags
) -> Bars:
    """Bars around given closes: prices in cents, low <= open, close <= high, whole shares.

    Args:
        rng: The source of all randomness.
        paths: The returns behind the closes.
        prices: The closes.
        early: Sessions with an early close, shape (sessions,): they trade less.
    """
    shape = paths.log_returns.shape
    overnight = 0.3 * paths.log_returns + 0.35 * paths.sigma * rng.normal(size=shape)
    opens = np.maximum(np.round(prices.basis * np.exp(overnight), 2), 0.01)
    high, low = _extremes(rng, paths.sigma, opens, prices.close, decimals=2)
    typical = np.exp(rng.normal(np.log(1.8e8), 0.8, shape[1]))
    traded = typical * _activity(rng, paths) * np.where(early, HALF_DAY_VOLUME, 1.0)[:, np.newaxis]
    shares = np.maximum(np.round(traded / prices.close), 100.0)
    return Bars(opens, high, low, prices.close.copy(), shares)


def coin_bars(rng: np.random.Generator, paths: ReturnPaths, first_price: Floats) -> Bars:
    """Bars of coins: each day opens at the close before, and the first coins trade most."""
    levels = first_price * np.exp(np.cumsum(paths.log_returns, axis=0))
    close = np.maximum(np.round(levels, 8), 1e-8)
    opens = np.vstack([np.round(first_price, 8), close[:-1]])
    high, low = _extremes(rng, paths.sigma, opens, close, decimals=8)
    typical = np.sort(np.exp(rng.normal(np.log(1.5e8), 1.1, close.shape[1])))[::-1]
    return Bars(opens, high, low, close, np.round(typical * _activity(rng, paths), 2))


def quarterly_payout(
    rng: np.random.Generator, payers: Flags, ex_rows: list[Indices], sessions: int
) -> Floats:
    """Dividend as a part of the price, shape (sessions, names); 1 to 4 % a year for the payers.

    Args:
        rng: The source of all randomness.
        payers: Which names pay.
        ex_rows: Per name, the sessions it goes ex.
        sessions: Number of sessions.
    """
    payout = np.zeros((sessions, len(payers)))
    yields = rng.uniform(0.01, 0.04, len(payers)) / 4.0
    for name in np.flatnonzero(payers):
        payout[ex_rows[name], name] = yields[name]
    return payout


def _extremes(
    rng: np.random.Generator, sigma: Floats, opens: Floats, close: Floats, decimals: int
) -> tuple[Floats, Floats]:
    """High and low beyond open and close by a part of the day's volatility."""
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    reach = 0.45 * sigma
    high = top * np.exp(reach * np.abs(rng.normal(size=sigma.shape)))
    low = bottom * np.exp(-reach * np.abs(rng.normal(size=sigma.shape)))
    smallest = 10.0**-decimals
    low = np.maximum(np.round(low, decimals), smallest)
    return np.maximum(np.round(high, decimals), top), np.minimum(low, bottom)


def _activity(rng: np.random.Generator, paths: ReturnPaths) -> Floats:
    """Lognormal trading activity around 1, with memory, larger on days of large moves."""
    shape = (paths.sigma.shape[0], paths.sigma.shape[1])
    surprise = np.minimum(np.abs(paths.log_returns) / paths.sigma, 5.0)
    noise = 0.25 * autoregressive_noise(rng, shape) + 0.20 * rng.normal(size=shape)
    return np.exp(0.30 * (surprise - 0.75) + noise)
