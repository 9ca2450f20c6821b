"""Binance's endpoints: spot API v3."""

import pyarrow as pa

from ingest.payloads.endpoint import TEXT, WHOLE, Endpoint, fields

_TAKER = ("taker_buy_base_volume", "taker_buy_quote_volume")

_KLINES = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(WHOLE, "open_time"),
        *fields(TEXT, "open high low close volume"),
        *fields(WHOLE, "close_time"),
        *fields(TEXT, "quote_volume"),
        *fields(WHOLE, "trades"),
        *fields(TEXT, " ".join(_TAKER)),
    ]
)

_EXCHANGE_INFO = pa.schema(
    fields(TEXT, "symbol status base_asset quote_asset tick_size step_size min_qty min_notional")
)

KLINES = Endpoint(
    "binance",
    "klines_1d",
    _KLINES,
    ("symbol", "open_time"),
    "binance_spot",
    "v3",
    tuple(name for name in _KLINES.names if name not in ("symbol", "open_time")),
    event_time="open_time",
    nullable=("open", "high", "low", "close", "volume", "quote_volume", "trades", *_TAKER),
)
EXCHANGE_INFO = Endpoint(
    "binance",
    "exchange_info",
    _EXCHANGE_INFO,
    ("symbol",),
    "binance_spot",
    "v3",
    ("status", "base_asset", "quote_asset"),
    nullable=("status", "base_asset", "quote_asset"),
)

ALL = (
    KLINES,
    EXCHANGE_INFO,
)
