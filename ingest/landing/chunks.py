"""Landing in chunks: what is landed stays when the vendor stops in the middle."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.windows import first_missing_day, merged
from ingest.landing.writer import Fetch, Landed, land
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient, request_hash
from trademl.errors import ConfigError, DataError
from trademl.symbology import to_vendor


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one file is to hold.

    Attributes:
        symbols: Symbols asked; empty means all.
        start: First day asked, none where the vendor tells only how things are now.
        end: Last day asked, inclusive.
    """

    symbols: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None


Plan = Callable[[Job, list[Envelope]], list[Chunk]]
"""The pieces that are missing, given the job and what is landed."""


@dataclass(frozen=True, slots=True)
class ChunkSource:
    """A dataset that is fetched in several calls which are of use one by one.

    Attributes:
        endpoint: Where it lands.
        dataset: Name on the command line.
        connect: Opens the client.
        plan: The pieces that are missing, given the job and what is landed.
        pages: Asks for one piece.
        requires_rows: Whether a symbol that never gave a row is unknown to the vendor.
    """

    endpoint: Endpoint
    dataset: str
    connect: Callable[[Job], VendorClient]
    plan: Plan
    pages: Callable[[VendorClient, Chunk, Job], Iterator[Page]]
    requires_rows: bool = False


def land_chunks(job: Job, source: ChunkSource) -> IngestReport:
    """Lands the pieces that are missing, one file each.

    Raises:
        DataError: Symbols that were named are not known to the vendor; all others are landed.
    """
    before = bookmarks.landed(job.data_dir, source.endpoint)
    chunks = source.plan(job, before)
    if not chunks:
        return IngestReport(skipped=(f"{source.dataset} is landed as far as it was asked",))
    known = bookmarks.symbols_of(before)
    with source.connect(job) as client:
        done = [_land(job, source, client, chunk, known) for chunk in chunks]
    _refuse_silence(source, done)
    files = tuple(landed.path for landed in done if landed.path)
    return IngestReport(files, sum(landed.rows for landed in done))


def named_symbols(job: Job, dataset: str) -> tuple[str, ...]:
    """The symbols of ``--symbols``, for what no vendor gives for all symbols at once.

    Raises:
        ConfigError: None are named.
    """
    if not job.symbols:
        raise ConfigError(f"{dataset} is asked by symbol: name some with --symbols")
    return job.symbols


def stale_symbols(job: Job, before: list[Envelope], dataset: str) -> list[Chunk]:
    """One piece per named symbol that was not landed within the last twelve hours.

    Raises:
        ConfigError: No symbol was named, or a window was given.
    """
    if job.start or job.end:
        raise ConfigError(f"{dataset} has no window of days; leave --start and --end away")
    fresh = fresh_symbols(job, before)
    return [Chunk((name,)) for name in named_symbols(job, dataset) if name not in fresh]


def fresh_symbols(job: Job, before: list[Envelope]) -> frozenset[str]:
    """The symbols of files that were landed within twelve hours before the clock."""
    return frozenset().union(*(envelope.symbols for envelope in before if is_fresh(job, envelope)))


def is_fresh(job: Job, envelope: Envelope) -> bool:
    """Whether a file was landed within twelve hours before the job's clock."""
    return job.is_fresh(envelope.ingested_at)


def windows_to_ask(
    job: Job,
    before: list[Envelope],
    *,
    history: date,
    last: date,
    overlap: timedelta,
    days: int,
) -> list[Chunk]:
    """Windows of all symbols that are not covered, or that may have changed since they were.

    Args:
        job: May name a window itself.
        before: What is landed.
        history: Where the dataset begins when nobody says otherwise.
        last: The last day that can be asked.
        overlap: How far before the last covered day things may still change.
        days: The longest window of one piece.
    """
    whole = [envelope for envelope in before if not envelope.symbols]
    if any(is_fresh(job, envelope) and _holds(envelope, job, last) for envelope in whole):
        return []
    spans = {
        "": merged(
            (envelope.start, envelope.end) for envelope in whole if envelope.start and envelope.end
        )
    }
    end = min(job.end or last, last)
    start = first_missing_day(spans, "", job.start, end, history, lambda day: day - overlap)
    return [] if start is None else cut_window(start, end, days)


def cut_window(start: date, end: date, days: int) -> list[Chunk]:
    """A window in pieces of so many days at most, oldest first."""
    firsts = range(start.toordinal(), end.toordinal() + 1, days)
    return [
        Chunk((), date.fromordinal(first), min(end, date.fromordinal(first + days - 1)))
        for first in firsts
    ]


def _holds(envelope: Envelope, job: Job, last: date) -> bool:
    if envelope.start is None or envelope.end is None:
        return False
    return envelope.end >= (job.end or last) and (job.start is None or envelope.start <= job.start)


def _land(
    job: Job, source: ChunkSource, client: VendorClient, chunk: Chunk, known: frozenset[str]
) -> Landed:
    window = {"start": str(chunk.start), "end": str(chunk.end), "symbols": ",".join(chunk.symbols)}
    fetch = Fetch(
        endpoint=source.endpoint,
        dataset=source.dataset,
        request_hash=request_hash(source.endpoint.vendor, source.endpoint.name, window),
        start=chunk.start,
        end=chunk.end,
        symbols=chunk.symbols,
        required_symbols=frozenset(chunk.symbols) - known if source.requires_rows else frozenset(),
    )
    vendor_symbols = tuple(
        to_vendor(symbol, source.endpoint.class_mark) for symbol in chunk.symbols
    )
    pages = source.pages(client, replace(chunk, symbols=vendor_symbols), job)
    return land(job.data_dir, fetch, pages, job.clock)


def _refuse_silence(source: ChunkSource, done: Sequence[Landed]) -> None:
    unanswered = sorted({symbol for landed in done for symbol in landed.unanswered})
    if unanswered:
        raise DataError(
            f"{source.endpoint.vendor} has no {source.dataset} for {', '.join(unanswered)}; check "
            "the spelling (all other names are landed)"
        )
