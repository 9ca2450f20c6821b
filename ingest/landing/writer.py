"""Landing: pages of a fetch become one append-only Parquet file with its evidence on every row."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.landing.bookmarks import last_day, newest_in
from ingest.landing.staged_file import Staged, staged_file
from ingest.payloads.decode import Page, check_symbols, repeated
from ingest.payloads.endpoint import ENVELOPE, UTC_TIME, Endpoint
from trademl.clock import iso
from trademl.errors import DataError, SchemaDrift, StaleData
from trademl.files import sha256_of_bytes
from trademl.symbology import from_vendor

Facts = Callable[[], Mapping[str, str]]
"""What is known about a file when its last page is written."""

_ROWS_PER_GROUP = 50_000
"""Rows held in memory before they are written: about 5 pages, 10 MB."""

_RECORDS = "landing/fetches"
"""Where fetches without a file of their own are recorded, below raw/: no bookmark looks there."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fetch:
    """What one file is meant to hold.

    Attributes:
        endpoint: Its columns and place.
        dataset: Name on the command line.
        request_hash: Identity of the whole request chain.
        start: First day asked, none where the endpoint has no window.
        end: Last day asked, inclusive.
        symbols: Symbols asked; empty means all.
        required_symbols: Of these, the ones whose silence means that the vendor does not know them.
        is_newer: Of a window that is landed already: whether a latest event time is worth a file.
    """

    endpoint: Endpoint
    dataset: str
    request_hash: str
    start: date | None = None
    end: date | None = None
    symbols: tuple[str, ...] = ()
    required_symbols: frozenset[str] = frozenset()
    is_newer: Callable[[datetime], bool] | None = None


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a fetch.

    Attributes:
        path: The new file; none where no symbol was known to the vendor, or nothing was newer.
        rows: Rows in it.
        unanswered: Symbols of ``required_symbols`` that got no row; the file does not count them as
            covered.
    """

    path: Path | None
    rows: int
    unanswered: tuple[str, ...]


@dataclass(slots=True)
class _Totals:
    """What the pages of one fetch added up to."""

    pages: int = 0
    rows: int = 0
    hashes: str = ""
    source_uri: str = ""
    answered: set[str] = field(default_factory=set)

    def add(self, page: Page, symbols: frozenset[str]) -> None:
        self.pages += 1
        self.rows += page.rows.num_rows
        self.hashes += page.payload_sha256
        self.source_uri = self.source_uri or page.source_uri
        self.answered |= symbols


def land(data_dir: Path, fetch: Fetch, pages: Iterable[Page], clock: datetime) -> Landed:
    """Streams pages into one file under ``raw/`` and makes it visible when it is whole.

    Rows that a vendor sends twice within the fetch are landed once. A fetch without rows leaves a
    file too: its window was covered. One that fails, or finds nothing worth a file, leaves a record
    of what it asked for: the footer of an empty file apart, which covers nothing.

    Args:
        data_dir: The data directory.
        fetch: What the file is meant to hold.
        pages: The pages, asked for one by one.
        clock: Becomes ``ingested_at`` and the ``ingest_date`` folder.

    Raises:
        SchemaDrift: A page holds a symbol that was not asked.
        DataError: The file cannot be written or does not read back.
    """
    raw = data_dir / "raw"
    folder = raw / fetch.endpoint.path / f"ingest_date={clock:%Y-%m-%d}"
    totals = _Totals()
    try:
        with staged_file(raw, folder, _ingest_id(fetch, clock)) as staged:
            landed = _land(staged, fetch, pages, clock, totals)
        absent = landed.unanswered if landed.path else fetch.symbols
        if absent or not landed.path:
            _record(raw, replace(fetch, symbols=absent), clock, "empty")
        return landed
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"cannot write {fetch.endpoint.path} under {raw}: {reason}; nothing of this fetch was "
            "kept, make room or make it writable and run again"
        ) from error
    except Exception as error:
        # The newest session without bars yet is an answer, though one that its caller refuses.
        outcome = "empty" if isinstance(error, StaleData) else "failed"
        with suppress(OSError):
            _record(raw, fetch, clock, outcome, type(error).__name__)
        raise


def _ingest_id(fetch: Fetch, clock: datetime, what: str = "") -> str:
    """Sortable by clock, and the same for the same request at the same clock."""
    covered = "|".join([fetch.request_hash, str(fetch.start), str(fetch.end), *fetch.symbols])
    digest = sha256_of_bytes(f"{what}{fetch.endpoint.path}|{covered}".encode())
    return f"{clock:%Y%m%dT%H%M%S%f}Z-{digest[:12]}"


def _record(raw: Path, fetch: Fetch, clock: datetime, outcome: str, reason: str = "") -> None:
    """Writes what was asked for and not landed, as the footer of an empty file.

    Args:
        raw: The ``raw`` folder of the data directory.
        fetch: What was asked; all of its symbols are recorded.
        clock: When.
        outcome: ``empty``: the vendor answered and had nothing of it; ``failed``: nobody knows.
        reason: The class of the error that ended it.
    """
    asked = replace(fetch, required_symbols=frozenset())
    folder = raw / _RECORDS / f"ingest_date={clock:%Y-%m-%d}"
    with staged_file(raw, folder, _ingest_id(fetch, clock, f"{outcome}|")) as staged:
        facts = {
            **_facts(asked, clock, staged, _Totals()),
            "trademl_outcome": outcome,
            "trademl_reason": reason,
        }
        with (
            pa.OSFile(str(staged.path), "wb") as handle,
            _parquet_writer(handle, ENVELOPE) as writer,
        ):
            writer.add_key_value_metadata(facts)
        staged.publish()


def _land(
    staged: Staged, fetch: Fetch, pages: Iterable[Page], clock: datetime, totals: _Totals
) -> Landed:
    tables = _enveloped(pages, fetch, clock, staged.ingest_id, totals)
    _write(staged.path, fetch.endpoint, tables, lambda: _facts(fetch, clock, staged, totals))
    _verify(staged.path, totals.rows)
    if _has_repeats(staged.path, fetch.endpoint):
        table = _without_repeats(staged.path, fetch.endpoint)
        totals.rows = table.num_rows
        _write(staged.path, fetch.endpoint, [table], lambda: _facts(fetch, clock, staged, totals))
        _verify(staged.path, totals.rows)
    unanswered = tuple(sorted(fetch.required_symbols - totals.answered))
    if fetch.symbols and not _covered(fetch, totals):
        return Landed(None, 0, unanswered)
    if fetch.is_newer is not None:
        footer = pq.read_metadata(staged.path)
        newest = newest_in(staged.path, footer, fetch.endpoint, last_day(fetch.end, clock))
        if newest is None or not fetch.is_newer(newest):
            return Landed(None, 0, unanswered)
    return Landed(staged.publish(), totals.rows, unanswered)


def _enveloped(
    pages: Iterable[Page], fetch: Fetch, clock: datetime, ingest_id: str, totals: _Totals
) -> Iterator[pa.Table]:
    for page in pages:
        answered = frozenset[str]()
        if fetch.symbols:
            answered = _symbols(page.rows, fetch.endpoint)
            check_symbols(fetch.endpoint, answered, frozenset(fetch.symbols))
        readable = replace(page, rows=_readable(page.rows))
        _refuse_beyond(readable.rows, fetch, clock)
        totals.add(page, answered)
        yield _with_envelope(readable, fetch.endpoint, clock, ingest_id)


def _readable(rows: pa.Table) -> pa.Table:
    """Rows without times that no reader takes, such as ones of the year 0."""
    low, high = (pa.scalar(bound, UTC_TIME) for bound in (_FIRST, _LAST))
    for place, column in enumerate(rows.schema):
        if not pa.types.is_temporal(column.type):
            continue
        times = rows.column(place).cast(UTC_TIME)
        is_readable = pc.and_(pc.greater_equal(times, low), pc.less_equal(times, high))
        if pc.all(is_readable).as_py() is False:
            values = pc.if_else(is_readable, rows.column(place), pa.scalar(None, column.type))
            rows = rows.set_column(place, column, values)
    return rows


def _refuse_beyond(rows: pa.Table, fetch: Fetch, clock: datetime) -> None:
    """Refuses bars after the last day asked that may be real.

    They are of a session that is not over, or of a vendor that mixed up the window. A bar of a day
    to come is one wrong row: it is landed, and the lake sets it aside.

    Raises:
        SchemaDrift: Naming the column.
    """
    endpoint = fetch.endpoint
    for column in rows.schema:
        if not pa.types.is_temporal(column.type):
            continue
        times = rows.column(column.name).cast(UTC_TIME)
        if fetch.end and endpoint.event_time and column.name in (endpoint.event_time, "vendor_ts"):
            # Minutes of New York's evening are those of the next day in UTC.
            days = timedelta(days=1 if endpoint.name.endswith("_1m") else 0)
            last = datetime.combine(fetch.end + days, time.max, UTC)
            after_last = times.filter(pc.greater(times, pa.scalar(last, UTC_TIME)))
            if pc.any(pc.less_equal(after_last, pa.scalar(_end_of(clock), UTC_TIME))).as_py():
                raise SchemaDrift(_beyond(endpoint, column.name, last))


def _end_of(clock: datetime) -> datetime:
    """The end of the day after a clock's: New York's evenings are of the next day in UTC."""
    return datetime.combine(clock.date() + timedelta(days=1), time.max, UTC)


def _beyond(endpoint: Endpoint, column: str, last: datetime) -> str:
    return (
        f"{endpoint.path} sent a {column} outside {_FIRST.date()}..{last.date()}; "
        "nothing of this fetch is landed"
    )


def _symbols(rows: pa.Table, endpoint: Endpoint) -> frozenset[str]:
    """Whom the rows are of, as the lake writes them; the rows stay as they are."""
    if endpoint.symbol not in rows.column_names:
        return frozenset()
    sent = pc.drop_null(rows.column(endpoint.symbol).unique()).to_pylist()
    return frozenset(from_vendor(name, endpoint.class_mark) for name in sent)


def _with_envelope(page: Page, endpoint: Endpoint, clock: datetime, ingest_id: str) -> pa.Table:
    count = page.rows.num_rows
    columns = {
        "extra": page.rows.column("extra"),
        "ingest_id": repeated(ingest_id, count),
        "ingested_at": pa.repeat(pa.scalar(clock, UTC_TIME), count),
        "source_name": repeated(endpoint.source_name, count),
        "source_uri": repeated(page.source_uri, count),
        "vendor_ts": page.rows.column("vendor_ts"),
        "api_version": repeated(endpoint.api_version, count),
        "request_hash": repeated(page.request_hash, count),
        "payload_sha256": repeated(page.payload_sha256, count),
    }
    names = endpoint.columns.names
    return pa.table(
        [*(page.rows.column(name) for name in names), *(columns[name] for name in ENVELOPE.names)],
        names=[*names, *ENVELOPE.names],
    )


def _write(path: Path, endpoint: Endpoint, tables: Iterable[pa.Table], facts: Facts) -> None:
    """Writes row groups of about ``_ROWS_PER_GROUP`` rows, then the facts known at the end.

    One group is coded and written while the next pages are asked for and decoded. All pages get
    the first one's schema: the same text may come plain or as a dictionary.
    """
    pages = iter(tables)
    first = next(pages, endpoint.schema.empty_table())
    with (
        # Arrow's own file: to write to Python's, the thread behind would wait for the one before.
        pa.OSFile(str(path), "wb") as handle,
        _parquet_writer(handle, first.schema) as writer,
        ThreadPoolExecutor(max_workers=1) as behind,
    ):
        writing: Future[None] | None = None
        for group in _groups(chain([first], pages)):
            if writing is not None:
                writing.result()
            writing = behind.submit(_write_group, writer, group)
        if writing is not None:
            writing.result()
        writer.add_key_value_metadata(facts())


@contextmanager
def _parquet_writer(handle: pa.OSFile, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    writer = pq.ParquetWriter(
        handle,
        schema,
        compression="zstd",
        # Numbers rarely repeat: a dictionary of them costs time and saves nothing.
        use_dictionary=[field.name for field in schema if not pa.types.is_primitive(field.type)]
        + [field.name for field in schema if pa.types.is_temporal(field.type)],
        # Without the stored Arrow schema, dictionary columns read back as the plain text they are.
        store_schema=False,
    )
    try:
        yield writer
        writer.close()
    except BaseException:
        # Left open, its destructor would write a footer to a file that is closed by then.
        writer.is_open = False
        raise


def _write_group(writer: pq.ParquetWriter, group: list[pa.Table]) -> None:
    alike = [table.cast(writer.schema) for table in group]
    writer.write_table(pa.concat_tables(alike).unify_dictionaries())


def _groups(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(held.num_rows for held in waiting) >= _ROWS_PER_GROUP:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _facts(fetch: Fetch, clock: datetime, staged: Staged, totals: _Totals) -> Mapping[str, str]:
    facts = {
        "vendor": fetch.endpoint.vendor,
        "endpoint": fetch.endpoint.name,
        "dataset": fetch.dataset,
        "ingest_id": staged.ingest_id,
        "ingested_at": iso(clock),
        "window_start": fetch.start.isoformat() if fetch.start else "",
        "window_end": fetch.end.isoformat() if fetch.end else "",
        "symbols": ",".join(_covered(fetch, totals)),
        "request_hash": fetch.request_hash,
        "payload_sha256": sha256_of_bytes(totals.hashes.encode()),
        "pages": str(totals.pages),
        "rows": str(totals.rows),
        "source_uri": totals.source_uri,
    }
    return {f"trademl_{name}": value for name, value in facts.items()}


def _covered(fetch: Fetch, totals: _Totals) -> list[str]:
    """The symbols whose window the file answers for."""
    return [
        symbol
        for symbol in fetch.symbols
        if symbol in totals.answered or symbol not in fetch.required_symbols
    ]


def _verify(path: Path, rows: int) -> None:
    rows_read = pq.read_metadata(path).num_rows
    if rows_read != rows:
        raise DataError(
            f"{path.name} reads back {rows_read} rows of {rows}; check the disk, run again"
        )


def _read(path: Path, columns: Iterable[str], coded: list[str] | None = None) -> pa.Table:
    with pq.ParquetFile(path, read_dictionary=coded) as file:
        return file.read(columns=list(columns))


def _has_repeats(path: Path, endpoint: Endpoint) -> bool:
    if endpoint.event_time and _strictly_ordered(path, endpoint.symbol, endpoint.event_time):
        return False
    plain = _read(path, endpoint.key)
    distinct = plain.group_by(list(endpoint.key)).aggregate([]).num_rows
    return bool(distinct < plain.num_rows)


def _strictly_ordered(path: Path, symbol: str, event_time: str) -> bool:
    """Whether rows come symbol by symbol with times that all rise or all fall: none can repeat.

    It takes 0.01 s per million rows.
    """
    keys = _read(path, [symbol, event_time], [symbol]).unify_dictionaries()
    if any(column.null_count for column in keys.columns):
        return False
    chunks = keys.column(symbol).chunks
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks] or [np.empty(0, int)])
    times = keys.column(event_time).to_numpy().astype(np.int64)
    # Codes count symbols by first appearance: a symbol that comes back would lower the code.
    steps, later = np.diff(codes), np.diff(times)
    return any(bool(np.all((steps > 0) | ((steps == 0) & way))) for way in (later > 0, later < 0))


def _without_repeats(path: Path, endpoint: Endpoint) -> pa.Table:
    """The first of all rows that agree in every vendor column, in the order received."""
    table = _read(path, endpoint.schema.names)
    vendor_columns = [*endpoint.columns.names, "extra"]
    numbered = table.select(vendor_columns).append_column(
        "row", pa.array(np.arange(table.num_rows))
    )
    first = numbered.group_by(vendor_columns).aggregate([("row", "min")]).column("row_min")
    return table.take(pa.array(np.sort(first.to_numpy())))
