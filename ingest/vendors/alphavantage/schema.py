"""Alpha Vantage's endpoints: one function of ``/query`` each, all values as the texts it sends."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, TEXT, Endpoint, fields

_DAILY = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date"),
        *fields(TEXT, "open high low close volume"),
    ]
)
_LISTING_STATUS = pa.schema(
    [
        *fields(DAY, "asked_date"),
        *fields(TEXT, "symbol name exchange assetType"),
        *fields(DAY, "ipoDate delistingDate"),
        *fields(TEXT, "status"),
    ]
)
_SPLITS = pa.schema(
    [*fields(TEXT, "symbol"), *fields(DAY, "effective_date"), *fields(TEXT, "split_factor")]
)
_DIVIDENDS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "ex_dividend_date declaration_date record_date payment_date"),
        *fields(TEXT, "amount"),
    ]
)
_EARNINGS = pa.schema(
    [
        *fields(TEXT, "symbol report_type"),
        *fields(DAY, "fiscalDateEnding reportedDate"),
        *fields(TEXT, "reportedEPS estimatedEPS surprise surprisePercentage reportTime"),
    ]
)
_OPTIONS = pa.schema(
    [
        *fields(TEXT, "contractID symbol"),
        *fields(DAY, "expiration"),
        *fields(TEXT, "strike type last mark bid bid_size ask ask_size volume open_interest"),
        *fields(DAY, "date"),
        *fields(TEXT, "implied_volatility delta gamma theta vega rho"),
    ]
)


def _endpoint(
    name: str,
    columns: pa.Schema,
    key: tuple[str, ...],
    required: tuple[str, ...],
    event_time: str | None = None,
) -> Endpoint:
    return Endpoint(
        "alphavantage",
        name,
        columns,
        key,
        "alphavantage",
        "query",
        required,
        event_time,
        class_mark="-",
    )


_LISTED = ("exchange", "assetType", "status")

DAILY = _endpoint(
    "time_series_daily",
    _DAILY,
    ("symbol", "date"),
    ("open", "high", "low", "close", "volume"),
    event_time="date",
)
LISTING_STATUS_ACTIVE = _endpoint(
    "listing_status_active", _LISTING_STATUS, ("asked_date", "symbol"), _LISTED
)
LISTING_STATUS_DELISTED = _endpoint(
    "listing_status_delisted", _LISTING_STATUS, ("asked_date", "symbol"), _LISTED
)
SPLITS = _endpoint("splits", _SPLITS, ("symbol", "effective_date"), ("split_factor",))
DIVIDENDS = _endpoint("dividends", _DIVIDENDS, ("symbol", "ex_dividend_date"), ("amount",))
EARNINGS = _endpoint("earnings", _EARNINGS, ("symbol", "report_type", "fiscalDateEnding"), ())
OPTIONS = _endpoint(
    "historical_options",
    _OPTIONS,
    ("contractID", "date"),
    ("symbol", "expiration", "strike", "type"),
)

ALL = (
    DAILY,
    LISTING_STATUS_ACTIVE,
    LISTING_STATUS_DELISTED,
    SPLITS,
    DIVIDENDS,
    EARNINGS,
    OPTIONS,
)
