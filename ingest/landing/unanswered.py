"""Unanswered symbols: requested for a session, but without a bar of it (late, halted or gone).

The newest bar of a dataset says nothing of them. They are asked again, but not for ever.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.landing.bookmarks import Envelope, is_plausible, last_day, moment_in, reading
from ingest.landing.job import FRESH
from ingest.payloads.endpoint import Endpoint
from trademl.symbology import from_vendor

MOST_ASKS = 3
"""Who had no bar of a session so often, twelve hours apart, was not traded in it."""
_REMEMBERED = 128
"""Files whose symbols are kept in memory, some 100 kB each at most; few cover the last session."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """How often a symbol was asked for a session in vain.

    Attributes:
        asks: How many files say so.
        last: When it was asked last.
    """

    asks: int
    last: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is worth asking again."""
        return self.asks < MOST_ASKS and now - self.last >= FRESH


def unanswered_symbols(
    landed: Iterable[tuple[Endpoint, Envelope]],
    day: date,
    session_of: Callable[[datetime], date],
) -> tuple[Mapping[str, Unanswered], frozenset[str]]:
    """Who was asked for a session and has no bar of it, and who has one.

    Args:
        landed: Landed files of bars, and where they landed.
        day: The session.
        session_of: The session that a bar's event time belongs to.

    Raises:
        DataError: A landed file cannot be read.
    """
    fetch_times: dict[str, list[datetime]] = {}
    answered: set[str] = set()
    for endpoint, envelope in landed:
        if not (envelope.start and envelope.end and envelope.start <= day <= envelope.end):
            continue
        for symbol in envelope.symbols:
            fetch_times.setdefault(symbol, []).append(envelope.ingested_at)
        if envelope.newest is not None and session_of(envelope.newest) >= day:
            last = last_day(envelope.end, envelope.ingested_at)
            newest = _newest_of_each(envelope.path, endpoint, last)
            answered |= {name for name, moment in newest.items() if session_of(moment) >= day}
    missing = {
        symbol: Unanswered(len(times), max(times))
        for symbol, times in fetch_times.items()
        if symbol not in answered
    }
    return missing, frozenset(answered)


@lru_cache(maxsize=_REMEMBERED)
def _newest_of_each(path: Path, endpoint: Endpoint, last: date) -> Mapping[str, datetime]:
    """The latest event time of each symbol in a landed file, by the lake's names.

    Times that cannot be true, such as ones after the last day, are passed over.
    """
    assert endpoint.event_time is not None
    columns = [endpoint.symbol, endpoint.event_time]
    with reading(path), pq.ParquetFile(path) as file:
        table = _plausible(file.read(columns=columns), endpoint.event_time, last)
        newest = table.group_by(endpoint.symbol).aggregate([(endpoint.event_time, "max")])
        symbols = newest.column(endpoint.symbol).to_pylist()
        moments = newest.column(f"{endpoint.event_time}_max").to_pylist()
    return {
        from_vendor(symbol, endpoint.class_mark): moment_in(moment)
        for symbol, moment in zip(symbols, moments, strict=True)
        if symbol is not None
    }


def _plausible(rows: pa.Table, event_time: str, last: date) -> pa.Table:
    """The rows whose event can have been then: all of them, but in odd files."""
    times = rows.column(event_time)
    span = pc.min_max(times).as_py()
    if not times.null_count and all(is_plausible(bound, last) for bound in span.values()):
        return rows
    return rows.filter(
        pa.array([is_plausible(time, last) for time in times.to_pylist()], pa.bool_())
    )
