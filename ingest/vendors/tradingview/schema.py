"""TradingView's screener."""

import pyarrow as pa

from ingest.payloads.endpoint import TEXT, WHOLE, Endpoint, fields

_SCAN = pa.schema(
    [
        *fields(TEXT, "symbol market field timeframe value update_mode"),
        *fields(WHOLE, "total_count"),
    ]
)

SCAN = Endpoint(
    "tradingview",
    "scan",
    _SCAN,
    ("symbol", "field", "timeframe"),
    "tradingview_scanner",
    "scan",
    ("market", "total_count"),
)

ALL = (SCAN,)
