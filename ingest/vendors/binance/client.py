"""Binance spot: daily klines and the exchange's filters (API v3, market data, no key)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pyarrow as pa

from ingest.payloads.decode import (
    Page,
    decode_strict,
    empty,
    page_of,
    read_json,
    repeated,
    table_of,
    table_of_columns,
    utc_of,
)
from ingest.transport.client import Answer, Banned, VendorClient
from ingest.vendors.binance.schema import EXCHANGE_INFO, KLINES
from trademl.errors import RateLimited, SchemaDrift, Unavailable, UnknownSymbol, VendorError

KLINES_PER_PAGE = 1_000
SOFT_WEIGHT = 3_000
"""Half of the 6,000 a minute that an address may use; beyond 6,000 it is banned for days."""


_DAY_MS = 86_400_000
_REPEATS_ALLOWED = 3
_FIELDS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_base_volume",
    "taker_buy_quote_volume",
)
_UNUSED = len(_FIELDS)
_Row = Sequence[Any]
_UsualRow = tuple[
    int, str, str, str, str, str, int, str, int, str, str, Literal["0"]
]  # the last field is documented as unused
_USUAL_ROWS = msgspec.json.Decoder(list[_UsualRow])
_ROWS = msgspec.json.Decoder(list[list[Any]])


class _Pair(msgspec.Struct):
    """What is checked of a pair before its fields are sorted into columns."""

    symbol: str | None
    status: str | None
    baseAsset: str | None  # noqa: N815 - the vendor's names
    quoteAsset: str | None  # noqa: N815
    filters: list[dict[str, Any]]


class _ExchangeInfo(msgspec.Struct):
    serverTime: int  # noqa: N815
    symbols: list[dict[str, Any]]


_INFO = msgspec.json.Decoder(_ExchangeInfo)


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """403 comes from the firewall, to an address that asks too much; no key is ever wrong here."""
    if status == 403:
        return Banned
    is_unknown = status == 400 and ("Invalid symbol" in message or "Illegal characters" in message)
    return UnknownSymbol if is_unknown else None


def klines(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, clock: datetime
) -> Iterator[Page]:
    """Finished daily bars, symbol by symbol; a symbol that the vendor does not know gives none.

    Args:
        client: On the market data host.
        symbols: Pairs such as ``BTCUSDT``.
        start: First UTC day.
        end: Last UTC day, inclusive.
        clock: Bars that close at or after it are unfinished and dropped.
    """
    for symbol in symbols:
        try:
            yield from _pages_of(client, symbol, start, end, clock)
        except UnknownSymbol:
            continue


def exchange_info(client: VendorClient) -> Iterator[Page]:
    """Every pair with its status and price, lot and notional filters, as of now."""
    answer = client.get("/api/v3/exchangeInfo", {}, _read_info)
    yield page_of(answer, answer.value)


def _pages_of(
    client: VendorClient, symbol: str, start: date, end: date, clock: datetime
) -> Iterator[Page]:
    first, last = _milliseconds(start), _milliseconds(end)
    params: dict[str, str | int] = {
        "symbol": symbol,
        "interval": "1d",
        "startTime": first,
        "endTime": last,
        "limit": KLINES_PER_PAGE,
    }
    begin, repeats = first, 0
    while first <= last:
        answer = client.get("/api/v3/klines", params, _read_rows, {"startTime": first})
        _spare_the_weight(answer)
        opened = [row[0] for row in answer.value if row[0] is not None]
        newest = max((moment for moment in opened if moment <= last), default=last)
        # On the first page nothing can be told twice: what is too early there is an odd row.
        if begin < first and newest < first:
            repeats += 1
            if repeats > _REPEATS_ALLOWED:
                raise Unavailable(f"{client.vendor} klines repeat one page for {symbol}; try later")
            continue
        yield page_of(answer, _rows(symbol, answer.value, clock))
        if len(answer.value) < KLINES_PER_PAGE:
            return
        first, repeats = max(first, newest) + _DAY_MS, 0


def _read_rows(body: bytes) -> Sequence[_Row]:
    usual_rows = decode_strict(_USUAL_ROWS.decode, body)
    if usual_rows is not None:
        return usual_rows
    rows: list[list[Any]] = read_json(_ROWS.decode, body, KLINES.path)
    for row in rows:
        if len(row) <= _UNUSED or not isinstance(row[0], int | None) or not isinstance(row[6], int):
            raise SchemaDrift(
                f"{KLINES.path} sent a row of {len(row)} fields; 12 with integer times are known, "
                "nothing is landed"
            )
    return rows


def _rows(symbol: str, rows: Sequence[_Row], clock: datetime) -> pa.Table:
    now = int(clock.timestamp() * 1000)
    finished = [row for row in rows if row[6] < now]
    if not finished:
        return empty(KLINES)
    opened = utc_of([row[0] for row in finished], "ms", KLINES)
    named = {"symbol": repeated(symbol, len(finished))}
    if not isinstance(finished[0], tuple):
        return table_of(KLINES, [_named(row) for row in finished], opened, named)
    columns = dict(zip(_FIELDS, zip(*finished, strict=True), strict=False))
    return table_of_columns(KLINES, {**columns, **named}, opened)


def _named(row: _Row) -> dict[str, Any]:
    """A row under names; the twelfth field is documented as unused and always ``"0"``."""
    beyond = {f"field_{index}": value for index, value in enumerate(row) if index > _UNUSED}
    unused = {} if row[_UNUSED] == "0" else {f"field_{_UNUSED}": row[_UNUSED]}
    return {**dict(zip(_FIELDS, row, strict=False)), **unused, **beyond}


def _read_info(body: bytes) -> pa.Table:
    info = read_json(_INFO.decode, body, EXCHANGE_INFO.path)
    records = [_pair(fields) for fields in info.symbols]
    served = utc_of([info.serverTime] * len(records), "ms", EXCHANGE_INFO)
    return table_of(EXCHANGE_INFO, records, served)


def _pair(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        pair = msgspec.convert(fields, _Pair)
    except msgspec.ValidationError as error:
        raise SchemaDrift(f"{EXCHANGE_INFO.path} sent a pair of another shape: {error}") from error
    by_type = {str(rule.get("filterType")): rule for rule in pair.filters}
    price, lot = by_type.get("PRICE_FILTER", {}), by_type.get("LOT_SIZE", {})
    notional = by_type.get("NOTIONAL") or by_type.get("MIN_NOTIONAL") or {}
    named = ("symbol", "status", "baseAsset", "quoteAsset")
    return {
        "symbol": pair.symbol,
        "status": pair.status,
        "base_asset": pair.baseAsset,
        "quote_asset": pair.quoteAsset,
        "tick_size": price.get("tickSize"),
        "step_size": lot.get("stepSize"),
        "min_qty": lot.get("minQty"),
        "min_notional": notional.get("minNotional"),
        **{name: value for name, value in fields.items() if name not in named},
    }


def _spare_the_weight(answer: Answer[Any]) -> None:
    used = answer.headers.get("x-mbx-used-weight-1m", "0")
    if used.isdecimal() and Decimal(used) > SOFT_WEIGHT:
        raise RateLimited(
            f"binance counts a weight of {used} this minute, we stop at {SOFT_WEIGHT}; "
            "run again in a minute, what is landed is kept",
            60.0,
        )


def _milliseconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000)


def last_full_day(clock: datetime) -> date:
    """The last UTC day that is over at the clock."""
    return clock.astimezone(UTC).date() - timedelta(days=1)
