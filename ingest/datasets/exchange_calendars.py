"""The datasets of the exchange_calendars package."""

from collections.abc import Iterator

from ingest.datasets.common import calendar_window, reference_datasets
from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.vendors import exchange_calendars


def _sessions(_job: Job, window: Span) -> Iterator[Page]:
    return exchange_calendars.session_pages(*window)


DATASETS = reference_datasets(
    ReferenceSource(exchange_calendars.SESSIONS, "sessions", calendar_window, _sessions)
)
