"""Alpha Vantage: daily bars, listings as of a day, splits, dividends, earnings, option chains.

Every refusal comes with HTTP 200: ``is_refusal_body`` and ``classify_refusal`` tell refusals
from data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import msgspec
import pyarrow as pa

from ingest.payloads.csv_body import read_csv
from ingest.payloads.decode import (
    Page,
    decode_strict,
    page_of,
    page_of_records,
    read_json,
    repeated,
    table_of,
    table_of_columns,
)
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import Answer, Exhausted, VendorClient
from ingest.transport.throttle import Pace
from ingest.vendors.alphavantage.schema import (
    DAILY,
    DIVIDENDS,
    EARNINGS,
    LISTING_STATUS_ACTIVE,
    LISTING_STATUS_DELISTED,
    OPTIONS,
    SPLITS,
)
from trademl.errors import (
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    UnknownSymbol,
    VendorError,
    WrongKey,
)
from trademl.sessions import sessions_between

PACE = Pace(1.05)
"""The free plan allows one request a second."""
BURST_WAIT = 2.0
COMPACT_ROWS = 100
LISTINGS_BEGIN = date(2010, 1, 1)
OPTIONS_BEGIN = date(2008, 1, 1)

LISTED = {
    "active": LISTING_STATUS_ACTIVE,
    "delisted": LISTING_STATUS_DELISTED,
}

_PATH = "/query"
_ZONE = "US/Eastern"
_NOTICES = frozenset({"Note", "Information", "Error Message"})
_LISTING_HEADER = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
_BURST = ("sparingly", "burst pattern", "per minute")
_ABSENT = ("None", "null", "")

_BAR_FIELDS = frozenset({"1. open", "2. high", "3. low", "4. close", "5. volume"})
_OBJECT = msgspec.json.Decoder(dict[str, Any])


Row = TypeVar("Row")


class _Bar(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A bar with exactly the documented fields."""

    open: str = msgspec.field(name="1. open")
    high: str = msgspec.field(name="2. high")
    low: str = msgspec.field(name="3. low")
    close: str = msgspec.field(name="4. close")
    volume: str = msgspec.field(name="5. volume")


class _Daily(msgspec.Struct, Generic[Row]):
    meta: dict[str, str] = msgspec.field(name="Meta Data")
    series: dict[str, Row] = msgspec.field(name="Time Series (Daily)")


class _Listed(msgspec.Struct):
    symbol: str
    data: list[dict[str, Any]]


class _Earnings(msgspec.Struct):
    symbol: str
    annualEarnings: list[dict[str, Any]]  # noqa: N815 - the vendor's names
    quarterlyEarnings: list[dict[str, Any]]  # noqa: N815


class _Chain(msgspec.Struct):
    data: list[dict[str, Any]]
    message: str = ""


_USUAL_DAILY_BODY = msgspec.json.Decoder(_Daily[_Bar])
_DAILY_BODY = msgspec.json.Decoder(_Daily[dict[str, Any]])
_LISTED_BODY = msgspec.json.Decoder(_Listed)
_EARNINGS_BODY = msgspec.json.Decoder(_Earnings)
_CHAIN_BODY = msgspec.json.Decoder(_Chain)


def is_refusal_body(body: bytes) -> bool:
    """Whether a body with status 200 holds a notice in place of data.

    Where CSV is asked for a notice may come as CSV as well: one column, one row.
    """
    text = body.lstrip()
    if len(body) > 4_096 or text[:1] in (b"", b"<"):
        return False
    if not text.startswith(b"{"):
        is_listing = text.startswith(_LISTING_HEADER[0].encode())
        return (
            not is_listing and classify_refusal(200, body.decode(errors="replace")) is not Rejected
        )
    names = (decode_strict(_OBJECT.decode, body) or {}).keys()
    return bool(names) and names <= _NOTICES


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """What a notice means.

    Burst comes first, since its text may mention the daily limit too, and the daily limit comes
    before the plan, since its text recommends premium plans.
    """
    if status != 200:
        return None
    words = message.lower()
    if any(mark in words for mark in _BURST):
        return RateLimited
    if "per day" in words or "rate limit" in words:
        return Exhausted
    if "premium" in words:
        return NotEntitled
    if "apikey" in words or "api key" in words:
        return WrongKey
    return UnknownSymbol if "invalid api call" in words else Rejected


