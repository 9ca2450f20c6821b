"""FMP: delisted companies, statements, raw daily prices, calendars (API ``stable``).

The vendor cuts silently: rows beyond a cap, days beyond a window, pages whose seams lose rows.
Every answer is checked for it, and asked again in smaller windows where that helps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingest.payloads.decode import (
    Page,
    decode_strict,
    moment_of,
    page_of,
    page_of_records,
    read_json,
    table_of,
    table_of_columns,
)
from ingest.payloads.endpoint import UTC_TIME, Endpoint
from ingest.transport.client import Answer, Exhausted, Params, VendorClient
from ingest.vendors.fmp.schema import (
    BALANCE,
    CASH_FLOW,
    DELISTED,
    DIVIDENDS,
    EARNINGS,
    INCOME,
    PRICES,
    SPLITS,
)
from trademl.errors import (
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
    VendorError,
)

LIMIT_WAIT = 60.0
"""The vendor does not say how long; paid plans count by the minute."""
DELISTED_PER_PAGE = 100
STATEMENTS_LIMIT = 1_000
PRICES_CAP = 5_000
CALENDAR_CAP = 4_000
CALENDAR_DAYS = 90
"""The splits calendar begins 90 days before its end, whatever was asked."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Events that can be asked for by days, or of one symbol.

    Attributes:
        endpoint: Where they land.
        by_days: Path for all symbols of a window.
        by_symbol: Path for all days of a symbol.
        days: Names of the fields with days; blank texts in them mean "none".
        window: Days to ask at once, few enough to stay below the cap on most days.
    """

    endpoint: Endpoint
    by_days: str
    by_symbol: str
    days: tuple[str, ...]
    window: int


EARNINGS_CALENDAR = Calendar(
    EARNINGS, "/stable/earnings-calendar", "/stable/earnings", ("lastUpdated",), 6
)
DIVIDENDS_CALENDAR = Calendar(
    DIVIDENDS,
    "/stable/dividends-calendar",
    "/stable/dividends",
    ("recordDate", "paymentDate", "declarationDate"),
    30,
)
SPLITS_CALENDAR = Calendar(SPLITS, "/stable/splits-calendar", "/stable/splits", (), CALENDAR_DAYS)

_STATEMENTS = {
    INCOME.path: "/stable/income-statement",
    BALANCE.path: "/stable/balance-sheet-statement",
    CASH_FLOW.path: "/stable/cash-flow-statement",
}
_PERIODS = {"annual": frozenset({"FY"}), "quarter": frozenset({"Q1", "Q2", "Q3", "Q4"})}
_NEW_YORK = ZoneInfo("America/New_York")
_ONE_DAY = timedelta(days=1)
_PLAN = ("Premium Query Parameter", "Special Endpoint", "Restricted Endpoint", "Exclusive Endpoint")


class _Price(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A bar with exactly the documented fields."""

    symbol: str
    date: str
    adjOpen: float  # noqa: N815 - the vendor's names
    adjHigh: float  # noqa: N815
    adjLow: float  # noqa: N815
    adjClose: float  # noqa: N815
    volume: float


_USUAL_PRICES = msgspec.json.Decoder(list[_Price])
_RECORDS = msgspec.json.Decoder(list[dict[str, Any]])
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def headers(key: str) -> dict[str, str]:
    """The key, where no address and no message of the vendor repeats it."""
    return {"apikey": key}


def is_refusal_body(body: bytes) -> bool:
    """Whether a body with status 200 holds an error: a text, or an object with a message."""
    start = body.lstrip()[:1]
    if start != b"{":
        return bool(start) and start not in (b"[", b"<")
    return "Error Message" in (decode_strict(_OBJECT.decode, body) or {})


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """What a refusal means; the words decide, since the limit comes with 429 and with 200."""
    if "Bandwidth Limit Reach" in message:
        return Exhausted
    if "Limit Reach" in message:
        return RateLimited
    if status == 402 or any(words in message for words in _PLAN):
        return NotEntitled
    return Rejected if status == 200 else None


