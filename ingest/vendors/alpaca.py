"""Alpaca: daily bars, corporate actions, assets, calendar (data v2/v1, trading v2)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ingest.endpoints import ENDPOINTS, UTC_TIME
from ingest.http import Answer, VendorClient
from ingest.payloads import Page, read_json, table_of
from trademl.errors import Rejected, SchemaDrift, Unavailable

PUBLICATION_LAG = timedelta(minutes=16)
"""SIP data younger than 15 minutes is refused on the free plan."""

BARS_PER_PAGE = 10_000
ACTIONS_PER_PAGE = 1_000
_REPEATS_ALLOWED = 3

BARS, ACTIONS = ENDPOINTS["alpaca/bars_1d"], ENDPOINTS["alpaca/corporate_actions"]
ASSETS, CALENDAR = ENDPOINTS["alpaca/assets"], ENDPOINTS["alpaca/calendar"]

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
class _Part:
    """The rows of one body and the token of the next."""

    rows: pa.Table
    token: str | None


_BAR_PAGE = msgspec.json.Decoder(_BarPage)
_LOOSE_BAR_PAGE = msgspec.json.Decoder(_LooseBarPage)
_ACTION_PAGE = msgspec.json.Decoder(_ActionPage)
_RECORDS = msgspec.json.Decoder(list[dict[str, Any]])


def headers(key_id: str, secret_key: str) -> dict[str, str]:
    """The keys, as the vendor wants them on every call."""
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret_key}


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
    wanted = [symbol for symbol in symbols if is_symbol(symbol)]
    while wanted:
        try:
            yield from _paged(client, "/v2/stocks/bars", _bar_params(wanted, start, end), read_bars)
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
    yield from _paged(client, "/v1/corporate-actions", params, read_actions)


def assets(client: VendorClient) -> Iterator[Page]:
    """All equities that the vendor lists, then those it lists no more (one body each)."""
    for status in ("active", "inactive"):
        params = {"status": status, "asset_class": "us_equity"}
        answer = client.get("/v2/assets", params, lambda body: _records(body, ASSETS.path))
        yield _page(answer, table_of(ASSETS, answer.value))


def calendar(client: VendorClient, start: date, end: date) -> Iterator[Page]:
    """Trading days with New York wall times of open and close."""
    params = {"start": start.isoformat(), "end": end.isoformat()}
    answer = client.get("/v2/calendar", params, lambda body: _records(body, CALENDAR.path))
    yield _page(answer, table_of(CALENDAR, answer.value))


def read_bars(body: bytes) -> _Part:
    """The rows of a bars body.

    Raises:
        Unavailable: The body is malformed.
        SchemaDrift: A field is absent or of another type.
    """
    try:
        page = _BAR_PAGE.decode(body)
    except msgspec.DecodeError:
        return _read_unusual_bars(body)
    by_symbol = page.bars or {}
    flat = [bar for bars_of_one in by_symbol.values() for bar in bars_of_one]
    counts = [len(bars_of_one) for bars_of_one in by_symbol.values()]
    codes = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    times = _times([bar.t for bar in flat])
    return _Part(
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
            names=[*BARS.columns.names, "extra", "vendor_ts"],
        ),
        page.next_page_token,
    )


def read_actions(body: bytes) -> _Part:
    """The rows of a corporate actions body, one per action, its group as ``action_type``.

    Raises:
        Unavailable: The body is malformed.
        SchemaDrift: A field is absent or of another type.
    """
    page = read_json(_ACTION_PAGE.decode, body, ACTIONS.path)
    groups = page.corporate_actions.items()
    records = [{"action_type": group, **action} for group, rows in groups for action in rows]
    return _Part(table_of(ACTIONS, records), page.next_page_token)


def _read_unusual_bars(body: bytes) -> _Part:
    """The slow way for bars with fields that are new, missing or of another type."""
    page = read_json(_LOOSE_BAR_PAGE.decode, body, BARS.path)
    by_symbol = (page.bars or {}).items()
    records = [{**bar, "symbol": symbol} for symbol, rows in by_symbol for bar in rows]
    rows = table_of(BARS, records, _times([record.get("t") for record in records]))
    return _Part(rows, page.next_page_token)


def _times(texts: list[Any]) -> pa.Array:
    try:
        return pa.array(texts, pa.string()).cast(UTC_TIME)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaDrift(f"{BARS.path} sent a time that is no UTC time: {error}") from error


def _records(body: bytes, where: str) -> list[dict[str, Any]]:
    return read_json(_RECORDS.decode, body, where)


def _bar_params(symbols: Sequence[str], start: date, end: date) -> dict[str, str | int]:
    return {
        "symbols": ",".join(symbols),
        "timeframe": "1Day",
        # A bar is stamped with New York's midnight, 04:00 or 05:00 UTC: these bounds hold it in
        # every season, and noon lies before the 15 minutes that the free plan must not ask for.
        "start": f"{start}T00:00:00Z",
        "end": f"{end}T12:00:00Z",
        "limit": BARS_PER_PAGE,
        "adjustment": "raw",
        "feed": "sip",
        "asof": "-",
        "sort": "asc",
    }


def _paged(
    client: VendorClient,
    path: str,
    params: Mapping[str, str | int],
    read: Callable[[bytes], _Part],
) -> Iterator[Page]:
    """Follows tokens to the null one; a short page means nothing.

    A body that hands back a token that was asked before is an earlier page once more: it is passed
    over and the token asked again.
    """
    token, asked, repeats = "", {""}, 0
    while True:
        answer = client.get(path, params, read, {"page_token": token} if token else None)
        following = answer.value.token or ""
        if following and following in asked:
            repeats += 1
            if repeats > _REPEATS_ALLOWED:
                raise Unavailable(f"{client.vendor} {path} sends one page over and over; try later")
            continue
        yield _page(answer, answer.value.rows)
        if not following:
            return
        token, repeats = following, 0
        asked.add(token)


def _page(answer: Answer[Any], rows: pa.Table) -> Page:
    return Page(rows, answer.payload_sha256, answer.source_uri, answer.request_hash)