def daily(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, clock: datetime
) -> Iterator[Page]:
    """Raw daily bars; a symbol that the vendor does not know gives none.

    The vendor takes no dates: it sends the last 100 sessions, or (not on every plan) all of them.

    Args:
        client: On the vendor's host.
        symbols: Asked one by one.
        start: First session date.
        end: Last session date, inclusive; the row of a session in progress lies behind it.
        clock: Decides whether the last 100 sessions reach back to ``start``.

    Raises:
        NotEntitled: The plan does not give sessions that old.
        SchemaDrift: The dates are not New York's.
    """
    session_count = len(sessions_between(start, clock.date()))
    size = "compact" if session_count <= COMPACT_ROWS else "full"
    for symbol in symbols:
        params = {"function": "TIME_SERIES_DAILY", "symbol": symbol, "outputsize": size}
        try:
            answer = _get(client, params, _read_daily)
        except UnknownSymbol:
            continue
        _refuse_cut(answer.value, symbol, size, start)
        first, last = start.isoformat(), end.isoformat()
        days = [day for day in sorted(answer.value.series) if first <= day <= last]
        yield page_of(answer, _bars(answer.value, days))


def listing_status(client: VendorClient, day: date, state: str) -> Iterator[Page]:
    """Everything listed, or delisted, as of a day.

    Args:
        client: On the vendor's host.
        day: From 2010-01-01 on.
        state: ``active`` or ``delisted``.

    Raises:
        DataError: The list of active names is empty.
        SchemaDrift: The list holds names of the other state.
    """
    params = {"function": "LISTING_STATUS", "date": day.isoformat(), "state": state}
    answer = _get(client, params, lambda body: _read_listing(body, LISTED[state]))
    strangers = {row["status"] for row in answer.value} - {state.title()}
    if strangers:
        raise SchemaDrift(f"{LISTED[state].path} was asked for {state}, sent {sorted(strangers)}")
    if state == "active" and not answer.value:
        raise DataError(f"{LISTED[state].path} has no active name as of {day}; ask another day")
    named = {"asked_date": day.isoformat()}
    rows = [{**named, **_without_absent(row, "ipoDate", "delistingDate")} for row in answer.value]
    yield page_of_records(answer, LISTED[state], rows)


def splits(client: VendorClient, symbol: str) -> Iterator[Page]:
    """All splits of a symbol."""
    yield from _of_symbol(client, "SPLITS", symbol, SPLITS, ("effective_date",))


def dividends(client: VendorClient, symbol: str) -> Iterator[Page]:
    """All cash dividends of a symbol."""
    days = ("ex_dividend_date", "declaration_date", "record_date", "payment_date")
    yield from _of_symbol(client, "DIVIDENDS", symbol, DIVIDENDS, days)


def earnings(client: VendorClient, symbol: str) -> Iterator[Page]:
    """Annual and quarterly results of a symbol, the list's name as ``report_type``."""
    answer = _get(
        client,
        {"function": "EARNINGS", "symbol": symbol},
        _read_earnings,
    )
    payload = answer.value
    groups = {"annual": payload.annualEarnings, "quarterly": payload.quarterlyEarnings}
    rows = [
        {"symbol": payload.symbol, "report_type": group, **_without_absent(row, *row)}
        for group, reports in groups.items()
        for row in reports
    ]
    yield page_of_records(answer, EARNINGS, rows)


