"""FRED's endpoints, with the real-time periods of ALFRED."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, TEXT, WHOLE, Endpoint, fields

_OBSERVATIONS = pa.schema(
    [
        *fields(TEXT, "series_id"),
        *fields(DAY, "date realtime_start realtime_end"),
        *fields(TEXT, "value vintage_kind"),
    ]
)
_VINTAGE_DATES = pa.schema([*fields(TEXT, "series_id"), *fields(DAY, "vintage_date")])
_SERIES = pa.schema(
    [
        *fields(TEXT, "id"),
        *fields(DAY, "realtime_start realtime_end"),
        *fields(TEXT, "title"),
        *fields(DAY, "observation_start observation_end"),
        *fields(TEXT, "frequency frequency_short units units_short"),
        *fields(TEXT, "seasonal_adjustment seasonal_adjustment_short last_updated"),
        *fields(WHOLE, "popularity"),
        *fields(TEXT, "notes"),
    ]
)

OBSERVATIONS = Endpoint(
    "fred",
    "observations",
    _OBSERVATIONS,
    ("series_id", "date", "realtime_start"),
    "fred",
    "fred_v1",
    ("realtime_end", "value", "vintage_kind"),
    symbol="series_id",
)
VINTAGE_DATES = Endpoint(
    "fred",
    "vintage_dates",
    _VINTAGE_DATES,
    ("series_id", "vintage_date"),
    "fred",
    "fred_v1",
    symbol="series_id",
)
SERIES = Endpoint(
    "fred",
    "series",
    _SERIES,
    ("id",),
    "fred",
    "fred_v1",
    ("title", "frequency", "units", "last_updated"),
    symbol="id",
)

ALL = (
    OBSERVATIONS,
    VINTAGE_DATES,
    SERIES,
)
