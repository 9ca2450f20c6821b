"""Tidewater's endpoint."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, NUMBER, TEXT, Endpoint, fields

_BORROW = pa.schema(
    [*fields(TEXT, "symbol"), *fields(DAY, "asof"), *fields(NUMBER, "fee_pct")],
)

BORROW = Endpoint(
    "tidewater",
    "borrow_rates",
    _BORROW,
    ("symbol", "asof"),
    "tidewater",
    "v1",
    ("fee_pct",),
    class_mark="-",
)

ALL = (BORROW,)
