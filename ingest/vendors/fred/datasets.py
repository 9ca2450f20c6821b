"""FRED's datasets: one file per series."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import Chunk, ChunkSource, fresh_symbols, named_symbols, stale_symbols
from ingest.landing.job import Job
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.dataset import Tracking, Vendor, chunk_dataset, every
from ingest.vendors.fred import client as fred
from ingest.vendors.fred import schema
from trademl.errors import ConfigError, UnknownSymbol
from trademl.settings import Settings

_CENTRAL = ZoneInfo("America/Chicago")
"""The server's days."""
Ask = Callable[[VendorClient, str], Iterator[Page]]


def _connect(job: Job) -> VendorClient:
    key = job.settings.fred_key.get_secret_value()
    if not key:
        raise ConfigError("fred needs a key: set FRED_API_KEY")
    return job.make_client(
        "fred",
        job.base_url or job.settings.fred_url,
        query_keys=fred.query_keys(key),
        classify_refusal=fred.classify_refusal,
        pace=fred.PACE,
        window=fred.LIMIT_WAIT,
    )


def _vintages_to_ask(job: Job, before: list[Envelope]) -> list[Chunk]:
    """Every named series from its last landed vintage to yesterday's; today's is asked again."""
    if job.start or job.end:
        raise ConfigError(
            "macro_vintages are fetched from the first one on (a window would invent vintages at "
            "its beginning); leave --start and --end away"
        )
    yesterday = job.clock.astimezone(_CENTRAL).date() - timedelta(days=1)
    names = named_symbols(job, "macro_vintages")
    fresh, spans = fresh_symbols(job, before), bookmarks.coverage(before, names)
    return [
        Chunk((name,), _covered_to(spans.get(name)) or fred.FIRST_VINTAGE, yesterday)
        for name in names
        if name not in fresh
    ]


def _covered_to(spans: list[Span] | None) -> date | None:
    return spans[-1][1] if spans else None


def _observations(client: VendorClient, chunk: Chunk, _job: Job) -> Iterator[Page]:
    after = None if chunk.start == fred.FIRST_VINTAGE else chunk.start
    return _unless_unknown(fred.observations(client, chunk.symbols[0], after))


def _unless_unknown(pages: Iterator[Page]) -> Iterator[Page]:
    """A series that does not exist gives no row, so that the others still land."""
    try:
        yield from pages
    except UnknownSymbol:
        return


def _by_series(endpoint: Endpoint, dataset: str, ask: Ask) -> ChunkSource:
    def pages(client: VendorClient, chunk: Chunk, _job: Job) -> Iterator[Page]:
        return _unless_unknown(ask(client, chunk.symbols[0]))

    plan = partial(stale_symbols, dataset=dataset)
    return ChunkSource(endpoint, dataset, _connect, plan, pages, requires_rows=True)


def _chicago_day(clock: datetime) -> date:
    return clock.astimezone(_CENTRAL).date()


def _series(_data_dir: Path, settings: Settings, _universe: Sequence[str]) -> Sequence[str]:
    return settings.macro_series


VENDOR = Vendor(
    name="fred",
    endpoints=schema.ALL,
    settings=("fred_key",),
    datasets=(
        chunk_dataset(
            ChunkSource(
                schema.OBSERVATIONS,
                "macro_vintages",
                _connect,
                _vintages_to_ask,
                _observations,
                requires_rows=True,
            ),
            window="none",
            tracking=Tracking(turn=130, last_expected=_chicago_day, names=_series),
        ),
        chunk_dataset(
            _by_series(schema.VINTAGE_DATES, "macro_vintage_dates", fred.vintage_dates),
            window="none",
            tracking=Tracking(turn=140, last_expected=every(7), names=_series),
        ),
        chunk_dataset(_by_series(schema.SERIES, "macro_series", fred.series)),
    ),
)
