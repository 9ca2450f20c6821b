"""The datasets of the exchange_calendars package."""

from collections.abc import Iterator

from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.vendors.dataset import Vendor, calendar_window, reference_dataset
from ingest.vendors.exchange_calendars import client as exchange_calendars
from ingest.vendors.exchange_calendars import schema


def _sessions(_job: Job, window: Span) -> Iterator[Page]:
    return exchange_calendars.session_pages(*window)


VENDOR = Vendor(
    name="exchange_calendars",
    endpoints=schema.ALL,
    datasets=(
        reference_dataset(ReferenceSource(schema.SESSIONS, "sessions", calendar_window, _sessions)),
    ),
)
