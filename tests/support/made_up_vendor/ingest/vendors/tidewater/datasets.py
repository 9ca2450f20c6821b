"""Tidewater's datasets."""

from collections.abc import Iterator

from ingest.vendors.tidewater import client as tidewater
from ingest.vendors.tidewater import schema

from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.vendors.dataset import Tracking, Vendor, last_session, reference_dataset

URL = "https://api.tidewater.example"


def _borrow_rates(job: Job, _window: Span) -> Iterator[Page]:
    host = job.base_url or URL
    with job.make_client("tidewater", host, classify_refusal=tidewater.classify_refusal) as client:
        yield from tidewater.borrow_rates(client)


VENDOR = Vendor(
    name="tidewater",
    endpoints=schema.ALL,
    datasets=(
        reference_dataset(
            ReferenceSource(schema.BORROW, "borrow_rates", None, _borrow_rates),
            scope="market",
            tracking=Tracking(turn=200, last_expected=last_session),
        ),
    ),
)
