"""The tables of a simulated market, and the list of what was planted in them."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa

from simulator.market import bars as sim_bars
from simulator.market import defects, reference, returns
from simulator.market.bars import Bars
from simulator.market.defects import Days
from simulator.market.equities import Equities, stream
from simulator.market.reference import Roster
from simulator.market.returns import Indices

Defect = dict[str, str | None]

_PRICE_COLUMNS = ("open", "high", "low", "close")
_BY_DATE = [("symbol", "ascending"), ("date", "ascending")]
_BY_EX_DATE = [("symbol", "ascending"), ("ex_date", "ascending")]


def equity_tables(seed: int, equities: Equities) -> dict[str, pa.Table]:
    """Every table about equities, by file name."""
    roster, change = equities.roster, equities.roster.renaming
    rng = stream(seed, 6)
    return {
        "equities_daily": _equities_daily(equities),
        "equities_daily_corrections": _corrections(equities),
        "splits": _splits(equities),
        "dividends": _dividends(equities),
        "listings": reference.listings_table(rng, roster),
        "index_membership": reference.membership_table(rng, roster),
        "earnings_dates": reference.earnings_table(roster, equities.earnings),
        "outages": pa.table(
            {
                "date": _dates([roster.day(defects.LATE_ROW)]),
                "recovered_at": _times([equities.span.between_nights]),
            }
        ),
        "renames": pa.table(
            {
                "old_symbol": [roster.symbols[change.name]],
                "new_symbol": [change.new_symbol],
                "effective_date": _dates([roster.day(change.row)]),
            }
        ),
    }


def crypto_table(seed: int, n_crypto: int, start: date, end: date) -> pa.Table:
    """Coins on every UTC day; every sixth one lists late."""
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D") + 1)
    paths = returns.coin_paths(stream(seed, 7), len(days), n_crypto)
    bars = sim_bars.coin_bars(stream(seed, 8), paths, reference.coin_prices(n_crypto))
    numbers = np.arange(n_crypto)
    first_row = np.where(numbers % 6 == 5, numbers * len(days) // (2 * n_crypto), 0)
    names, rows = np.nonzero((np.arange(len(days))[:, np.newaxis] >= first_row).T)
    columns = {
        "symbol": pa.array(np.array(reference.coin_symbols(n_crypto))[names]),
        "date": pa.array(days[rows], pa.date32()),
        **{column: pa.array(getattr(bars, column)[rows, names]) for column in _PRICE_COLUMNS},
        "quote_volume": pa.array(bars.volume[rows, names]),
    }
    return pa.table(columns).sort_by(_BY_DATE)


def defect_list(equities: Equities) -> list[Defect]:
    """What was planted, in the schedule's order, then dividends and the market-wide events."""
    span, roster = equities.span, equities.roster
    stray = {
        id(event): day
        for event, day in defects.stray_dates(equities.events, span.sessions, span.closed)
    }
    entries: list[tuple[str, str | None, date, str]] = []
    for event in equities.events:
        day = stray.get(id(event), roster.day(event.row))
        entries.append((event.kind, roster.symbol_at(event.name, day), day, event.text))
    entries.append(_first_dividend(equities))
    day = roster.day(defects.LATE_ROW)
    entries.append(("vendor_outage", None, day, "no bars of this session before the last night"))
    half_days = [roster.day(int(row)) for row in np.flatnonzero(span.early)]
    entries += [("half_day", None, day, "the exchange closed early") for day in half_days]
    return _numbered(entries)


def _equities_daily(equities: Equities) -> pa.Table:
    """The bars as first published: gaps left out, wrong values and stray days put in."""
    span = equities.span
    bars = defects.spoil(equities.bars, equities.events)
    stray = defects.stray_dates(equities.events, span.sessions, span.closed)
    names, rows = np.nonzero(equities.present.T)
    rows = np.append(rows, [event.row for event, _ in stray])
    names = np.append(names, [event.name for event, _ in stray])
    days = span.sessions[rows]
    if stray:
        days[-len(stray) :] = np.array([day for _, day in stray], dtype="datetime64[D]")
    return _bar_table(equities.roster, bars, rows, names, days)


def _corrections(equities: Equities) -> pa.Table:
    late = [event for event in equities.events if event.kind == "late_correction"]
    rows = np.array([event.row for event in late])
    names = np.array([event.name for event in late])
    days = equities.span.sessions[rows]
    table = _bar_table(equities.roster, equities.bars, rows, names, days)
    return table.append_column("published_at", _times([equities.span.between_nights] * len(late)))


def _bar_table(roster: Roster, bars: Bars, rows: Indices, names: Indices, days: Days) -> pa.Table:
    """Bars of the given grid positions, sorted by symbol and date."""
    symbols = np.array(roster.symbols)[names]
    renamed = (names == roster.renaming.name) & (rows >= roster.renaming.row)
    columns = {
        "symbol": pa.array(np.where(renamed, roster.renaming.new_symbol, symbols)),
        "date": pa.array(days, pa.date32()),
        **{column: pa.array(getattr(bars, column)[rows, names]) for column in _PRICE_COLUMNS},
        "volume": pa.array(bars.volume[rows, names].astype(np.int64)),
    }
    return pa.table(columns).sort_by(_BY_DATE)


def _splits(equities: Equities) -> pa.Table:
    splits = [event for event in equities.events if event.published_ratio is not None]
    span, roster = equities.span, equities.roster
    published = [
        defects.split_published_at(event, span.opens_at, span.between_nights) for event in splits
    ]
    table = pa.table(
        {
            "symbol": [roster.symbol_at(event.name, roster.day(event.row)) for event in splits],
            "ex_date": _dates([roster.day(event.row) for event in splits]),
            "ratio": pa.array([event.published_ratio for event in splits], pa.float64()),
            "published_at": _times(published),
        }
    )
    return table.sort_by(_BY_EX_DATE)


def _dividends(equities: Equities) -> pa.Table:
    roster, cash = equities.roster, equities.prices.cash
    names, rows = np.nonzero(cash.T)
    days = [roster.day(int(row)) for row in rows]
    table = pa.table(
        {
            "symbol": [roster.symbol_at(int(n), d) for n, d in zip(names, days, strict=True)],
            "ex_date": _dates(days),
            "cash": pa.array(cash[rows, names]),
        }
    )
    return table.sort_by(_BY_EX_DATE)


def _first_dividend(equities: Equities) -> tuple[str, str, date, str]:
    """The first dividend of a name that nothing else happens to."""
    touched = [event.name for event in equities.events]
    cash = equities.prices.cash.copy()
    cash[:, touched] = 0.0
    row, name = (int(position[0]) for position in np.nonzero(cash))
    day = equities.roster.day(row)
    text = f"dividend of {cash[row, name]:.2f} USD, one of those in dividends.parquet"
    return "dividend", equities.roster.symbol_at(name, day), day, text


def _numbered(entries: list[tuple[str, str | None, date, str]]) -> list[Defect]:
    counts: dict[str, int] = {}
    listed: list[Defect] = []
    for kind, symbol, day, text in entries:
        counts[kind] = counts.get(kind, 0) + 1
        listed.append(
            {
                "id": f"{kind}-{counts[kind]}",
                "kind": kind,
                "symbol": symbol,
                "session_date": day.isoformat(),
                "description": text,
            }
        )
    return listed


def _dates(days: list[date]) -> pa.Array:
    return pa.array(days, pa.date32())


def _times(moments: list[datetime]) -> pa.Array:
    return pa.array(moments, pa.timestamp("us", tz="UTC"))