def historical_options(client: VendorClient, symbol: str, day: date) -> Iterator[Page]:
    """The option chain of a symbol at the end of a session.

    Raises:
        SchemaDrift: The chain is of another day.
    """
    params = {"function": "HISTORICAL_OPTIONS", "symbol": symbol, "date": day.isoformat()}
    answer = _get(client, params, lambda body: read_json(_CHAIN_BODY.decode, body, OPTIONS.path))
    days = {str(row.get("date")) for row in answer.value.data} - {day.isoformat()}
    if days:
        raise SchemaDrift(f"{OPTIONS.path} was asked for {day}, sent {sorted(days)[:3]}")
    yield page_of_records(answer, OPTIONS, answer.value.data)


def _get(
    client: VendorClient, params: Mapping[str, str], read: Callable[[bytes], Any]
) -> Answer[Any]:
    return client.get(_PATH, params, read)


def _of_symbol(
    client: VendorClient, function: str, symbol: str, endpoint: Endpoint, days: tuple[str, ...]
) -> Iterator[Page]:
    answer = _get(
        client,
        {"function": function, "symbol": symbol},
        lambda body: read_json(_LISTED_BODY.decode, body, endpoint.path),
    )
    payload = answer.value
    rows = [{"symbol": payload.symbol, **_without_absent(row, *days)} for row in payload.data]
    yield page_of_records(answer, endpoint, rows)


def _read_daily(body: bytes) -> _Daily[Any]:
    payload: _Daily[Any] | None = decode_strict(_USUAL_DAILY_BODY.decode, body)
    payload = payload or read_json(_DAILY_BODY.decode, body, DAILY.path)
    zone = payload.meta.get("5. Time Zone")
    if zone != _ZONE:
        raise SchemaDrift(f"{DAILY.path} sent dates of {zone}, {_ZONE} is known; nothing is landed")
    return payload


def _refuse_cut(payload: _Daily[Any], symbol: str, size: str, start: date) -> None:
    sent = payload.meta.get("4. Output Size", "")
    if not sent.lower().startswith(size):
        raise NotEntitled(
            f"{DAILY.path} was asked for the {size} history of {symbol}, sent {sent!r} with "
            f"{len(payload.series)} rows; give a --start within the last {COMPACT_ROWS} sessions"
        )
    oldest = min(payload.series, default="")
    if size == "compact" and len(payload.series) >= COMPACT_ROWS and oldest > start.isoformat():
        raise DataError(
            f"{DAILY.path} sent {len(payload.series)} rows of {symbol} from {oldest} on, {start} "
            "was asked: older rows are cut off; ask again with the full history"
        )


def _bars(payload: _Daily[Any], days: list[str]) -> pa.Table:
    """The rows of some days, the fields without the numbers before their names."""
    rows = [payload.series[day] for day in days]
    named = {"symbol": repeated(payload.meta.get("2. Symbol"), len(days)), "date": days}
    if rows and isinstance(rows[0], _Bar):
        columns = {
            "open": [row.open for row in rows],
            "high": [row.high for row in rows],
            "low": [row.low for row in rows],
            "close": [row.close for row in rows],
            "volume": [row.volume for row in rows],
        }
        return table_of_columns(DAILY, {**named, **columns})
    plain = {name: name.partition(". ")[2] or name for row in rows for name in row}
    columns = {short: [row.get(name) for row in rows] for name, short in plain.items()}
    return table_of(DAILY, rows, given={**columns, **named}, used_fields=set(plain) & _BAR_FIELDS)


def _read_earnings(body: bytes) -> _Earnings:
    """A symbol that the vendor does not know gives an empty object."""
    if body.strip() == b"{}":
        return _Earnings("", [], [])
    payload: _Earnings = read_json(_EARNINGS_BODY.decode, body, EARNINGS.path)
    return payload


def _read_listing(body: bytes, endpoint: Endpoint) -> list[dict[str, str]]:
    """A day that the vendor has no list for gives an empty object, no CSV."""
    if body.strip() == b"{}":
        return []
    return read_csv(body, _LISTING_HEADER, endpoint.path)


def _without_absent(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A row in which the vendor's words for "none" are null."""
    values = {name: row.get(name) for name in names if name in row}
    return {**row, **{name: None for name, value in values.items() if value in _ABSENT}}
