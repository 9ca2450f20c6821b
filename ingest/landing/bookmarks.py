"""Bookmarks: the envelopes of landed files, read back from their Parquet footers."""

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.landing.windows import Span, merged
from ingest.payloads.endpoint import TEXT, Endpoint, fields
from trademl.clock import parse_clock
from trademl.errors import DataError

_SETTLED_SECONDS = 60
"""A folder that was changed this long ago gets another time when it is changed again, whatever the
grain of the disk's clock."""
_FIRST_YEAR = 1900
"""No vendor has anything from before; the lake's own bounds are rows of qc_thresholds."""
RETRACTION = Endpoint(
    "node",
    "retraction",
    pa.schema(fields(TEXT, "retracted_ingest_id retracted_file why")),
    ("retracted_ingest_id",),
    "node",
    "1",
    ("retracted_file", "why"),
    symbol="retracted_ingest_id",
)
"""Tombstones: each names a landed file that a person took back, as if that were a symbol."""
_File = tuple[str, int]
"""A file's name and inode: one that is put in the place of another is another file."""
_FOLDERS: dict[str, tuple[int | None, dict[_File, "Envelope"]]] = {}
"""What was found in the folders of this process's data directories, and when each was changed, none
where that was a moment ago: some 1 kB a file. A footer takes 0.4 ms to read, a folder 15 us to
list, and every task asks for all."""


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


def landed(
    data_dir: Path,
    endpoint: Endpoint,
    since: date | None = None,
    *,
    with_retracted: bool = False,
) -> list[Envelope]:
    """The landed files of an endpoint, oldest first.

    Args:
        data_dir: The data directory.
        endpoint: Where they landed.
        since: Leaves out what was landed before this UTC date.
        with_retracted: Keeps files that were taken back, which answer for nothing any more.

    Raises:
        DataError: A landed file cannot be read.
    """
    envelopes = _landed(data_dir, endpoint, since)
    retracted = frozenset() if with_retracted else retracted_ids(data_dir)
    if not retracted:
        return envelopes
    return [envelope for envelope in envelopes if envelope.path.stem not in retracted]


def retracted_ids(data_dir: Path) -> frozenset[str]:
    """The landed files that were taken back, by ``ingest_id``.

    Raises:
        DataError: A tombstone cannot be read.
    """
    if not (data_dir / "raw" / RETRACTION.path).is_dir():
        return frozenset()
    return symbols_of(_landed(data_dir, RETRACTION, None))


