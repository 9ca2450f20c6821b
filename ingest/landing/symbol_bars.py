"""Landing of bars by symbol: up to the last complete session, and no further."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.unanswered import Unanswered, unanswered_symbols
from ingest.landing.windows import SYMBOLS_PER_FETCH, Ask, first_missing_day, plan_fetches
from ingest.landing.writer import Fetch, Landed, land
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient, request_hash
from trademl.errors import ConfigError, DataError, StaleData, TradeMLError
from trademl.symbology import to_vendor


@dataclass(frozen=True, slots=True)
class BarSource:
    """A vendor's bars of one length.

    Attributes:
        endpoint: Where they land.
        dataset: Name on the command line.
        history: First day asked where nothing is covered yet.
        last_complete: The last session that is over at a clock.
        step_back: The session to go on from, given the last covered day.
        session_of: The session that a bar's event time belongs to.
        listed: The symbols of the newest landed listing.
        connect: Opens the client.
        pages: Asks for symbols from one day to another.
        symbols_per_fetch: Symbols of one file; few where a vendor may stop at any call.
        rows_per_session: Bars that a symbol has in a session at most.
    """

    endpoint: Endpoint
    dataset: str
    history: date
    last_complete: Callable[[datetime], date]
    step_back: Callable[[date], date]
    session_of: Callable[[datetime], date]
    listed: Callable[[Path], list[str]]
    connect: Callable[[Job], VendorClient]
    pages: Callable[[VendorClient, Sequence[str], date, date, datetime], Iterator[Page]]
    symbols_per_fetch: int = SYMBOLS_PER_FETCH
    rows_per_session: int = 1


def land_bars(job: Job, source: BarSource) -> IngestReport:
    """Lands the bars that are missing.

    Raises:
        DataError: Symbols that were named on the command line are not known to the vendor.
        StaleData: The vendor gave nothing newer, though newer sessions are over.
    """
    last = source.last_complete(job.clock)
    end = min(job.end, last) if job.end else last
    if job.start and job.start > end:
        raise ConfigError(
            f"start {job.start} is after the last complete session {end}; nothing can be asked"
        )
    symbols = list(job.symbols) if job.symbols is not None else source.listed(job.data_dir)
    before = bookmarks.landed(job.data_dir, source.endpoint)
    is_stale = _is_stale(source, before, end)
    missing = (
        _unanswered_symbols(source, before, symbols, end) if end == last and not is_stale else {}
    )
    wanted = _plan_fetches(job, source, symbols, before, end, missing)
    is_late = not wanted and is_stale and _is_live(job, source, end)
    if is_late:
        # Covered but stale: the vendor was late or down when it was asked, so it is asked again.
        last_covered = source.step_back(end)
        wanted = _grouped(source, symbols, lambda _symbol: last_covered, end)
    if not wanted:
        return IngestReport(skipped=(_complete(len(symbols), end, missing),))
    known = bookmarks.symbols_of(before) | _listed(job, source)
    with source.connect(job) as client:
        is_newer = _is_newer(source, before) if is_late else None
        done = [_land(job, source, client, ask, known, is_newer) for ask in wanted]
    _refuse_silence(source, wanted, done)
    if _is_live(job, source, end):
        _refuse_staleness(job, source, before, end)
    files = tuple(landed.path for landed in done if landed.path)
    requested = {symbol for ask in wanted for symbol in ask.symbols}
    idle = len(set(symbols) - requested)
    skipped = (_complete(idle, end, missing.keys() - requested),) if idle else ()
    return IngestReport(files, sum(landed.rows for landed in done), skipped=skipped)


def _plan_fetches(
    job: Job,
    source: BarSource,
    symbols: list[str],
    before: list[Envelope],
    end: date,
    missing: Mapping[str, Unanswered],
) -> list[Ask]:
    step_back = cache(source.step_back)
    envelopes = [
        envelope for envelope in before if not job.refetch or job.is_fresh(envelope.ingested_at)
    ]
    spans = bookmarks.coverage(envelopes, symbols)

    def begin(symbol: str) -> date | None:
        first_missing = first_missing_day(spans, symbol, job.start, end, source.history, step_back)
        is_due = symbol in missing and missing[symbol].is_due(job.clock)
        return end if first_missing is None and is_due else first_missing

    return _grouped(source, symbols, begin, end)


def _unanswered_symbols(
    source: BarSource, before: list[Envelope], symbols: list[str], end: date
) -> Mapping[str, Unanswered]:
    """The symbols wanted that were asked for the last session and have no bar of it."""
    landed = [(source.endpoint, envelope) for envelope in before]
    missing, _ = unanswered_symbols(landed, end, source.session_of)
    wanted = set(symbols)
    return {symbol: unanswered for symbol, unanswered in missing.items() if symbol in wanted}


def _complete(count: int, end: date, missing: Collection[str]) -> str:
    message = f"{count} symbols are complete through {end}"
    return f"{message}, {len(missing)} of them without a bar of it" if missing else message


def _grouped(
    source: BarSource, symbols: list[str], begin: Callable[[str], date | None], end: date
) -> list[Ask]:
    return plan_fetches(symbols, begin, end, source.rows_per_session, source.symbols_per_fetch)


def _is_live(job: Job, source: BarSource, end: date) -> bool:
    """Whether a window ends where vendors may be late; of older days no bars are an answer."""
    return end >= source.step_back(source.last_complete(job.clock))


def _is_stale(source: BarSource, envelopes: list[Envelope], end: date) -> bool:
    newest = bookmarks.newest_event(envelopes)
    return newest is None or source.session_of(newest) < end


def _is_newer(source: BarSource, before: list[Envelope]) -> Callable[[datetime], bool]:
    """Whether a bar is of a later session than all that are landed."""
    newest = bookmarks.newest_event(before)
    return lambda latest: newest is None or source.session_of(latest) > source.session_of(newest)


def _land(
    job: Job,
    source: BarSource,
    client: VendorClient,
    ask: Ask,
    known: Collection[str],
    is_newer: Callable[[datetime], bool] | None = None,
) -> Landed:
    named = frozenset(ask.symbols) if job.symbols is not None else frozenset()
    fetch = Fetch(
        endpoint=source.endpoint,
        dataset=source.dataset,
        request_hash=request_hash(
            source.endpoint.path,
            str(ask.start),
            {"end": ask.end.isoformat(), "symbols": ",".join(ask.symbols)},
        ),
        start=ask.start,
        end=ask.end,
        symbols=ask.symbols,
        required_symbols=named.difference(known),
        is_newer=is_newer,
    )
    vendor_symbols = tuple(to_vendor(symbol, source.endpoint.class_mark) for symbol in ask.symbols)
    pages = source.pages(client, vendor_symbols, ask.start, ask.end, job.clock)
    return land(job.data_dir, fetch, pages, job.clock)


def _listed(job: Job, source: BarSource) -> frozenset[str]:
    """What the vendor lists, as far as that is landed: without bars it was not traded then."""
    try:
        return frozenset(source.listed(job.data_dir))
    except TradeMLError:
        return frozenset()


def _refuse_silence(source: BarSource, wanted: list[Ask], done: list[Landed]) -> None:
    """Names the symbols that no part of their window has a bar of."""
    answered = {
        symbol
        for ask, landed in zip(wanted, done, strict=True)
        for symbol in ask.symbols
        if symbol not in landed.unanswered
    }
    unanswered = sorted({symbol for landed in done for symbol in landed.unanswered} - answered)
    if unanswered:
        raise DataError(
            f"{source.endpoint.vendor} has no bars for {', '.join(unanswered)}; check the spelling "
            "and the window (all other symbols are landed)"
        )


def _refuse_staleness(job: Job, source: BarSource, before: list[Envelope], end: date) -> None:
    after = [*before, *bookmarks.landed(job.data_dir, source.endpoint, job.clock.date())]
    then, now = bookmarks.newest_event(before), bookmarks.newest_event(after)
    if not _is_stale(source, after, end) or (now is not None and (then is None or now > then)):
        return
    have = source.session_of(now) if now else "no session at all"
    raise StaleData(
        f"{source.endpoint.vendor} {source.dataset} gave no new bars: {have} is the newest landed, "
        f"{end} is over; the vendor may be late or down, run again later"
    )
