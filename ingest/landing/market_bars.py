"""Landing of bars of the whole market, one session per call."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.writer import Fetch, Landed, land
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient, request_hash
from trademl.errors import ConfigError, StaleData
from trademl.sessions import sessions_between


@dataclass(frozen=True, slots=True)
class MarketBarSource:
    """A vendor's bars of all symbols.

    Attributes:
        endpoint: Where they land, one file per session.
        dataset: Name on the command line.
        history: First day asked at a clock where nothing is covered yet.
        last_complete: The last session that is over at a clock.
        overlap: How many of the covered sessions are asked again for corrections.
        connect: Opens the client.
        page: Asks for one session.
    """

    endpoint: Endpoint
    dataset: str
    history: Callable[[datetime], date]
    last_complete: Callable[[datetime], date]
    overlap: int
    connect: Callable[[Job], VendorClient]
    page: Callable[[VendorClient, date], Page]


def land_market_bars(job: Job, source: MarketBarSource) -> IngestReport:
    """Lands the sessions that are missing, the oldest first, and the newest covered ones again.

    A session that the vendor has no bars of is landed as an empty file and named in the report;
    of the newest one that is not an answer.

    Raises:
        ConfigError: Symbols are named, or the window holds no session that is over.
        StaleData: The vendor has no bars yet of the newest session that is over.
    """
    if job.symbols:
        raise ConfigError(f"{source.dataset} is the whole market; leave --symbols away")
    last = source.last_complete(job.clock)
    end = min(job.end, last) if job.end else last
    days = _wanted(job, source, end)
    if not days:
        return IngestReport(skipped=(f"{source.dataset} is complete through {end}",))
    done: list[Landed] = []
    unanswered: list[date] = []
    with source.connect(job) as client:
        for day in days:
            landed = land(
                job.data_dir, _fetch(source, day), _pages(source, client, day, last), job.clock
            )
            done.append(landed)
            unanswered += [] if landed.rows else [day]
    skipped = tuple(f"{source.endpoint.vendor} has no bars of {day}" for day in unanswered)
    files = tuple(landed.path for landed in done if landed.path)
    return IngestReport(files, sum(landed.rows for landed in done), skipped=skipped)


def _wanted(job: Job, source: MarketBarSource, end: date) -> list[date]:
    before = bookmarks.landed(job.data_dir, source.endpoint)
    fresh = _covered([envelope for envelope in before if job.is_fresh(envelope.ingested_at)])
    covered = fresh if job.refetch else _covered(before)
    known = sorted(day for day in covered if day <= end)
    start = job.start or (known[0] if known else source.history(job.clock))
    if start > end:
        raise ConfigError(f"start {start} is after the last complete session {end}")
    days = [session.day for session in sessions_between(start, end)]
    missing = [day for day in days if day not in covered]
    # Where nothing is missing nothing is asked; a new session brings the ones before it along, but
    # for those that were landed within twelve hours.
    overlapping = known[-source.overlap :] if missing and missing[-1] == days[-1] else []
    return sorted({*missing, *overlapping} - fresh)


def _covered(envelopes: list[Envelope]) -> set[date]:
    return {envelope.start for envelope in envelopes if envelope.start is not None}


def _pages(source: MarketBarSource, client: VendorClient, day: date, last: date) -> Iterator[Page]:
    page = source.page(client, day)
    if day == last and not page.rows.num_rows:
        raise StaleData(
            f"{source.endpoint.vendor} {source.dataset} has no bars of {day} yet, which is over; "
            "the vendor may be late or down, run again later"
        )
    yield page


def _fetch(source: MarketBarSource, day: date) -> Fetch:
    return Fetch(
        endpoint=source.endpoint,
        dataset=source.dataset,
        request_hash=request_hash(source.endpoint.path, str(day), {}),
        start=day,
        end=day,
    )
