"""Sessions of the exchange_calendars package."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, FLAG, TEXT, UTC_TIME, Endpoint, fields

_SESSIONS = pa.schema(
    [
        *fields(TEXT, "exchange"),
        *fields(DAY, "session_date"),
        *fields(UTC_TIME, "open_at close_at"),
        *fields(FLAG, "is_early_close"),
    ]
)

SESSIONS = Endpoint(
    "exchange_calendars",
    "sessions",
    _SESSIONS,
    ("exchange", "session_date"),
    "exchange_calendars",
    "4",
    ("open_at", "close_at", "is_early_close"),
)

ALL = (SESSIONS,)