def delisted(client: VendorClient) -> Iterator[Page]:
    """All delisted companies, announced ones included, page by page to the empty one.

    Raises:
        Unavailable: Two pages share rows: the list moved while it was read.
    """
    seen: set[tuple[Any, ...]] = set()
    page = 0
    while True:
        answer = client.get(
            "/stable/delisted-companies",
            {"limit": DELISTED_PER_PAGE},
            lambda body: _new_rows(_records(body, DELISTED), seen),
            {"page": page},
        )
        yield page_of_records(
            answer, DELISTED, [_blank_to_null(row, ("ipoDate",)) for row in answer.value]
        )
        if not answer.value:
            return
        seen.update(_identity(row) for row in answer.value)
        page += 1


def statements(client: VendorClient, endpoint: Endpoint, symbol: str) -> Iterator[Page]:
    """All annual, then all quarterly statements of a symbol.

    Args:
        client: On the vendor's host.
        endpoint: Income, balance sheet or cash flow.
        symbol: The symbol.

    Raises:
        DataError: As many statements as were asked at most, so some may be missing.
        SchemaDrift: The statements are of another symbol or of the other period.
    """
    for period, known in _PERIODS.items():
        params: Params = {"symbol": symbol, "period": period, "limit": STATEMENTS_LIMIT}
        answer = _get(client, _STATEMENTS[endpoint.path], params, endpoint)
        if len(answer.value) >= STATEMENTS_LIMIT:
            raise DataError(
                f"{endpoint.path} sent {len(answer.value)} {period} statements of {symbol}, the "
                "most that were asked: older ones may be cut off"
            )
        strangers = {str(row.get("period")) for row in answer.value} - known
        if strangers:
            raise SchemaDrift(f"{endpoint.path} was asked by {period}, sent {sorted(strangers)}")
        accepted = [accepted_at(row.get("acceptedDate"), endpoint) for row in answer.value]
        times = pa.array(accepted, UTC_TIME)
        yield page_of_records(answer, endpoint, answer.value, times)


def accepted_at(text: Any, endpoint: Endpoint) -> datetime | None:
    """The UTC of EDGAR's wall clock in New York; none at midnight, which means "not known".

    Raises:
        SchemaDrift: The text is not a time.
    """
    if not text:
        return None
    moment = moment_of(str(text), endpoint)
    if moment.time() == time():
        return None
    return moment.replace(tzinfo=_NEW_YORK).astimezone(UTC)