def _landed(data_dir: Path, endpoint: Endpoint, since: date | None) -> list[Envelope]:
    first = f"ingest_date={since or date.min}"
    try:
        days = [
            day
            for day in os.scandir(data_dir / "raw" / endpoint.path)
            if day.name.startswith("ingest_date=") and day.name >= first
        ]
    except FileNotFoundError:
        return []
    days.sort(key=lambda day: day.name)
    return [envelope for day in days for envelope in _landed_on(day, endpoint)]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What lies here is read: the footer of a file may be sound where its rows are not.

    Args:
        path: The landed file, or the folder where one of several is read.

    Raises:
        DataError: It cannot be read, or is gone since it was listed.
    """
    try:
        yield
    except (OSError, ValueError, OverflowError, pa.ArrowException, duckdb.Error) as error:
        reason = " ".join(str(error).split())
        subject = "a landed file in" if path.is_dir() else "landed file"
        raise DataError(f"{subject} {path} cannot be read: {reason}; restore it") from error


def coverage(envelopes: Iterable[Envelope], symbols: Collection[str]) -> dict[str, list[Span]]:
    """The spans of days that landed files answer for, merged where they touch.

    Args:
        envelopes: The files.
        symbols: The symbols wanted; those without a span are not in the answer.
    """
    groups: dict[frozenset[str], list[Span]] = {}
    for envelope in envelopes:
        if envelope.start is not None and envelope.end is not None:
            groups.setdefault(envelope.symbols, []).append((envelope.start, envelope.end))
    wanted = frozenset(symbols)
    parts: dict[str, list[list[Span]]] = {}
    for names, days in groups.items():
        if named := wanted & names:
            spans = merged(days)
            for symbol in named:
                parts.setdefault(symbol, []).append(spans)
    return {
        symbol: part[0] if len(part) == 1 else merged(chain.from_iterable(part))
        for symbol, part in parts.items()
    }


def symbols_of(envelopes: Iterable[Envelope]) -> frozenset[str]:
    """All symbols that files cover."""
    return frozenset().union(*{envelope.symbols for envelope in envelopes})


def newest_event(envelopes: Iterable[Envelope]) -> datetime | None:
    """The latest event time in any of the files."""
    return max(
        (envelope.newest for envelope in envelopes if envelope.newest is not None), default=None
    )


def _landed_on(day: os.DirEntry[str], endpoint: Endpoint) -> Iterable[Envelope]:
    """The files of a folder by name. One that has not changed is not listed again.

    Other processes land into it too: the folder on the disk decides. Files never change, they only
    come and go.
    """
    # Both before it is listed: what comes meanwhile makes another time, or the folder unsettled.
    with reading(Path(day.path)):
        now, changed_at = time.time_ns(), day.stat().st_mtime_ns
    before, known = _FOLDERS.get(day.path, (None, {}))
    if before == changed_at:
        return known.values()
    with reading(Path(day.path)):
        listed = list(os.scandir(day.path))
    files = sorted((file.name, file.inode()) for file in listed if file.name.endswith(".parquet"))
    envelopes = {
        file: known.get(file) or _envelope(Path(day.path, file[0]), endpoint) for file in files
    }
    is_settled = now - changed_at > _SETTLED_SECONDS * 1_000_000_000
    _FOLDERS[day.path] = (changed_at if is_settled else None, envelopes)
    return envelopes.values()


@lru_cache(maxsize=4096)
def _symbols(text: str) -> frozenset[str]:
    """One and the same set for files of the same symbols, which makes them quick to compare."""
    return frozenset(text.split(",")) if text else frozenset()


def _envelope(path: Path, endpoint: Endpoint) -> Envelope:
    with reading(path):
        footer = pq.read_metadata(path)
    facts = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
    try:
        ingested_at = parse_clock(facts["trademl_ingested_at"])
        end = _day(facts["trademl_window_end"])
        return Envelope(
            path=path,
            ingested_at=ingested_at,
            start=_day(facts["trademl_window_start"]),
            end=end,
            symbols=_symbols(facts.get("trademl_symbols", "")),
            request_hash=facts["trademl_request_hash"],
            newest=newest_in(path, footer, endpoint, last_day(end, ingested_at)),
        )
    except KeyError as error:
        raise DataError(
            f"{path} was not landed by trademl: its footer has no {error}; move it out of raw/"
        ) from error


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def last_day(window_end: date | None, ingested_at: datetime) -> date:
    """The last day that a landed file can hold events of.

    Minutes of New York's evening are those of the next day in UTC.
    """
    return (window_end or ingested_at.date()) + timedelta(days=1)


def newest_in(
    path: Path, footer: pq.FileMetaData, endpoint: Endpoint, last: date
) -> datetime | None:
    """The latest event time in a landed file; none without rows or event time.

    Times that cannot be true are passed over: a bar of the year 1 or 2100 says nothing of how far a
    dataset is.

    Args:
        path: The file.
        footer: Its footer.
        endpoint: Where it landed.
        last: The last day that it can hold events of.
    """
    if endpoint.event_time is None or not footer.num_rows:
        return None
    column_index = endpoint.schema.names.index(endpoint.event_time)
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    statistics = (group.column(column_index).statistics for group in groups)
    newest = max((found.max for found in statistics if found and found.has_min_max), default=None)
    if newest is None or is_plausible(newest, last):
        return None if newest is None else moment_in(newest)
    with reading(path), pq.ParquetFile(path) as file:
        moments = file.read(columns=[endpoint.event_time]).column(0).to_pylist()
    return max((moment_in(value) for value in moments if is_plausible(value, last)), default=None)


def is_plausible(value: date | datetime | int | None, last: date) -> bool:
    """Whether an event can have been then, in a file that holds none after a day."""
    if value is None:
        return False
    try:
        moment = moment_in(value)
    except (ValueError, OverflowError, OSError):
        return False
    return moment.year >= _FIRST_YEAR and moment.date() <= last


def moment_in(value: date | datetime | int) -> datetime:
    """An event time as a column holds it: a time, a date, or milliseconds; aware where it was."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time(), UTC)
    return datetime.fromtimestamp(value / 1000, UTC)
