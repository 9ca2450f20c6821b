"""Finnhub: daily candles, option chains and the earnings calendar (API v1)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from ingest.payloads.decode import (
    DRIFT,
    Page,
    decode_strict,
    page_of,
    read_json,
    repeated,
    table_of,
    table_of_columns,
    utc_of,
)
from ingest.transport.client import VendorClient
from ingest.vendors.finnhub.schema import CANDLES, CHAIN, EARNINGS
from trademl.errors import (
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    VendorError,
)

WINDOW = 60.0
"""Seconds to wait where a refusal does not say when the next minute begins."""
PUBLICATION_LAG = timedelta(hours=1)
CHUNK = timedelta(days=7)
CALENDAR_ROWS = 1_500
"""Longer answers are cut without a word, and the earliest dates are what is missing."""


Record = dict[str, Any]


class _Candles(msgspec.Struct):
    """Arrays of one length each, none where there is no data."""

    s: str
    t: list[int] | None = None
    o: list[float] | None = None
    h: list[float] | None = None
    l: list[float] | None = None  # noqa: E741 - the vendor's name
    c: list[float] | None = None
    v: list[float] | None = None


class _Refusal(msgspec.Struct):
    error: Any = None


class _Expiration(msgspec.Struct):
    options: dict[str, list[Record]]


class _Calendar(msgspec.Struct):
    earningsCalendar: list[Record]  # noqa: N815 - the vendor's name


_REFUSAL = msgspec.json.Decoder(_Refusal)
_CANDLE_BODY = msgspec.json.Decoder(_Candles)
_CHAIN_BODY = msgspec.json.Decoder(Record)
_CALENDAR_BODY = msgspec.json.Decoder(_Calendar)


def headers(key: str) -> dict[str, str]:
    """The key as a header: in the query it would be in every address."""
    return {"X-Finnhub-Token": key}


def is_refusal_body(body: bytes) -> bool:
    """Whether a body is a refusal whatever its status says: an object with an ``error``."""
    refusal = decode_strict(_REFUSAL.decode, body) if b'"error"' in body else None
    return refusal is not None and bool(refusal.error)


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """403 means that the plan does not cover an endpoint; wrong keys are 401."""
    if "limit reached" in message.lower():
        return RateLimited
    is_page = message.startswith("<")
    if (status == 403 and not is_page) or (status in (200, 401) and "access" in message):
        return NotEntitled
    return Rejected if status == 200 else None


def candles(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, clock: datetime
) -> Iterator[Page]:
    """Daily bars, adjusted for the splits that are known today, one call per symbol.

    Args:
        client: On the vendor's host.
        symbols: A symbol without data gives no rows. Answers do not name their symbol.
        start: First session date.
        end: Last session date, inclusive.
        clock: Unused: all sessions up to ``end`` are over.
    """
    del clock
    for symbol in symbols:
        params: dict[str, str | int] = {
            "symbol": symbol,
            "resolution": "D",
            "from": _seconds(start),
            "to": _seconds(end + timedelta(days=1)) - 1,
        }

        def read(body: bytes, symbol: str = symbol) -> pa.Table:
            return _read_candles(body, symbol)

        answer = client.get("/api/v1/stock/candle", params, read)
        yield page_of(answer, answer.value)


def option_chain(client: VendorClient, underlyings: Sequence[str]) -> Iterator[Page]:
    """The chain at the end of the last day, one row per contract; sizes are not told.

    Args:
        client: On the vendor's host.
        underlyings: Symbols of shares; one without options gives no rows.
    """
    for symbol in underlyings:
        answer = client.get("/api/v1/stock/option-chain", {"symbol": symbol}, _read_chain)
        yield page_of(answer, answer.value)


def earnings(
    client: VendorClient, symbols: Sequence[str], start: date, end: date
) -> Iterator[Page]:
    """Earnings dates with what was expected and reported, asked week by week.

    Args:
        client: On the vendor's host.
        symbols: All when none is given.
        start: First day.
        end: Last day, inclusive.

    Raises:
        DataError: One day has more rows than an answer holds.
    """
    for symbol in symbols or [""]:
        first = start
        while first <= end:
            last = min(first + CHUNK - timedelta(days=1), end)
            yield from _whole_calendar(client, symbol, first, last)
            first = last + timedelta(days=1)


def _whole_calendar(client: VendorClient, symbol: str, start: date, end: date) -> Iterator[Page]:
    """A window's rows; one that was cut is asked again day by day."""
    params: dict[str, str | int] = {"from": start.isoformat(), "to": end.isoformat()}
    params |= {"symbol": symbol} if symbol else {}
    answer = client.get("/api/v1/calendar/earnings", params, _read_calendar)
    if answer.value.num_rows < CALENDAR_ROWS:
        yield page_of(answer, answer.value)
        return
    if start == end:
        raise DataError(
            f"{EARNINGS.path} sent {answer.value.num_rows} rows for {start}, at {CALENDAR_ROWS} it "
            "cuts; nothing of this fetch is landed, name symbols with --symbols"
        )
    for offset in range((end - start).days + 1):
        day = start + timedelta(days=offset)
        yield from _whole_calendar(client, symbol, day, day)


def _read_candles(body: bytes, symbol: str) -> pa.Table:
    payload = read_json(_CANDLE_BODY.decode, body, CANDLES.path)
    arrays = {name: getattr(payload, name) or [] for name in ("t", "o", "h", "l", "c", "v")}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaDrift(f"{CANDLES.path} sent arrays of unequal lengths {lengths} for {symbol}")
    if payload.s not in ("ok", "no_data") or (payload.s == "ok" and not arrays["t"]):
        raise SchemaDrift(
            f"{CANDLES.path} says {payload.s!r} with {lengths['t']} rows for {symbol}"
        )
    times = utc_of(arrays["t"], "s", CANDLES)
    columns = {**arrays, "symbol": repeated(symbol, len(times)), "t": times}
    return table_of_columns(CANDLES, columns, times)


def _read_chain(body: bytes) -> pa.Table:
    payload = read_json(_CHAIN_BODY.decode, body, CHAIN.path)
    # An empty object is "no options"; anything else without a chain is not, and covers no day.
    if payload and "data" not in payload:
        raise SchemaDrift(f"{CHAIN.path} {DRIFT}: it sent {sorted(payload)[:5]} and no data")
    head = {f"chain_{name}": value for name, value in payload.items() if name != "data"}
    expirations = payload.get("data") or []
    try:
        sides = msgspec.convert(expirations, list[_Expiration])
    except msgspec.ValidationError as error:
        raise SchemaDrift(f"{CHAIN.path} sent an expiration of another shape: {error}") from error
    pairs = zip(expirations, sides, strict=True)
    rows = (row for expiration, known in pairs for row in _contracts(expiration, known))
    return table_of(CHAIN, [{**head, **row} for row in rows])


def _contracts(expiration: Record, known: _Expiration) -> Iterator[Record]:
    head = {f"expiration_{name}": value for name, value in expiration.items() if name != "options"}
    for contracts in known.options.values():
        for contract in contracts:
            yield {**head, **contract}


def _read_calendar(body: bytes) -> pa.Table:
    payload = read_json(_CALENDAR_BODY.decode, body, EARNINGS.path)
    return table_of(EARNINGS, payload.earningsCalendar)


def _seconds(day: date) -> int:
    """Candles are stamped with UTC midnight of their session date."""
    return int(datetime.combine(day, time(), UTC).timestamp())