def prices(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    """Daily bars as traded (the vendor calls them ``adj*`` all the same).

    An answer holds 5,000 rows at most and drops the oldest ones, so a full one is followed by the
    days before it.

    Args:
        client: On the vendor's host.
        symbols: Asked one by one.
        start: First session date.
        end: Last session date, inclusive.
    """
    for symbol in symbols:
        last = end
        while last >= start:
            window = (start, last)
            answer = client.get(
                "/stable/historical-price-eod/non-split-adjusted",
                {"symbol": symbol, "from": start.isoformat(), "to": end.isoformat()},
                partial(_read_prices, window=window, symbol=symbol, symbols=symbols),
                {"to": last.isoformat()},
            )
            yield page_of(answer, answer.value)
            if answer.value.num_rows < PRICES_CAP:
                break
            last = pc.min(answer.value.column("date")).as_py() - _ONE_DAY


def events(client: VendorClient, calendar: Calendar, start: date, end: date) -> Iterator[Page]:
    """Events of all symbols in a window, in calls small enough to hold them all.

    Args:
        client: On the vendor's host.
        calendar: Which events.
        start: First day.
        end: Last day, inclusive.

    Raises:
        DataError: One day alone reaches the cap, so some of its rows are cut off.
    """
    first = start
    while first <= end:
        last = min(end, first + (calendar.window - 1) * _ONE_DAY)
        yield from _whole_window(client, calendar, first, last)
        first = last + _ONE_DAY


def events_of_symbol(client: VendorClient, calendar: Calendar, symbol: str) -> Iterator[Page]:
    """All events of one symbol; the vendor ignores days here."""
    answer = _get(client, calendar.by_symbol, {"symbol": symbol}, calendar.endpoint)
    yield _event_page(answer, calendar)


def _whole_window(
    client: VendorClient, calendar: Calendar, first: date, last: date
) -> Iterator[Page]:
    """The window in one answer below the cap, else its two halves."""
    answer = client.get(
        calendar.by_days,
        {"from": first.isoformat(), "to": last.isoformat()},
        partial(_read_inside, window=(first, last), endpoint=calendar.endpoint),
    )
    if len(answer.value) < CALENDAR_CAP:
        yield _event_page(answer, calendar)
        return
    if first == last:
        raise DataError(
            f"{calendar.endpoint.path} sent {len(answer.value)} rows for {first} alone, the "
            f"vendor's cap is {CALENDAR_CAP}: more may be cut off; ask symbol by symbol"
        )
    middle = first + (last - first) // 2
    yield from _whole_window(client, calendar, first, middle)
    yield from _whole_window(client, calendar, middle + _ONE_DAY, last)


def _event_page(answer: Answer[list[dict[str, Any]]], calendar: Calendar) -> Page:
    rows = [_blank_to_null(row, calendar.days) for row in answer.value]
    return page_of_records(answer, calendar.endpoint, rows)


def _get(
    client: VendorClient, path: str, params: Params, endpoint: Endpoint
) -> Answer[list[dict[str, Any]]]:
    return client.get(path, params, partial(_records, endpoint=endpoint))


def _records(body: bytes, endpoint: Endpoint) -> list[dict[str, Any]]:
    return read_json(_RECORDS.decode, body, endpoint.path)


def _read_prices(
    body: bytes, window: tuple[date, date], symbol: str, symbols: Sequence[str]
) -> pa.Table:
    """Refuses the rows of a symbol that was asked before: they came in place of this one's."""
    rows = decode_strict(_USUAL_PRICES.decode, body)
    if rows is not None:
        days, names = [row.date for row in rows], [row.symbol for row in rows]
        _refuse_outside(days, window, PRICES)
        columns = {
            "symbol": names,
            "date": days,
            "adjOpen": [row.adjOpen for row in rows],
            "adjHigh": [row.adjHigh for row in rows],
            "adjLow": [row.adjLow for row in rows],
            "adjClose": [row.adjClose for row in rows],
            "volume": [row.volume for row in rows],
        }
        table = table_of_columns(PRICES, columns)
    else:
        records = _read_inside(body, window, PRICES)
        table, names = table_of(PRICES, records), [str(row.get("symbol")) for row in records]
    others = set(names) & (set(symbols) - {symbol})
    if others:
        raise Unavailable(
            f"{PRICES.path} was asked for {symbol}, sent {', '.join(sorted(others))}; run it again"
        )
    return table


def _read_inside(
    body: bytes, window: tuple[date, date], endpoint: Endpoint
) -> list[dict[str, Any]]:
    rows = _records(body, endpoint)
    _refuse_outside([str(row.get("date")) for row in rows], window, endpoint)
    return rows


def _refuse_outside(days: Sequence[str], window: tuple[date, date], endpoint: Endpoint) -> None:
    """Refuses rows of days that were not asked: another answer came in place of this one."""
    first, last = window[0].isoformat(), window[1].isoformat()
    if days and not first <= min(days) <= max(days) <= last:
        outside = [day for day in days if not first <= day <= last]
        raise Unavailable(
            f"{endpoint.path} was asked for {first}..{last}, {len(outside)} of {len(days)} rows "
            f"are of other days ({outside[0]}); run it again"
        )


def _new_rows(rows: list[dict[str, Any]], seen: set[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Refuses a page that holds rows of earlier pages: as many others may have slipped through."""
    repeated = sum(_identity(row) in seen for row in rows)
    if repeated:
        raise Unavailable(
            f"{DELISTED.path} sent {repeated} of {len(rows)} rows of a page a second time, so as "
            "many may be missing; run it again"
        )
    return rows


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(str(row.get(name)) for name in DELISTED.columns.names)


def _blank_to_null(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**row, **{name: None for name in names if row.get(name) == ""}}
