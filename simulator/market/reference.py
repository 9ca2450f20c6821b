"""Reference data of the simulated names: symbols, companies, listings, membership, earnings."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa

from simulator.market.defects import Days, Event
from simulator.market.returns import Floats, Indices

SECTORS = {
    "Communication Services": ("Interactive Media & Services", "Entertainment"),
    "Consumer Discretionary": ("Specialty Retail", "Household Durables"),
    "Consumer Staples": ("Food Products", "Beverages"),
    "Energy": ("Oil, Gas & Consumable Fuels", "Energy Equipment & Services"),
    "Financials": ("Banks", "Insurance"),
    "Health Care": ("Biotechnology", "Health Care Equipment & Supplies"),
    "Industrials": ("Machinery", "Aerospace & Defense"),
    "Information Technology": ("Software", "Semiconductors & Semiconductor Equipment"),
    "Materials": ("Chemicals", "Metals & Mining"),
    "Real Estate": ("Industrial REITs", "Residential REITs"),
    "Utilities": ("Electric Utilities", "Gas Utilities"),
}
INDEX_NAME = "SP500"
"""The name the real market directory uses, so that one profile runs on both."""

COINS = (
    *("BTC", "ETH", "BNB", "XRP", "ADA", "SOL", "DOGE", "DOT", "LTC", "LINK"),
    *("TRX", "XLM", "ATOM", "UNI", "XMR", "EOS", "AAVE", "XEM", "CRO", "IOTA"),
)
_COIN_PRICES = (
    *(3800, 150, 6, 0.35, 0.04, 1.5, 0.0025, 3, 32, 0.3),
    *(0.02, 0.11, 3, 3, 48, 2.6, 50, 0.06, 0.02, 0.35),
)
_MONTHS_OF_EARNINGS = (1, 4, 7, 10)
_MONTHS_OF_DIVIDENDS = (3, 6, 9, 12)
_CONSONANTS, _VOWELS = "BCDFGHJKLMNPQRSTVWXZ", "AEIOU"
MOST_NAMES = 5000


@dataclass(frozen=True, slots=True)
class Renaming:
    """A change of symbol: ``name`` trades as ``new_symbol`` from session ``row`` on."""

    name: int
    row: int
    new_symbol: str


@dataclass(frozen=True, slots=True)
class Roster:
    """The simulated names.

    Attributes:
        symbols: First symbol per name.
        sectors: Sector number per name.
        first_row: First session per name.
        last_row: Last session per name, the span's last one unless delisted.
        renaming: The one change of symbol.
        sessions: Session dates of the span.
    """

    symbols: list[str]
    sectors: Indices
    first_row: Indices
    last_row: Indices
    renaming: Renaming
    sessions: Days

    def symbol_at(self, name: int, day: date) -> str:
        """The symbol a name trades under on a day."""
        change = self.renaming
        if name == change.name and day >= self.sessions[change.row].item():
            return change.new_symbol
        return self.symbols[name]

    def day(self, row: int) -> date:
        """The date of a session."""
        moment: date = self.sessions[row].item()
        return moment


def made_up_symbols(count: int) -> list[str]:
    """Pronounceable four-letter symbols, all different, the same for every seed."""
    syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
    picks = [(number * 3571 + 1234) % 10_000 for number in range(count)]
    return [syllables[pick // 100] + syllables[pick % 100] for pick in picks]


def coin_symbols(count: int) -> list[str]:
    """Symbols of coins against USDT: the well-known ones first."""
    names = [*COINS[:count], *made_up_symbols(max(0, count - len(COINS)))]
    return [f"{name}USDT" for name in names]


def coin_prices(count: int) -> Floats:
    """First prices of coins in USDT."""
    known = np.array(_COIN_PRICES, dtype=float)
    return known[np.arange(count) % len(known)]


def quarterly_days(months: tuple[int, ...], start: date, end: date, offset_days: int) -> list[date]:
    """The days ``offset_days`` after the first of the given months, within the span."""
    firsts = [date(year, month, 1) for year in range(start.year, end.year + 1) for month in months]
    days = [first + timedelta(days=offset_days) for first in firsts]
    return [day for day in days if start <= day <= end]


def dividend_rows(rng: np.random.Generator, sessions: Days, names: int) -> list[Indices]:
    """Per name, the sessions it would go ex at: one per quarter."""
    start, end = sessions[0].item(), sessions[-1].item()
    offsets = rng.integers(3, 26, names)
    rows = []
    for offset in offsets:
        days = quarterly_days(_MONTHS_OF_DIVIDENDS, start, end, int(offset))
        rows.append(np.searchsorted(sessions, np.array(days, dtype="datetime64[D]")))
    return rows


def earnings_calendar(
    rng: np.random.Generator, sessions: Days, names: int
) -> list[list[tuple[date, datetime]]]:
    """Per name, its earnings dates (sessions) with the time at which each was announced.

    Args:
        rng: The source of all randomness.
        sessions: Sessions of the span and of the weeks after it.
        names: Number of names.
    """
    start, end = sessions[0].item(), sessions[-1].item()
    calendar = []
    for offset in rng.integers(10, 50, names):
        days = quarterly_days(_MONTHS_OF_EARNINGS, start, end, int(offset))
        rows = np.searchsorted(sessions, np.array(days, dtype="datetime64[D]"))
        notice = rng.integers(18, 36, len(rows))
        dated = [sessions[row].item() for row in rows if row < len(sessions)]
        calendar.append(
            [(day, _announced(day, int(n))) for day, n in zip(dated, notice, strict=False)]
        )
    return calendar


def _announced(day: date, notice_days: int) -> datetime:
    return datetime.combine(day - timedelta(days=notice_days), time(21, tzinfo=UTC))


def listings_table(rng: np.random.Generator, roster: Roster) -> pa.Table:
    """The listings: one row per symbol, hence two for the name that changed its symbol."""
    names = len(roster.symbols)
    sectors = list(SECTORS)
    ages = rng.integers(400, 12_000, names)
    exchanges = np.where(rng.random(names) < 0.6, "NYSE", "NASDAQ")
    lines = rng.integers(0, 2, names)
    rows = []
    for name in range(names):
        sector = sectors[roster.sectors[name]]
        first = roster.day(int(roster.first_row[name]))
        ipo = first if roster.first_row[name] else first - timedelta(days=int(ages[name]))
        for symbol, start, end in _symbol_spells(roster, name):
            rows.append(
                {
                    "symbol": symbol,
                    "name": f"{symbol.capitalize()} Inc",
                    "exchange": str(exchanges[name]),
                    "asset_type": "common_stock",
                    "sector": sector,
                    "industry": SECTORS[sector][lines[name]],
                    "first_bar_date": start,
                    "last_bar_date": end,
                    "ipo_date": ipo,
                }
            )
    text = ("symbol", "name", "exchange", "asset_type", "sector", "industry")
    dates = ("first_bar_date", "last_bar_date", "ipo_date")
    schema = pa.schema([(c, pa.string()) for c in text] + [(c, pa.date32()) for c in dates])
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["symbol"]), schema)


def _symbol_spells(roster: Roster, name: int) -> list[tuple[str, date, date | None]]:
    """Each symbol of a name with its first bar and, where it ended, its last."""
    first, last = int(roster.first_row[name]), int(roster.last_row[name])
    ended = roster.day(last) if last < len(roster.sessions) - 1 else None
    change = roster.renaming
    if name != change.name:
        return [(roster.symbols[name], roster.day(first), ended)]
    return [
        (roster.symbols[name], roster.day(first), roster.day(change.row - 1)),
        (change.new_symbol, roster.day(change.row), ended),
    ]


def membership_table(rng: np.random.Generator, roster: Roster) -> pa.Table:
    """Spells of index membership; ``end_date`` is the first day outside, null while inside.

    About one name in ten is never a member, one in ten joins late, one in ten is removed; names
    that list late join 60 sessions after it; the delisted one leaves after its last bar.
    """
    sessions, names = len(roster.sessions), len(roster.symbols)
    fate = rng.permutation(np.arange(names) % 10)
    change_row = rng.integers(int(0.2 * sessions), int(0.8 * sessions), names)
    rows = []
    for name in range(names):
        first, last = int(roster.first_row[name]), int(roster.last_row[name])
        delisted = last < sessions - 1
        if fate[name] == 0 and not delisted:
            continue
        joins = first + 60 if first else int(change_row[name]) if fate[name] == 1 else 0
        leaves = int(change_row[name]) if fate[name] == 2 and not first else sessions
        leaves = last + 1 if delisted else leaves
        rows += _spells(roster, name, 0 if delisted else joins, leaves)
    schema = pa.schema(
        [
            ("index_name", pa.string()),
            ("symbol", pa.string()),
            ("start_date", pa.date32()),
            ("end_date", pa.date32()),
        ]
    )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["symbol"])), schema)


def _spells(roster: Roster, name: int, start: int, stop: int) -> list[dict[str, str | date | None]]:
    """A membership from session ``start`` up to ``stop``, cut where the symbol changes."""
    cut = roster.renaming.row if name == roster.renaming.name else start
    bounds = [start, cut, stop] if start < cut < stop else [start, stop]
    return [
        {
            "index_name": INDEX_NAME,
            "symbol": roster.symbol_at(name, roster.day(low)),
            "start_date": roster.day(low),
            "end_date": roster.day(high) if high < len(roster.sessions) else None,
        }
        for low, high in pairwise(bounds)
    ]


def earnings_table(roster: Roster, calendar: list[list[tuple[date, datetime]]]) -> pa.Table:
    """Earnings dates of listed names, under the symbol of the day, with the announcement's time."""
    rows = []
    for name, dated in enumerate(calendar):
        first, last = int(roster.first_row[name]), int(roster.last_row[name])
        ended = roster.day(last) if last < len(roster.sessions) - 1 else date.max
        rows += [
            {
                "symbol": roster.symbol_at(name, day),
                "earnings_date": day,
                "announced_at": announced_at,
            }
            for day, announced_at in dated
            if roster.day(first) <= day <= ended
        ]
    schema = pa.schema(
        [
            ("symbol", pa.string()),
            ("earnings_date", pa.date32()),
            ("announced_at", pa.timestamp("us", tz="UTC")),
        ]
    )
    return pa.Table.from_pylist(rows, schema).sort_by(
        [("symbol", "ascending"), ("earnings_date", "ascending")]
    )


def roster_of(
    symbols: list[str], sectors: Indices, first_row: Indices, sessions: Days, events: list[Event]
) -> Roster:
    """Puts the names together with what the events do to them."""
    last_row = np.full(len(sectors), len(sessions) - 1)
    for event in events:
        if event.kind == "delisting":
            last_row[event.name] = event.row
    renamed = next(event for event in events if event.kind == "rename")
    change = Renaming(renamed.name, renamed.row, symbols[-1])
    return Roster(symbols[:-1], sectors, first_row, last_row, change, sessions)
