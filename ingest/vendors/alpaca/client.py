"""Alpaca: daily and minute bars, corporate actions, assets, calendar (data v2/v1, trading v2)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa

from ingest.payloads.decode import Page, decode_strict, page_of, read_json, table_of
from ingest.payloads.endpoint import UTC_TIME, Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.alpaca.schema import ACTIONS, ASSETS, BARS, CALENDAR, MINUTES
from trademl.clock import iso
from trademl.errors import NotEntitled, Rejected, SchemaDrift, Unavailable, VendorError

BARS_PER_PAGE = 10_000
ACTIONS_PER_PAGE = 1_000
_REPEATS_ALLOWED = 3

MINUTE_LAG = timedelta(hours=4, minutes=16)
"""Minute bars go on until 20:00 in New York, four hours after the close."""


_NEW_YORK = ZoneInfo("America/New_York")
_EVENING = time(20)
_SYMBOL = re.compile(r"[A-Z0-9]+([./-][A-Z0-9]+)*")
_INVALID = re.compile(r"invalid symbol: ([^\s,;]+)")


class _Bar(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A bar with exactly the eight documented fields."""

    t: str
    o: float
    h: float
    l: float  # noqa: E741 - the vendor's name
    c: float
    v: float
    n: int
    vw: float


class _BarPage(msgspec.Struct):
    bars: dict[str, list[_Bar]] | None
    next_page_token: str | None


class _LooseBarPage(msgspec.Struct):
    bars: dict[str, list[dict[str, Any]]] | None
    next_page_token: str | None


