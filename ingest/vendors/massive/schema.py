"""Massive's (formerly Polygon's) endpoints."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, FLAG, NUMBER, TEXT, UTC_TIME, WHOLE, Endpoint, fields

_AGGREGATES = pa.schema(
    [
        *fields(TEXT, "ticker"),
        *fields(UTC_TIME, "t"),
        *fields(NUMBER, "o h l c v vw"),
        *fields(WHOLE, "n"),
        *fields(FLAG, "otc"),
    ]
)
_GROUPED = pa.schema([*fields(DAY, "date"), *_AGGREGATES])
_SPLITS = pa.schema(
    [
        *fields(TEXT, "id ticker"),
        *fields(DAY, "execution_date"),
        *fields(NUMBER, "split_from split_to"),
    ]
)
_DIVIDENDS = pa.schema(
    [
        *fields(TEXT, "id ticker dividend_type currency"),
        *fields(NUMBER, "cash_amount"),
        *fields(WHOLE, "frequency"),
        *fields(DAY, "declaration_date ex_dividend_date record_date pay_date"),
    ]
)
_TICKERS = pa.schema(
    [
        *fields(DAY, "date"),
        *fields(TEXT, "ticker name market locale primary_exchange type"),
        *fields(FLAG, "active"),
        *fields(TEXT, "currency_name cik composite_figi share_class_figi"),
        *fields(UTC_TIME, "last_updated_utc delisted_utc"),
    ]
)
_OPTION_CHAIN = pa.schema(
    [
        *fields(TEXT, "details_ticker details_contract_type details_exercise_style"),
        *fields(DAY, "details_expiration_date"),
        *fields(NUMBER, "details_strike_price details_shares_per_contract"),
        *fields(NUMBER, "break_even_price implied_volatility open_interest fmv"),
        *fields(NUMBER, "greeks_delta greeks_gamma greeks_theta greeks_vega"),
        *fields(NUMBER, "day_open day_high day_low day_close day_previous_close"),
        *fields(NUMBER, "day_change day_change_percent day_volume day_vwap"),
        *fields(WHOLE, "day_last_updated"),
        *fields(NUMBER, "last_quote_bid last_quote_bid_size"),
        *fields(WHOLE, "last_quote_bid_exchange"),
        *fields(NUMBER, "last_quote_ask last_quote_ask_size"),
        *fields(WHOLE, "last_quote_ask_exchange"),
        *fields(NUMBER, "last_quote_midpoint"),
        *fields(WHOLE, "last_quote_last_updated"),
        *fields(TEXT, "last_quote_timeframe"),
        *fields(NUMBER, "last_trade_price last_trade_size"),
        *fields(WHOLE, "last_trade_exchange last_trade_sip_timestamp"),
        *fields(TEXT, "last_trade_timeframe underlying_asset_ticker"),
        *fields(NUMBER, "underlying_asset_price underlying_asset_value"),
        *fields(NUMBER, "underlying_asset_change_to_break_even"),
        *fields(WHOLE, "underlying_asset_last_updated"),
        *fields(TEXT, "underlying_asset_timeframe"),
    ]
)


def _aggregates(name: str) -> Endpoint:
    return Endpoint(
        "massive",
        name,
        _AGGREGATES,
        ("ticker", "t"),
        "massive_aggs",
        "v2",
        ("o", "h", "l", "c", "v"),
        event_time="t",
        symbol="ticker",
    )


def _tickers(name: str) -> Endpoint:
    required = ("market", "active")
    return Endpoint("massive", name, _TICKERS, ("ticker",), "massive", "v3", required)


GROUPED = Endpoint(
    "massive",
    "grouped_1d",
    _GROUPED,
    ("date", "ticker"),
    "massive_grouped",
    "v2",
    ("t", "o", "h", "l", "c", "v"),
    symbol="ticker",
)
DAYS = _aggregates("aggs_1d")
MINUTES = _aggregates("aggs_1m")
SPLITS = Endpoint(
    "massive",
    "splits",
    _SPLITS,
    ("ticker", "execution_date"),
    "massive",
    "v3",
    ("split_from", "split_to"),
    symbol="ticker",
)
DIVIDENDS = Endpoint(
    "massive",
    "dividends",
    _DIVIDENDS,
    ("ticker", "ex_dividend_date"),
    "massive",
    "v3",
    ("cash_amount",),
    symbol="ticker",
)
TICKERS = _tickers("tickers")
DELISTED = _tickers("delisted_tickers")
CHAIN = Endpoint(
    "massive",
    "option_chain",
    _OPTION_CHAIN,
    ("details_ticker",),
    "massive",
    "v3",
    ("details_contract_type", "details_expiration_date", "details_strike_price"),
    symbol="underlying_asset_ticker",
)

ALL = (
    GROUPED,
    DAYS,
    MINUTES,
    SPLITS,
    DIVIDENDS,
    TICKERS,
    DELISTED,
    CHAIN,
)
