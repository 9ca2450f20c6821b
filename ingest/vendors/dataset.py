"""What the datasets of several vendors share: history, windows, the newest landed listing."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import ChunkSource, land_chunks
from ingest.landing.chunks import named_symbols as named_symbols
from ingest.landing.job import IngestReport, Job
from ingest.landing.reference import ReferenceSource, land_reference
from ingest.landing.symbol_bars import BarSource, land_bars
from ingest.landing.windows import Span
from ingest.payloads.endpoint import Endpoint
from trademl.errors import DataError

Datasets = dict[tuple[str, str], Callable[[Job], IngestReport]]
"""What lands a dataset, by vendor and name on the command line."""

NEW_YORK = ZoneInfo("America/New_York")
EQUITY_HISTORY = date(2000, 1, 1)
OVERLAP = 5
"""Sessions asked again each night: a correction or a recovered outage is seen for a week."""
MINUTE_OVERLAP = 2
"""The same for minute bars, of which a session has hundreds."""
MINUTES_PER_SESSION = 960
"""From 04:00 to 20:00 in New York."""
ACTIONS_MARGIN = timedelta(days=90)
"""Actions are filtered by process date, which may lie months from the ex-date."""
YEAR = timedelta(days=366)


def bar_datasets(*sources: BarSource) -> Datasets:
    """The table entries of bar sources."""
    return {
        (source.endpoint.vendor, source.dataset): partial(land_bars, source=source)
        for source in sources
    }


def reference_datasets(*sources: ReferenceSource) -> Datasets:
    """The table entries of reference sources."""
    return {
        (source.endpoint.vendor, source.dataset): partial(land_reference, source=source)
        for source in sources
    }


def chunk_datasets(*sources: ChunkSource) -> Datasets:
    """The table entries of sources that are landed piece by piece."""
    return {
        (source.endpoint.vendor, source.dataset): partial(land_chunks, source=source)
        for source in sources
    }


def newest_rows(
    data_dir: Path, endpoint: Endpoint, dataset: str, columns: list[str]
) -> list[dict[str, str]]:
    """Some columns of the listing that was landed last.

    Raises:
        DataError: None was landed yet, or it cannot be read.
    """
    found = bookmarks.landed(data_dir, endpoint)
    if not found:
        raise DataError(
            f"which symbols? {endpoint.path} is not landed yet: run `trademl ingest run --vendor "
            f"{endpoint.vendor} --dataset {dataset}` first, or name them with --symbols"
        )
    path = found[-1].path
    with bookmarks.reading(path), pq.ParquetFile(path) as file:
        rows: list[dict[str, str]] = file.read(columns=columns).to_pylist()
    return rows


def calendar_window(job: Job, _before: list[Envelope]) -> Span:
    """Calendars are known about a year ahead."""
    return job.start or EQUITY_HISTORY, job.end or job.clock.date() + YEAR


def actions_window(job: Job, before: list[Envelope]) -> Span:
    """From the last complete fetch on, with a margin on both sides."""
    whole = [found.ingested_at.date() for found in before if not found.symbols]
    start = max(whole) - ACTIONS_MARGIN if whole and not job.symbols else EQUITY_HISTORY
    return job.start or start, job.end or job.clock.date() + ACTIONS_MARGIN
