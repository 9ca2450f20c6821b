"""Alpaca's endpoints: data v2 and v1, trading v2."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, FLAG, NUMBER, TEXT, UTC_TIME, WHOLE, Endpoint, fields

_BARS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(UTC_TIME, "t"),
        *fields(NUMBER, "o h l c v"),
        *fields(WHOLE, "n"),
        *fields(NUMBER, "vw"),
    ]
)

_CORPORATE_ACTIONS = pa.schema(
    [
        *fields(TEXT, "action_type id symbol old_symbol new_symbol cusip"),
        *fields(NUMBER, "old_rate new_rate rate cash_rate"),
        *fields(FLAG, "special foreign"),
        *fields(DAY, "ex_date effective_date record_date payable_date process_date"),
    ]
)

_ASSETS = pa.schema(
    [
        *fields(TEXT, "id class exchange symbol name status"),
        *fields(FLAG, "tradable marginable shortable easy_to_borrow fractionable"),
    ]
)

_CALENDAR = pa.schema(
    [
        *fields(DAY, "date"),
        *fields(TEXT, "open close session_open session_close"),
        *fields(DAY, "settlement_date"),
    ]
)

_OPTION_SNAPSHOTS = pa.schema(
    [
        *fields(TEXT, "option_symbol latest_quote_t"),
        *fields(NUMBER, "latest_quote_bp latest_quote_bs"),
        *fields(TEXT, "latest_quote_bx"),
        *fields(NUMBER, "latest_quote_ap latest_quote_as"),
        *fields(TEXT, "latest_quote_ax latest_quote_c latest_trade_t"),
        *fields(NUMBER, "latest_trade_p latest_trade_s"),
        *fields(TEXT, "latest_trade_x latest_trade_c"),
        *fields(NUMBER, "implied_volatility"),
        *fields(NUMBER, "greeks_delta greeks_gamma greeks_theta greeks_vega greeks_rho"),
    ]
)

_ASSET_FACTS = ("class", "exchange", "symbol", "status", "tradable")
_MEASURES = ("o", "h", "l", "c", "v", "n", "vw")

BARS = Endpoint(
    "alpaca",
    "bars_1d",
    _BARS,
    ("symbol", "t"),
    "alpaca_sip",
    "v2",
    _MEASURES,
    event_time="t",
    nullable=_MEASURES,
)
ACTIONS = Endpoint(
    "alpaca",
    "corporate_actions",
    _CORPORATE_ACTIONS,
    ("action_type", "id"),
    "alpaca",
    "v1",
    ("process_date",),
    nullable=("process_date",),
)
ASSETS = Endpoint(
    "alpaca",
    "assets",
    _ASSETS,
    ("id",),
    "alpaca",
    "v2",
    _ASSET_FACTS,
    nullable=_ASSET_FACTS,
)
MINUTES = Endpoint(
    "alpaca",
    "bars_1m",
    _BARS,
    ("symbol", "t"),
    "alpaca_sip",
    "v2",
    _MEASURES,
    event_time="t",
    nullable=_MEASURES,
)
SNAPSHOTS = Endpoint(
    "alpaca",
    "option_snapshots",
    _OPTION_SNAPSHOTS,
    ("option_symbol",),
    "alpaca_indicative",
    "v1beta1",
)
CALENDAR = Endpoint("alpaca", "calendar", _CALENDAR, ("date",), "alpaca", "v2", ("open", "close"))

ALL = (
    BARS,
    ACTIONS,
    ASSETS,
    MINUTES,
    SNAPSHOTS,
    CALENDAR,
)
