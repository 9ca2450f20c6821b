"""Coverage of a stage's windows: GREEN days in the lake, GREEN minutes in landed files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain

import duckdb
import pyarrow as pa

from ingest.landing import bookmarks
from ingest.landing.windows import Span
from ingest.node.context import Node
from ingest.node.providers import served_from, usable_vendors
from ingest.node.stage_file import Stage
from ingest.node.stages.missing_history import history_of
from ingest.payloads.endpoint import Endpoint
from trademl.errors import ConfigError
from trademl.lake import versions as lake
from trademl.lake.sql import symbol_as_of
from trademl.sessions import sessions_between

LEAST_ROWS, MOST_ROWS = 0.90, 1.20
"""Minutes landed by minutes of the session within which a session of minutes is GREEN."""
_DAYS, _MINUTES = "equities_bars_1d", "equities_bars_1m"

Ledger = Mapping[str, Mapping[date, bool]]
"""By symbol and session, from the first one that has rows: whether it is GREEN."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a stage holds of one dataset.

    Attributes:
        dataset: The dataset.
        green: Sessions of symbols that are GREEN.
        expected: Sessions of symbols that should be.
    """

    dataset: str
    green: int
    expected: int

    @property
    def ratio(self) -> float:
        """GREEN sessions by expected ones; 0 where nothing is known yet."""
        return self.green / self.expected if self.expected else 0.0


def coverage(node: Node, stage: Stage) -> tuple[Coverage, ...]:
    """What a stage holds of each of its datasets.

    Every session of every symbol is expected but those without rows that a vendor was asked for:
    the symbol did not trade yet, or no more. A session between others that has no rows is RED.
    What no vendor may be asked for is not expected.

    Raises:
        ConfigError: A dataset's sessions are not counted anywhere.
        DataError: Nothing is published, or a landed file cannot be read.
    """
    return tuple(_coverage(node, stage, dataset) for dataset in stage.starts)


def _coverage(node: Node, stage: Stage, dataset: str) -> Coverage:
    if dataset not in _LEDGERS:
        raise ConfigError(f"no GREEN sessions are counted of {dataset}, a dataset of the stage")
    vendors = usable_vendors(node.registry, node.settings)
    first = served_from(dataset, node.registry, vendors, node.now().date())
    window = (max(stage.starts[dataset], first), stage.end)
    if window[0] >= window[1]:
        return Coverage(dataset, 0, 0)
    ledger = _LEDGERS[dataset](node, stage.symbols, window)
    landed = (bookmarks.landed(node.data_dir, endpoint) for endpoint in history_of(dataset))
    landed_spans = bookmarks.coverage(chain.from_iterable(landed), stage.symbols)
    days = _sessions(window)
    green = expected = 0
    for symbol in stage.symbols:
        known, spans = ledger.get(symbol, {}), landed_spans.get(symbol, [])
        green += sum(known.values())
        expected += sum(day in known or not _covers(spans, day) for day in days)
    return Coverage(dataset, green, expected)


def _sessions(window: Span) -> list[date]:
    return [session.day for session in sessions_between(window[0], _last(window))]


def _last(window: Span) -> date:
    return window[1] - timedelta(days=1)


def _covers(spans: list[Span], day: date) -> bool:
    return any(start <= day <= end for start, end in spans)


def _days(node: Node, symbols: tuple[str, ...], window: Span) -> Ledger:
    """What the newest version says of daily bars."""
    query = f"""
        select symbols.symbol, status.dt, status.status = 'GREEN'
        from quality.partition_status as status
        inner join reference.symbols as symbols
            on symbols.asset_class = 'equity' and {symbol_as_of("status.symbol", "status.dt")}
        where status.table_name = 'curated/equities_ohlcv_adj'
            and status.dt >= $start and status.dt < $end
            and list_contains($symbols, symbols.symbol)
    """
    given = {"start": window[0], "end": window[1], "symbols": list(symbols)}
    version = lake.find_version(node.data_dir)
    with lake.open_version(node.data_dir, version) as connection:
        rows = connection.execute(query, given).fetchall()
    ledger: dict[str, dict[date, bool]] = {}
    for symbol, day, is_green in rows:
        ledger.setdefault(symbol, {})[day] = is_green
    return ledger


def _minutes(node: Node, symbols: tuple[str, ...], window: Span) -> Ledger:
    """What landed files hold of minute bars: the lake has no table of them.

    A vendor that has a session GREEN is enough.
    """
    ledger: dict[str, dict[date, bool]] = {}
    for endpoint in history_of(_MINUTES):
        for symbol, day, _, is_green in _landed_minutes(node, endpoint, symbols, window):
            known = ledger.setdefault(symbol, {})
            known[day] = known.get(day, False) or is_green
    return ledger


def without_minutes(node: Node, stage: Stage, until: date) -> list[tuple[str, date]]:
    """Symbols and sessions before a day that no vendor gave a minute of, though earlier ones.

    Raises:
        DataError: A landed file cannot be read.
    """
    window = (stage.starts.get(_MINUTES, until), until)
    if window[0] >= until:
        return []
    counts: dict[tuple[str, date], int] = {}
    for endpoint in history_of(_MINUTES):
        for symbol, day, count, _ in _landed_minutes(node, endpoint, stage.symbols, window):
            counts[symbol, day] = counts.get((symbol, day), 0) + count
    return sorted(key for key, count in counts.items() if not count)


def _landed_minutes(
    node: Node, endpoint: Endpoint, symbols: tuple[str, ...], window: Span
) -> list[tuple[str, date, int, bool]]:
    """Symbol, session, its minutes and whether they are within bounds, from the first one on."""
    landed = bookmarks.landed(node.data_dir, endpoint)
    if not landed:
        return []
    sessions = sessions_between(window[0], _last(window))
    calendar = pa.table(
        {
            "day": [session.day for session in sessions],
            "open_at": [session.open_at for session in sessions],
            "close_at": [session.close_at for session in sessions],
        }
    )
    query = f"""
        with minutes as (
            select "{endpoint.symbol}" as symbol, day, count(distinct t) as count
            from read_parquet($files, hive_partitioning = false) as bars
            inner join calendar on bars.t >= calendar.open_at and bars.t < calendar.close_at
            where list_contains($symbols, "{endpoint.symbol}")
            group by all
        ),
        firsts as (select symbol, min(day) as day from minutes group by symbol)
        select
            firsts.symbol, calendar.day, coalesce(minutes.count, 0),
            coalesce(minutes.count, 0) / date_diff('minute', calendar.open_at, calendar.close_at)
            between $least and $most
        from firsts
        inner join calendar on calendar.day >= firsts.day
        left join minutes on firsts.symbol = minutes.symbol and calendar.day = minutes.day
    """
    parameters = {
        "files": [str(envelope.path) for envelope in landed],
        "symbols": list(symbols),
        "least": LEAST_ROWS,
        "most": MOST_ROWS,
    }
    with bookmarks.reading(node.data_dir / "raw" / endpoint.path), duckdb.connect() as connection:
        connection.register("calendar", calendar)
        return connection.execute(query, parameters).fetchall()


_LEDGERS: Mapping[str, Callable[[Node, tuple[str, ...], Span], Ledger]] = {
    _DAYS: _days,
    _MINUTES: _minutes,
}
"""What counts a dataset's GREEN sessions."""
