"""The screener's rows for a book's stocks and pairs, computed from daily bars alone."""

import math
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from simulator.replay.book import Bars, Book, day_number, day_of
from trademl.symbology import screener_exchange, split_pair

Row = dict[str, Any]

_STILL_LISTED = 7
"""Days without a bar after which a name is taken to trade no more."""
_LOOKBACKS = {"Perf.W": 7, "Perf.1M": 30, "Perf.3M": 91, "Perf.6M": 182, "Perf.Y": 365}
_YEAR = 365
_AVERAGED = 10
_KINDS = {"etf": ("fund", "etf")}

_COMPUTED = (
    *("name", "description", "type", "typespecs", "exchange", "currency", "base_currency"),
    *("sector", "industry", "is_primary", "update_mode", "minmov", "pricescale"),
    *("open", "high", "low", "close", "change", "volume", "Value.Traded", "Volatility.D"),
    *("average_volume_10d_calc", "relative_volume_10d_calc", "volume_change"),
    *("price_52_week_high", "price_52_week_low", "Perf.YTD", *_LOOKBACKS),
)
_NULL = (
    *("Recommend.All", "Recommend.MA", "Recommend.Other", "RSI", "ADX", "ATR", "ROC", "Mom"),
    *("market_cap_basic", "earnings_release_next_trading_date_fq", "24h_vol", "VWAP"),
)
COLUMNS = frozenset((*_COMPUTED, *_NULL))
"""The columns that may be asked; those that a market directory cannot fill are null."""


def stock_rows(book: Book) -> list[Row]:
    """One row per name that still trades, as of the last published session."""
    splits: dict[str, list[tuple[int, float]]] = {}
    for split in book.splits:
        splits.setdefault(split["symbol"], []).append(
            (day_number(split["ex_date"]), float(split["ratio"]))
        )
    return [
        _row(
            _listing(book, symbol),
            bars,
            _moves(book.equities, symbol, last, partial(_factor, splits.get(symbol, []))),
        )
        for symbol, last, bars in _trading(book.equities, book.equities.newest)
        if not _is_gone(book, symbol)
    ]


def crypto_rows(book: Book) -> list[Row]:
    """One row per pair that still trades, as of the last full UTC day."""
    full = day_number(book.clock.date()) - 1
    return [
        _row(_pair(symbol), bars, _moves(book.crypto, symbol, last, partial(_factor, [])))
        for symbol, last, bars in _trading(book.crypto, full)
    ]


def _row(*parts: Row) -> Row:
    """All columns, null where no part fills them."""
    row: Row = dict.fromkeys(COLUMNS)
    for part in parts:
        row.update(part)
    return row


def _is_gone(book: Book, symbol: str) -> bool:
    """Whether a name was renamed or trades no more, whatever its last bars say."""
    if any(row["old_symbol"] == symbol for row in book.renames):
        return True
    last, newest = book.listings.get(symbol, {}).get("last_bar_date"), book.equities.newest
    return last is not None and newest is not None and day_number(last) < newest


def _trading(bars: Bars, newest: int | None) -> Iterator[tuple[str, int, Row]]:
    """Names with a bar in the last days, the day of it and what it says."""
    if newest is None:
        return
    for symbol in bars.symbols:
        low, high = bars.rows(symbol, newest - _STILL_LISTED, newest)
        if low < high:
            yield symbol, int(bars.days[high - 1]), _bar(bars, symbol, high - 1)


def _bar(bars: Bars, symbol: str, row: int) -> Row:
    """The day's prices; a crypto volume is the quote volume over the close, as is its value."""
    prices = {name: float(bars.columns[name][row]) for name in ("open", "high", "low", "close")}
    volume, value = _volumes(bars, row)
    first, _ = bars.rows(symbol, 0, int(bars.days[row]))
    recent = [_volumes(bars, place)[0] for place in range(max(first, row - _AVERAGED + 1), row + 1)]
    average = float(np.mean(recent))
    before = _volumes(bars, row - 1)[0] if row > first else 0.0
    return {
        **prices,
        "volume": volume,
        "Value.Traded": value,
        "Volatility.D": _percent(prices["high"], prices["low"]),
        "average_volume_10d_calc": average,
        "relative_volume_10d_calc": volume / average if average else None,
        "volume_change": _percent(volume, before),
    }


def _volumes(bars: Bars, row: int) -> tuple[float, float]:
    """Units and value traded on a day."""
    close = float(bars.columns["close"][row])
    if "volume" in bars.columns:
        volume = float(bars.columns["volume"][row])
        return volume, volume * close
    value = float(bars.columns["quote_volume"][row])
    return (value / close if close else 0.0), value


def _moves(bars: Bars, symbol: str, last: int, factor: Callable[[int, int], float]) -> Row:
    """Changes against earlier closes, which ``factor`` brings to today's share."""
    low, high = bars.rows(symbol, 0, last)
    days, closes = bars.days[low:high], bars.columns["close"][low:high]
    close = float(closes[-1])

    def since(day: int) -> float | None:
        place = int(np.searchsorted(days, day, side="right")) - 1
        if place < 0:
            return None
        return _percent(close, float(closes[place]) / factor(int(days[place]), last))

    new_year = day_number(date(day_of(last).year, 1, 1))
    year = slice(*np.searchsorted(days, [last - _YEAR, last + 1]))
    scales = np.array([factor(int(day), last) for day in days[year]])
    return {
        "change": since(int(days[-2])) if len(days) > 1 else None,
        "Perf.YTD": since(new_year - 1),
        **{name: since(last - span) for name, span in _LOOKBACKS.items()},
        "price_52_week_high": float(np.max(bars.columns["high"][low:high][year] / scales)),
        "price_52_week_low": float(np.min(bars.columns["low"][low:high][year] / scales)),
    }


def _factor(ratios: list[tuple[int, float]], earlier: int, later: int) -> float:
    """Shares at the later day for one at the earlier."""
    return math.prod(ratio for day, ratio in ratios if earlier < day <= later)


def _percent(value: float, base: float) -> float | None:
    return (value / base - 1) * 100 if base else None


def _listing(book: Book, symbol: str) -> Row:
    listed = book.listings.get(symbol, {})
    exchange = screener_exchange(listed.get("exchange") or "NYSE")
    kind, spec = _KINDS.get(str(listed.get("asset_type")), ("stock", "common"))
    return {
        "s": f"{exchange}:{symbol}",
        "name": symbol,
        "description": listed.get("name") or symbol,
        "type": kind,
        "typespecs": [spec],
        "exchange": exchange,
        "currency": "USD",
        "sector": listed.get("sector"),
        "industry": listed.get("industry"),
        "is_primary": True,
        "update_mode": "streaming",
        "minmov": 1,
        "pricescale": 100,
    }


def _pair(symbol: str) -> Row:
    base, quote = split_pair(symbol)
    return {
        "s": f"BINANCE:{symbol}",
        "name": symbol,
        "description": f"{base} / {quote}",
        "type": "spot",
        "typespecs": ["crypto"],
        "exchange": "BINANCE",
        "currency": quote or None,
        "base_currency": base,
        "is_primary": False,
        "update_mode": "streaming",
    }
