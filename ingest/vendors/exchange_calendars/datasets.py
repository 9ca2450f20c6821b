"""The datasets of the exchange_calendars package."""

from collections.abc import Iterator

from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.vendors.dataset import calendar_window, reference_datasets
from ingest.vendors.exchange_calendars import client as exchange_calendars
from ingest.vendors.exchange_calendars import schema


def _sessions(_job: Job, window: Span) -> Iterator[Page]:
    return exchange_calendars.session_pages(*window)


DATASETS = reference_datasets(
    ReferenceSource(schema.SESSIONS, "sessions", calendar_window, _sessions)
)
