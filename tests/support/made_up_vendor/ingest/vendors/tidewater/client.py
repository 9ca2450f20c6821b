"""Tidewater: borrow fees of all shares, as of today (v1, no key)."""

from collections.abc import Iterator

import msgspec
from ingest.vendors.tidewater.schema import BORROW

from ingest.payloads.decode import Page, page_of, read_json, table_of
from ingest.transport.client import VendorClient
from trademl.errors import Unavailable, VendorError


class _Body(msgspec.Struct):
    rates: list[dict[str, object]]


_BODY = msgspec.json.Decoder(_Body)


def classify_refusal(status: int, said: str) -> type[VendorError] | None:
    """A desk that is closed is an outage."""
    return Unavailable if status == 400 and "desk is closed" in said else None


def borrow_rates(client: VendorClient) -> Iterator[Page]:
    """The fees that are asked now, percent a year."""
    answer = client.get(
        "/tidewater/v1/borrow", {}, lambda body: read_json(_BODY.decode, body, BORROW.path)
    )
    yield page_of(answer, table_of(BORROW, answer.value.rates))
