"""Finnhub's endpoints, API v1."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, NUMBER, TEXT, UTC_TIME, WHOLE, Endpoint, fields

_CANDLES = pa.schema(
    [*fields(TEXT, "symbol"), *fields(UTC_TIME, "t"), *fields(NUMBER, "o h l c v")]
)
_OPTION_CHAIN = pa.schema(
    [
        *fields(TEXT, "chain_code chain_exchange"),
        *fields(DAY, "chain_lastTradeDate"),
        *fields(NUMBER, "chain_lastTradePrice"),
        *fields(DAY, "expiration_expirationDate"),
        *fields(NUMBER, "expiration_impliedVolatility"),
        *fields(NUMBER, "expiration_putVolume expiration_callVolume"),
        *fields(NUMBER, "expiration_putCallVolumeRatio"),
        *fields(NUMBER, "expiration_putOpenInterest expiration_callOpenInterest"),
        *fields(NUMBER, "expiration_putCallOpenInterestRatio expiration_optionsCount"),
        *fields(TEXT, "contractName contractSize contractPeriod currency type inTheMoney"),
        *fields(TEXT, "lastTradeDateTime"),
        *fields(DAY, "expirationDate"),
        *fields(NUMBER, "strike lastPrice bid ask change changePercent volume openInterest"),
        *fields(NUMBER, "impliedVolatility delta gamma theta vega rho theoretical"),
        *fields(NUMBER, "intrinsicValue timeValue"),
        *fields(TEXT, "updatedAt"),
        *fields(NUMBER, "daysBeforeExpiration"),
    ]
)
_EARNINGS = pa.schema(
    [
        *fields(TEXT, "symbol"),
        *fields(DAY, "date"),
        *fields(TEXT, "hour"),
        *fields(WHOLE, "year quarter"),
        *fields(NUMBER, "epsEstimate epsActual revenueEstimate revenueActual"),
    ]
)

CANDLES = Endpoint(
    "finnhub",
    "candles_1d_split_adjusted",
    _CANDLES,
    ("symbol", "t"),
    "finnhub_split_adjusted",
    "v1",
    ("o", "h", "l", "c", "v"),
    event_time="t",
)
CHAIN = Endpoint(
    "finnhub",
    "option_chain",
    _OPTION_CHAIN,
    ("contractName",),
    "finnhub",
    "v1",
    ("type", "expirationDate", "strike"),
    symbol="chain_code",
)
EARNINGS = Endpoint("finnhub", "earnings_calendar", _EARNINGS, ("symbol", "date"), "finnhub", "v1")

ALL = (
    CANDLES,
    CHAIN,
    EARNINGS,
)
