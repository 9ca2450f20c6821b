"""The market in Alpaca's wire format: bars, corporate actions, assets, calendar, clock."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from ingest.replay.alpaca_reference import (
    actions,
    assets,
    calendar,
    grouped,
    market_clock,
    parties,
)
from ingest.replay.book import NEW_YORK, Book, day_number, day_of, new_york
from ingest.replay.wire import Query, Refusal, Reply, json_reply
from trademl.clock import iso

_SYMBOL = re.compile(r"[A-Z0-9]+([./-][A-Z0-9]+)*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RECENT = timedelta(minutes=15)
_JUMP = "~"
"""Between two places in a token: serve the page after the first, then go on after the second."""


def refusal(message: str, status: int = 400) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"message": message}, status))


class AlpacaWire:
    """Answers Alpaca's requests from a book.

    Args:
        book: What may be told.
        keys: Accepted key ids with their secrets; none accepts any pair that is not empty.
        free: Whether the last 15 minutes are refused, as on the free plan.
    """

    def __init__(self, book: Book, keys: Mapping[str, str] | None, free: bool) -> None:
        self._book, self._keys, self._free = book, keys, free
        self._actions = actions(book)
        self._assets = list(assets(book))
        self._stamps: dict[int, str] = {}

    def paths(self) -> frozenset[str]:
        """The paths that are answered here."""
        return frozenset(
            ["/v2/stocks/bars", "/v1/corporate-actions", "/v2/assets", "/v2/calendar", "/v2/clock"]
        )

    def check_keys(self, headers: Mapping[str, str]) -> None:
        """Raises the vendor's refusal when the keys are missing or wrong (names in lower case)."""
        key, secret = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
        known = key and secret and (self._keys is None or self._keys.get(key) == secret)
        if not known:
            raise refusal("forbidden.", 401)

    def answer(self, path: str, query: Query, fault: str | None) -> Reply:
        """Answers a request; ``wrong_symbol`` and ``shuffle`` change what is in the body."""
        if path == "/v2/stocks/bars":
            return json_reply(self._bars(query, fault))
        if path == "/v1/corporate-actions":
            return json_reply(self._corporate_actions(query, fault))
        if path == "/v2/assets":
            status = query.get("status")
            return json_reply([row for row in self._assets if status in (None, row["status"])])
        if path == "/v2/calendar":
            return json_reply(_calendar(query))
        return json_reply(market_clock(self._book.clock))

    def _bars(self, query: Query, fault: str | None) -> dict[str, Any]:
        symbols = _symbols(query, required=True)
        _check_bar_query(query)
        first, last = self._window(query)
        limit = _limit(query, 1000, 10_000)
        cursor = _cursor(query)
        page, end = self._page(self._ranges(symbols, first, last, cursor.after), limit)
        following = cursor.then if cursor.jumps else end
        if fault == "shuffle" and following is not None and not cursor.jumps:
            # Out of order: the page behind this one comes first, then this one.
            behind = self._ranges(symbols, first, last, _place(following))
            page, beyond = self._page(behind, limit)
            following = f"{cursor.here}{_JUMP}{beyond or ''}"
        if fault == "shuffle":
            page = {name: rows[::-1] for name, rows in reversed(page.items())}
        if fault == "wrong_symbol" and page:
            page = {_stranger(name, symbols): rows for name, rows in page.items()}
        return {"bars": page, "next_page_token": _token(following)}

    def _window(self, query: Query) -> tuple[int, int]:
        """First and last day whose New York midnight lies between ``start`` and ``end``."""
        now = self._book.clock
        today = datetime.combine(now.astimezone(NEW_YORK).date(), time(), NEW_YORK)
        start = _moment(query.get("start"), today, time())
        end = _moment(query.get("end"), now, time(23, 59, 59))
        if self._free and query.get("feed", "sip") == "sip" and end > now - _RECENT:
            raise refusal("subscription does not permit querying recent SIP data", 403)
        local = start.astimezone(NEW_YORK)
        late = local.time() > time()
        last = end.astimezone(NEW_YORK).date()
        return day_number(local.date()) + int(late), day_number(last)

    def _ranges(
        self, symbols: list[str], first: int, last: int, after: tuple[str, int] | None
    ) -> Iterator[tuple[str, int, int]]:
        """Row ranges per symbol, in the vendor's order, behind a place."""
        for symbol in symbols:
            if after and symbol < after[0]:
                continue
            begin = max(first, after[1] + 1) if after and symbol == after[0] else first
            low, high = self._book.equities.rows(symbol, begin, last)
            if high > low:
                yield symbol, low, high

    def _page(
        self, ranges: Iterator[tuple[str, int, int]], limit: int
    ) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
        """As many bars as fit, and the place of the last one when there are more."""
        page: dict[str, list[dict[str, Any]]] = {}
        place = None
        for symbol, low, high in ranges:
            if not limit:
                return page, place
            taken = min(high - low, limit)
            page[symbol] = self._rows(low, low + taken)
            limit -= taken
            place = f"{symbol}|D|{page[symbol][-1]['t']}"
            if taken < high - low:
                return page, place
        return page, None

    def _rows(self, low: int, high: int) -> list[dict[str, Any]]:
        bars, cut = self._book.equities, slice(low, high)
        columns = bars.columns
        opens, highs = columns["open"][cut], columns["high"][cut]
        lows, closes, volumes = columns["low"][cut], columns["close"][cut], columns["volume"][cut]
        values = zip(
            map(self._stamp, bars.days[cut].tolist()),
            opens.tolist(),
            highs.tolist(),
            lows.tolist(),
            closes.tolist(),
            volumes.tolist(),
            # The market has neither trades nor vwap: both are made up from what it has.
            (volumes // 100).clip(1).tolist(),
            ((highs + lows + closes) / 3).tolist(),
            strict=True,
        )
        return [
            {"t": t, "o": o, "h": h, "l": low, "c": c, "v": v, "n": n, "vw": vw}
            for t, o, h, low, c, v, n, vw in values
        ]

    def _stamp(self, day: int) -> str:
        """New York's midnight in UTC: 04:00 in summer, 05:00 in winter."""
        if day not in self._stamps:
            self._stamps[day] = iso(new_york(day_of(day), time()))
        return self._stamps[day]

    def _corporate_actions(self, query: Query, fault: str | None) -> dict[str, Any]:
        today = self._book.clock.astimezone(NEW_YORK).date().isoformat()
        start, end = query.get("start", today), query.get("end", today)
        for text in (start, end):
            if not _DAY.fullmatch(text):
                raise refusal(f"invalid date: {text}")
        symbols, kinds = set(_symbols(query, required=False)), set(_listed(query, "types"))
        found = [
            (kind, action)
            for kind, action in self._actions
            if start <= action["process_date"] <= end
            and (not symbols or symbols & parties(action))
            and (not kinds or kind.removesuffix("s") in kinds)
        ]
        limit = _limit(query, 100, 1000)
        begin = _offset(query)
        page = found[begin : begin + limit]
        if fault == "shuffle":
            page.reverse()
        if fault == "wrong_symbol" and symbols:
            page = [(kind, {**action, "symbol": "ZZQWRONG"}) for kind, action in page]
        following = str(begin + limit) if begin + limit < len(found) else None
        return {"corporate_actions": grouped(page), "next_page_token": _token(following)}


def _check_bar_query(query: Query) -> None:
    if query.get("timeframe") != "1Day":
        raise refusal(f"invalid timeframe: {query.get('timeframe', '')}")
    for name, served in (("adjustment", "raw"), ("sort", "asc")):
        if query.get(name, served) != served:
            raise refusal(f"invalid {name}: {query[name]} (the replay serves {served} only)")


def _symbols(query: Query, required: bool) -> list[str]:
    symbols = sorted(set(_listed(query, "symbols")))
    if required and not symbols:
        raise refusal("symbols is required")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise refusal(f"invalid symbol: {symbol}")
    return symbols


def _listed(query: Query, name: str) -> list[str]:
    return [text for text in query.get(name, "").split(",") if text]


def _limit(query: Query, usual: int, most: int) -> int:
    text = query.get("limit", str(usual))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise refusal(f"invalid limit: {text}")
    return int(text)


def _moment(text: str | None, usual: datetime, time_of_day: time) -> datetime:
    """A bound of a window; a plain date is a New York day."""
    if text is None:
        return usual
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time_of_day, NEW_YORK)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(f"invalid time: {text}") from error
    if moment.tzinfo is None:
        raise refusal(f"invalid time: {text}")
    return moment


