"""Reference files that a user or a market directory supplies."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, TEXT, UTC_TIME, Endpoint, fields

_SECTORS = pa.schema(fields(TEXT, "symbol name exchange asset_type sector industry"))

_MEMBERSHIP = pa.schema([*fields(TEXT, "index_name symbol"), *fields(DAY, "start_date end_date")])

_EARNINGS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "earnings_date"),
        *fields(UTC_TIME, "announced_at"),
    ]
)

ALL = (
    Endpoint("file", "sectors", _SECTORS, ("symbol",), "file", "1"),
    Endpoint(
        "file", "index_membership", _MEMBERSHIP, ("index_name", "symbol", "start_date"), "file", "1"
    ),
    Endpoint("file", "earnings_dates", _EARNINGS, ("symbol", "earnings_date"), "file", "1"),
)
