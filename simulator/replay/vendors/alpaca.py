"""The market in Alpaca's wire format: bars, corporate actions, options, assets, calendar, clock."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any

from simulator.replay.book import NEW_YORK
from simulator.replay.minutes import open_minutes
from simulator.replay.options import Quote, open_options
from simulator.replay.protocol import IssuedPages, Query, Reply, Request, Terms, json_reply
from simulator.replay.vendors.alpaca_bars import BarPages, Series, daily, minutely
from simulator.replay.vendors.alpaca_query import (
    limit_of,
    listed,
    place_of,
    refusal,
    symbols_of,
    token_of,
)
from simulator.replay.vendors.alpaca_reference import (
    actions,
    assets,
    calendar,
    grouped,
    market_clock,
    parties,
)
from trademl.clock import iso

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BARS, _ACTIONS = "/v2/stocks/bars", "/v1/corporate-actions"
_OPTIONS = "/v1beta1/options/snapshots/"
_PATHS = frozenset([_BARS, _ACTIONS, "/v2/assets", "/v2/calendar", "/v2/clock"])


class AlpacaWire:
    """Answers Alpaca's requests.

    Args:
        terms: The book, the accepted key ids with their secrets, the plan: the free one refuses
            the last 15 minutes.
    """

    name = "alpaca"

    def __init__(self, terms: Terms) -> None:
        self._book, self._terms = terms.book, terms
        self._actions = actions(terms.book)
        self._assets = list(assets(terms.book))
        self._bars = BarPages(terms.book.clock, terms.is_free, self._series)
        self._issued = IssuedPages()

    def owns(self, path: str) -> bool:
        """Whether a path is Alpaca's."""
        return path in _PATHS or path.startswith(_OPTIONS)

    def check(self, request: Request) -> None:
        """Raises the vendor's refusal when the keys are missing or wrong."""
        key = request.headers.get("apca-api-key-id")
        secret = request.headers.get("apca-api-secret-key")
        keys = self._terms.keys
        if not key or not secret or (keys is not None and keys.get(key) != secret):
            raise refusal("forbidden.", 401)

    def cost(self, request: Request) -> int:  # noqa: ARG002 - other vendors weigh requests
        """Every request counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:
        """The limit, what is left of it and when it begins anew."""
        return self._terms.minute.headers(now, seconds)

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """429; when to come back is in the headers."""
        return Reply(429, b'{"message":"too many requests."}', headers)

    def fail(self) -> Reply:
        """503."""
        return json_reply({"message": "internal server error."}, 503)

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a request; some faults change what is in the body."""
        path, query = request.path, request.query
        if path in (_BARS, _ACTIONS) or path.startswith(_OPTIONS):
            return self._paged(path, query, fault)
        if path == "/v2/assets":
            status = query.get("status")
            return json_reply([row for row in self._assets if status in (None, row["status"])])
        if path == "/v2/calendar":
            return json_reply(_calendar(query))
        return json_reply(market_clock(self._book.clock))

    def _paged(self, path: str, query: Query, fault: str | None) -> Reply:
        token = query.get("page_token")
        earlier = self._issued.find(token) if fault == "duplicate_page" else None
        if earlier is not None:
            return earlier
        if path == _BARS:
            content = self._bars.answer(query, fault)
        elif path == _ACTIONS:
            content = self._corporate_actions(query, fault)
        else:
            content = self._snapshots(path.removeprefix(_OPTIONS), query, fault)
        reply, following = json_reply(content), content["next_page_token"]
        if following not in (None, token):
            self._issued.keep(following, reply)
        return reply

    def _series(self, timeframe: str) -> Series | None:
        if timeframe == "1Min":
            return self._minutes
        return daily(self._book.equities) if timeframe == "1Day" else None

    @cached_property
    def _minutes(self) -> Series:
        return minutely(open_minutes(self._terms.market, self._book.clock))

    @cached_property
    def _chains(self) -> dict[str, list[Quote]]:
        return open_options(self._terms.market, self._book.clock)

    def _snapshots(self, underlying: str, query: Query, fault: str | None) -> dict[str, Any]:
        """The chain in pages; the free plan has the indicative feed only."""
        feed = query.get("feed", "indicative" if self._terms.is_free else "opra")
        if feed == "opra" and self._terms.is_free:
            raise refusal("subscription does not permit querying opra data", 403)
        chain = self._chains.get(underlying, [])
        limit, begin = limit_of(query, 100, 1000), _offset(query)
        page = {quote.occ: _snapshot(quote) for quote in chain[begin : begin + limit]}
        if fault == "wrong_symbol":
            page = {f"ZZQW{occ[-15:]}": content for occ, content in page.items()}
        if fault == "shuffle":
            page = dict(reversed(page.items()))
        following = str(begin + limit) if begin + limit < len(chain) else None
        return {"snapshots": page, "next_page_token": token_of(following)}

    def _corporate_actions(self, query: Query, fault: str | None) -> dict[str, Any]:
        today = self._book.clock.astimezone(NEW_YORK).date().isoformat()
        start, end = query.get("start", today), query.get("end", today)
        for text in (start, end):
            if not _DAY.fullmatch(text):
                raise refusal(f"invalid date: {text}")
        symbols, kinds = set(symbols_of(query, required=False)), set(listed(query, "types"))
        actions = [
            (kind, action)
            for kind, action in self._actions
            if start <= action["process_date"] <= end
            and (not symbols or symbols & parties(action))
            and (not kinds or kind.removesuffix("s") in kinds)
        ]
        limit = limit_of(query, 100, 1000)
        begin = _offset(query)
        page = actions[begin : begin + limit]
        if fault == "shuffle":
            page.reverse()
        if fault == "wrong_symbol" and symbols:
            page = [(kind, {**action, "symbol": "ZZQWRONG"}) for kind, action in page]
        following = str(begin + limit) if begin + limit < len(actions) else None
        return {"corporate_actions": grouped(page), "next_page_token": token_of(following)}


def _snapshot(quote: Quote) -> dict[str, Any]:
    """A contract without trades and greeks: the market has quotes only."""
    return {
        "latestQuote": {
            "t": iso(quote.quoted_at).replace("Z", ".000000000Z"),
            "bp": quote.bid or 0,
            "bs": int(quote.bid_size or 0),
            "bx": "N",
            "ap": quote.ask or 0,
            "as": int(quote.ask_size or 0),
            "ax": "N",
            "c": " ",
        }
    }


def _calendar(query: Query) -> list[dict[str, str]]:
    first, last = query.get("start", "1970-01-01"), query.get("end", "2029-12-31")
    try:
        return calendar(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError as error:
        raise refusal(f"invalid date: {first} or {last}") from error


def _offset(query: Query) -> int:
    place = place_of(query["page_token"]) if "page_token" in query else "0"
    if not place.isdigit():
        raise refusal("invalid page_token")
    return int(place)


WIRE = AlpacaWire
