"""Landing of reference data: listings, calendars, corporate actions, reference files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.windows import Span
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import request_hash
from trademl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """A dataset that is fetched as a whole, or by a window of days.

    Attributes:
        endpoint: Where it lands.
        dataset: Name on the command line.
        window: First and last day to ask, given the job and what is landed; none where the vendor
            tells only how things are now.
        pages: Asks for the window.
        by_symbol: Whether the vendor can be asked for some symbols only.
        is_as_of: Whether a landing answers for its own window only, as a listing of one day does.
    """

    endpoint: Endpoint
    dataset: str
    window: Callable[[Job, list[Envelope]], Span] | None
    pages: Callable[[Job, Span], Iterator[Page]]
    by_symbol: bool = False
    is_as_of: bool = False


def land_reference(job: Job, source: ReferenceSource) -> IngestReport:
    """Lands a fresh copy unless one was landed less than twelve hours before the clock."""
    if job.symbols and not source.by_symbol:
        raise ConfigError(f"{source.dataset} is fetched as a whole; leave --symbols away")
    before = bookmarks.landed(job.data_dir, source.endpoint)
    today = job.clock.date()
    start, end = source.window(job, before) if source.window else (today, today)
    serving = (envelope for envelope in reversed(before) if _serves(envelope, job))
    if source.is_as_of:
        serving = (
            envelope for envelope in serving if (envelope.start, envelope.end) == (start, end)
        )
    fresh = next(serving, None)
    if fresh is not None:
        when = f"{fresh.ingested_at:%Y-%m-%d %H:%M} UTC"
        return IngestReport(skipped=(f"{source.dataset} was landed at {when}",))
    if start > end:
        raise ConfigError(f"start {start} is after end {end}; give an earlier --start")
    symbols = job.symbols or ()
    chain = {"start": str(start), "end": str(end), "symbols": ",".join(symbols)}
    fetch = Fetch(
        endpoint=source.endpoint,
        dataset=source.dataset,
        request_hash=request_hash(source.endpoint.vendor, source.endpoint.name, chain),
        start=start if source.window else None,
        end=end if source.window else None,
        symbols=symbols,
    )
    return land_whole(job, fetch, source.pages(job, (start, end)))


def land_whole(job: Job, fetch: Fetch, pages: Iterator[Page]) -> IngestReport:
    """Lands pages as one file, and reports it."""
    landed = land(job.data_dir, fetch, pages, job.clock)
    return IngestReport((landed.path,) if landed.path else (), landed.rows)


def _serves(envelope: Envelope, job: Job) -> bool:
    """Whether a landed file is fresh and holds at least what the job names."""
    if not job.is_fresh(envelope.ingested_at):
        return False
    if envelope.symbols and not (job.symbols and envelope.symbols.issuperset(job.symbols)):
        return False
    if envelope.start is None or envelope.end is None:
        return True
    start, end = job.start or envelope.start, job.end or envelope.end
    return start >= envelope.start and end <= envelope.end