def _calendar(query: Query) -> list[dict[str, str]]:
    first, last = query.get("start", "1970-01-01"), query.get("end", "2029-12-31")
    try:
        return calendar(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError as error:
        raise refusal(f"invalid date: {first} or {last}") from error


def _offset(query: Query) -> int:
    place = _decoded(query["page_token"]) if "page_token" in query else "0"
    if not place.isdigit():
        raise refusal("invalid page_token")
    return int(place)


def _token(place: str | None) -> str | None:
    return None if place is None else base64.b64encode(place.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refusal("invalid page_token") from error


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page begins and what comes after it.

    Attributes:
        here: The place as written in the token, empty at the beginning.
        after: The same, read: symbol and day of the bar before this page.
        jumps: Whether the page that follows is not the one right behind.
        then: In that case, where to go on; none at the end.
    """

    here: str
    after: tuple[str, int] | None
    jumps: bool
    then: str | None


def _cursor(query: Query) -> _Cursor:
    if "page_token" not in query:
        return _Cursor("", None, False, None)
    here, jump, there = _decoded(query["page_token"]).partition(_JUMP)
    if not here and not jump:
        raise refusal("invalid page_token")
    return _Cursor(here, _place(here) if here else None, bool(jump), there or None)


def _place(text: str) -> tuple[str, int]:
    symbol, _, stamp = text.partition("|D|")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise refusal("invalid page_token") from error
    return symbol, day_number(moment.astimezone(NEW_YORK).date())


def _stranger(symbol: str, asked: list[str]) -> str:
    """A symbol that was not asked, in place of one that was."""
    name = f"{symbol}X"
    while name in asked:
        name += "X"
    return name