class _ActionPage(msgspec.Struct):
    corporate_actions: dict[str, list[dict[str, Any]]]
    next_page_token: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one body and the token of the next, none at the end."""

    rows: pa.Table
    token: str | None


_BAR_PAGE = msgspec.json.Decoder(_BarPage)
_LOOSE_BAR_PAGE = msgspec.json.Decoder(_LooseBarPage)
_ACTION_PAGE = msgspec.json.Decoder(_ActionPage)
_RECORDS = msgspec.json.Decoder(list[dict[str, Any]])


def headers(key_id: str, secret_key: str) -> dict[str, str]:
    """The keys, as the vendor wants them on every call."""
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret_key}


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """403 means wrong keys, or data that the subscription does not cover."""
    return NotEntitled if status == 403 and "subscription" in message else None


def is_symbol(text: str) -> bool:
    """Whether the vendor would accept a text as a symbol; one it refuses spoils a whole call."""
    return _SYMBOL.fullmatch(text) is not None


def bars(client: VendorClient, symbols: Sequence[str], start: date, end: date) -> Iterator[Page]:
    """Raw daily bars of the consolidated tape, under the symbols of their own day.

    Args:
        client: On the data host.
        symbols: Asked in one request chain; ones the vendor finds malformed are left out.
        start: First session date.
        end: Last session date, inclusive.
    """
    # A bar is stamped with New York's midnight, 04:00 or 05:00 UTC: these bounds hold it in every
    # season, and noon lies before the 15 minutes that the free plan must not ask for.
    window = {"timeframe": "1Day", "start": f"{start}T00:00:00Z", "end": f"{end}T12:00:00Z"}
    yield from _bars(client, symbols, window, BARS)


def minutes(client: VendorClient, symbols: Sequence[str], start: date, end: date) -> Iterator[Page]:
    """Raw minute bars from New York's midnight of the first day to 20:00 of the last one.

    A minute without an eligible trade has no bar. Arguments are those of ``bars``.
    """
    first, last = _new_york(start, time()), _new_york(end, _EVENING)
    yield from _bars(client, symbols, {"timeframe": "1Min", "start": first, "end": last}, MINUTES)


def _bars(
    client: VendorClient, symbols: Sequence[str], window: Mapping[str, str], endpoint: Endpoint
) -> Iterator[Page]:
    wanted = [symbol for symbol in symbols if is_symbol(symbol)]
    read = partial(read_bars, endpoint=endpoint)
    while wanted:
        try:
            yield from paged(client, "/v2/stocks/bars", _bar_params(wanted, window), read)
            return
        except Rejected as error:
            refused = _INVALID.search(str(error))
            if refused is None or refused[1] not in wanted:
                raise
            wanted.remove(refused[1])


def corporate_actions(
    client: VendorClient, symbols: Sequence[str], start: date, end: date
) -> Iterator[Page]:
    """Corporate actions whose process date lies in the window; all symbols when none is given."""
    params: dict[str, str | int] = {"symbols": ",".join(symbols)} if symbols else {}
    params |= {"start": start.isoformat(), "end": end.isoformat(), "limit": ACTIONS_PER_PAGE}
    yield from paged(client, "/v1/corporate-actions", params, read_actions)


def assets(client: VendorClient) -> Iterator[Page]:
    """All equities that the vendor lists, then those it lists no more (one body each)."""
    for status in ("active", "inactive"):
        params = {"status": status, "asset_class": "us_equity"}
        answer = client.get("/v2/assets", params, lambda body: _records(body, ASSETS.path))
        yield page_of(answer, table_of(ASSETS, answer.value))


def calendar(client: VendorClient, start: date, end: date) -> Iterator[Page]:
    """Trading days with New York wall times of open and close."""
    params = {"start": start.isoformat(), "end": end.isoformat()}
    answer = client.get("/v2/calendar", params, lambda body: _records(body, CALENDAR.path))
    yield page_of(answer, table_of(CALENDAR, answer.value))


def read_bars(body: bytes, endpoint: Endpoint = BARS) -> Part:
    """The rows of a bars body.

    Args:
        body: As received.
        endpoint: Where they land; all lengths of bars have the same columns.

    Raises:
        Unavailable: The body is malformed.
        SchemaDrift: A field is absent or of another type.
    """
    page = decode_strict(_BAR_PAGE.decode, body)
    if page is None:
        return _read_unusual_bars(body, endpoint)
    try:
        return _read_usual_bars(page, endpoint)
    except OverflowError:  # more trades than 64 bits count: the slow way names the field
        return _read_unusual_bars(body, endpoint)


def _read_usual_bars(page: _BarPage, endpoint: Endpoint) -> Part:
    by_symbol = page.bars or {}
    flat = [bar for bars_of_one in by_symbol.values() for bar in bars_of_one]
    counts = [len(bars_of_one) for bars_of_one in by_symbol.values()]
    codes = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    times = _times([bar.t for bar in flat], endpoint)
    return Part(
        pa.table(
            [
                pa.DictionaryArray.from_arrays(codes, pa.array(list(by_symbol), pa.string())),
                times,
                np.array([bar.o for bar in flat], np.float64),
                np.array([bar.h for bar in flat], np.float64),
                np.array([bar.l for bar in flat], np.float64),
                np.array([bar.c for bar in flat], np.float64),
                np.array([bar.v for bar in flat], np.float64),
                np.array([bar.n for bar in flat], np.int64),
                np.array([bar.vw for bar in flat], np.float64),
                pa.nulls(len(flat), pa.string()),
                times,
            ],
            names=[*endpoint.columns.names, "extra", "vendor_ts"],
        ),
        page.next_page_token,
    )


def read_actions(body: bytes) -> Part:
    """The rows of a corporate actions body, one per action, its group as ``action_type``.

    Raises:
        Unavailable: The body is malformed.
        SchemaDrift: A field is absent or of another type.
    """
    page = read_json(_ACTION_PAGE.decode, body, ACTIONS.path)
    groups = page.corporate_actions.items()
    records = [{"action_type": group, **action} for group, rows in groups for action in rows]
    return Part(table_of(ACTIONS, records), page.next_page_token)


def _read_unusual_bars(body: bytes, endpoint: Endpoint) -> Part:
    """The slow way for bars with fields that are new, missing or of another type."""
    page = read_json(_LOOSE_BAR_PAGE.decode, body, endpoint.path)
    by_symbol = (page.bars or {}).items()
    records = [{**bar, "symbol": symbol} for symbol, rows in by_symbol for bar in rows]
    times = _times([record.get("t") for record in records], endpoint)
    rows = table_of(endpoint, records, times)
    return Part(rows, page.next_page_token)


def _times(texts: Sequence[Any], endpoint: Endpoint) -> pa.Array:
    try:
        return pa.array(texts, pa.string()).cast(UTC_TIME)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaDrift(f"{endpoint.path} sent a time that is not a UTC time: {error}") from error


def _records(body: bytes, where: str) -> list[dict[str, Any]]:
    return read_json(_RECORDS.decode, body, where)


def _new_york(day: date, moment: time) -> str:
    return iso(datetime.combine(day, moment, _NEW_YORK).astimezone(UTC))


def _bar_params(symbols: Sequence[str], window: Mapping[str, str]) -> dict[str, str | int]:
    return {
        "symbols": ",".join(symbols),
        **window,
        "limit": BARS_PER_PAGE,
        "adjustment": "raw",
        "feed": "sip",
        "asof": "-",
        "sort": "asc",
    }


def paged(
    client: VendorClient,
    path: str,
    params: Mapping[str, str | int],
    read: Callable[[bytes], Part],
) -> Iterator[Page]:
    """Follows tokens to the null one; a short page means nothing.

    A body that hands back a token that was asked before is an earlier page once more: it is passed
    over and the token asked again.
    """
    token, seen_tokens, repeats = "", {""}, 0
    while True:
        answer = client.get(path, params, read, {"page_token": token} if token else None)
        following = answer.value.token or ""
        if following and following in seen_tokens:
            repeats += 1
            if repeats > _REPEATS_ALLOWED:
                raise Unavailable(f"{client.vendor} {path} sends one page over and over; try later")
            continue
        yield page_of(answer, answer.value.rows)
        if not following:
            return
        token, repeats = following, 0
        seen_tokens.add(token)
