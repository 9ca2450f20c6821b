"""Landing piece by piece: what is landed stays when the vendor stops in the middle."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.windows import begin_of, merged
from ingest.landing.writer import Fetch, Landed, land
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient, request_hash
from trademl.errors import ConfigError, DataError
from trademl.symbology import to_vendor


@dataclass(frozen=True, slots=True)
class Piece:
    """What one file is to hold.

    Attributes:
        symbols: Symbols asked; empty means all.
        start: First day asked, none where the vendor tells only how things are now.
        end: Last day asked, inclusive.
    """

    symbols: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None


Plan = Callable[[Job, list[Envelope]], list[Piece]]
"""The pieces that are missing, given the job and what is landed."""


@dataclass(frozen=True, slots=True)
class PieceSource:
    """A dataset that is fetched in several calls which are of use one by one.

    Attributes:
        endpoint: Where it lands.
        dataset: Name on the command line.
        connect: Opens the client.
        plan: The pieces that are missing, given the job and what is landed.
        pages: Asks for one piece.
        must_answer: Whether a symbol that never gave a row is unknown to the vendor.
    """

    endpoint: Endpoint
    dataset: str
    connect: Callable[[Job], VendorClient]
    plan: Plan
    pages: Callable[[VendorClient, Piece, Job], Iterator[Page]]
    must_answer: bool = False


def land_pieces(job: Job, source: PieceSource) -> IngestReport:
    """Lands the pieces that are missing, one file each.

    Raises:
        DataError: Symbols that were named are not known to the vendor; all others are landed.
    """
    before = bookmarks.landed(job.data_dir, source.endpoint)
    pieces = source.plan(job, before)
    if not pieces:
        return IngestReport(skipped=(f"{source.dataset} is landed as far as it was asked",))
    known = bookmarks.symbols_of(before)
    with source.connect(job) as client:
        done = [_land(job, source, client, piece, known) for piece in pieces]
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


def stale_symbols(job: Job, before: list[Envelope], dataset: str) -> list[Piece]:
    """One piece per named symbol that was not landed within the last twelve hours.

    Raises:
        ConfigError: No symbol was named, or a window was given.
    """
    if job.start or job.end:
        raise ConfigError(f"{dataset} has no window of days; leave --start and --end away")
    fresh = fresh_symbols(job, before)
    return [Piece((name,)) for name in named_symbols(job, dataset) if name not in fresh]


def fresh_symbols(job: Job, before: list[Envelope]) -> frozenset[str]:
    """The symbols of files that were landed within twelve hours before the clock."""
    return frozenset().union(*(found.symbols for found in before if is_fresh(job, found)))


def is_fresh(job: Job, found: Envelope) -> bool:
    """Whether a file was landed within twelve hours before the job's clock."""
    return job.is_fresh(found.ingested_at)


def windows_to_ask(
    job: Job,
    before: list[Envelope],
    *,
    history: date,
    last: date,
    overlap: timedelta,
    days: int,
) -> list[Piece]:
    """Windows of all symbols that are not covered, or that may have changed since they were.

    Args:
        job: May name a window itself.
        before: What is landed.
        history: Where the dataset begins when nobody says otherwise.
        last: The last day that can be asked.
        overlap: How far before the last covered day things may still change.
        days: The longest window of one piece.
    """
    whole = [found for found in before if not found.symbols]
    if any(is_fresh(job, found) and _holds(found, job, last) for found in whole):
        return []
    spans = {"": merged((found.start, found.end) for found in whole if found.start and found.end)}
    end = min(job.end or last, last)
    start = begin_of(spans, "", job.start, end, history, lambda day: day - overlap)
    return [] if start is None else cut_window(start, end, days)


def cut_window(start: date, end: date, days: int) -> list[Piece]:
    """A window in pieces of so many days at most, oldest first."""
    firsts = range(start.toordinal(), end.toordinal() + 1, days)
    return [
        Piece((), date.fromordinal(first), min(end, date.fromordinal(first + days - 1)))
        for first in firsts
    ]


def _holds(found: Envelope, job: Job, last: date) -> bool:
    if found.start is None or found.end is None:
        return False
    return found.end >= (job.end or last) and (job.start is None or found.start <= job.start)


def _land(
    job: Job, source: PieceSource, client: VendorClient, piece: Piece, known: frozenset[str]
) -> Landed:
    window = {"start": str(piece.start), "end": str(piece.end), "symbols": ",".join(piece.symbols)}
    fetch = Fetch(
        endpoint=source.endpoint,
        dataset=source.dataset,
        request_hash=request_hash(source.endpoint.vendor, source.endpoint.name, window),
        start=piece.start,
        end=piece.end,
        symbols=piece.symbols,
        must_answer=frozenset(piece.symbols) - known if source.must_answer else frozenset(),
    )
    asked = tuple(to_vendor(source.endpoint.vendor, symbol) for symbol in piece.symbols)
    pages = source.pages(client, replace(piece, symbols=asked), job)
    return land(job.data_dir, fetch, pages, job.clock)


def _refuse_silence(source: PieceSource, done: Sequence[Landed]) -> None:
    silent = sorted({symbol for landed in done for symbol in landed.silent})
    if silent:
        raise DataError(
            f"{source.endpoint.vendor} has no {source.dataset} for {', '.join(silent)}; check the "
            "spelling (all other names are landed)"
        )
