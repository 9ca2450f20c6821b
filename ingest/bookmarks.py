"""What has been landed, read back from the envelopes in the footers of landed files."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.endpoints import ENDPOINTS, Endpoint
from trademl.clock import parse_clock
from trademl.errors import DataError

Span = tuple[date, date]

_REMEMBERED = 65_536
"""Envelopes kept in memory, about 1 kB each; a footer takes 0.4 ms to read."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One landed file, from its footer.

    Attributes:
        path: The file.
        ingested_at: The clock it was landed at.
        start: First day its fetch asked for, none where there is no window.
        end: Last day, inclusive.
        symbols: Symbols it covers; empty means all.
        request_hash: Identity of the request chain.
        newest: Latest event time among its rows, none without rows or event time.
    """

    path: Path
    ingested_at: datetime
    start: date | None
    end: date | None
    symbols: frozenset[str]
    request_hash: str
    newest: datetime | None


def landed(data_dir: Path, endpoint: Endpoint, since: date | None = None) -> list[Envelope]:
    """The landed files of an endpoint, oldest first.

    Args:
        data_dir: The data directory.
        endpoint: Where they landed.
        since: Leaves out what was landed before this UTC date.

    Raises:
        DataError: A landed file cannot be read.
    """
    first = f"ingest_date={since or date.min}"
    folders = (data_dir / "raw" / endpoint.path).glob("ingest_date=*")
    files = (path for day in folders if day.name >= first for path in day.glob("*.parquet"))
    return [_remembered(path, endpoint) for path in sorted(files, key=lambda path: path.name)]


def coverage(envelopes: Iterable[Envelope]) -> dict[str, list[Span]]:
    """Per symbol, the spans of days that landed files answer for, merged where they touch."""
    spans: dict[str, list[Span]] = {}
    for envelope in envelopes:
        if envelope.start is not None and envelope.end is not None:
            for symbol in envelope.symbols:
                spans.setdefault(symbol, []).append((envelope.start, envelope.end))
    return {symbol: merged(found) for symbol, found in spans.items()}


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans of days in order, joined where they overlap or follow each other day by day."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1] + timedelta(days=1):
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def newest_event(envelopes: Iterable[Envelope]) -> datetime | None:
    """The latest event time in any of the files."""
    return max((found.newest for found in envelopes if found.newest is not None), default=None)


def _remembered(path: Path, endpoint: Endpoint) -> Envelope:
    """The envelope of a file, read once in a process: a backfill asks for it with every task."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"landed file {path} cannot be read: {error}; restore it") from error
    return _read_once(path, endpoint.path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=_REMEMBERED)
def _read_once(path: Path, endpoint: str, _changed_at: int, _size: int) -> Envelope:
    return _envelope(path, ENDPOINTS[endpoint])


def _envelope(path: Path, endpoint: Endpoint) -> Envelope:
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"landed file {path} cannot be read: {error}; restore it") from error
    facts = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
    symbols = facts.get("trademl_symbols", "")
    try:
        return Envelope(
            path=path,
            ingested_at=parse_clock(facts["trademl_ingested_at"]),
            start=_day(facts["trademl_window_start"]),
            end=_day(facts["trademl_window_end"]),
            symbols=frozenset(symbols.split(",")) if symbols else frozenset(),
            request_hash=facts["trademl_request_hash"],
            newest=newest_in(footer, endpoint),
        )
    except KeyError as error:
        raise DataError(
            f"{path} was not landed by trademl: its footer has no {error}; move it out of raw/"
        ) from error


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def newest_in(footer: pq.FileMetaData, endpoint: Endpoint) -> datetime | None:
    """The latest event time in a landed file; none without rows or event time."""
    if endpoint.event_time is None or not footer.num_rows:
        return None
    place = endpoint.schema.names.index(endpoint.event_time)
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    return moment_in(max(group.column(place).statistics.max for group in groups))


def moment_in(value: date | datetime | int) -> datetime:
    """An event time as a column holds it: a time, a date, or milliseconds; aware where it was."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return datetime.fromtimestamp(value / 1000, UTC)
