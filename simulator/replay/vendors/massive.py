"""The market in Massive's wire format: aggregates, splits, dividends, tickers, option chains."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

from simulator.replay.book import NEW_YORK, Bars, day_number, day_of, new_york
from simulator.replay.minutes import minute_number, open_minutes
from simulator.replay.options import Quote, open_options
from simulator.replay.protocol import IssuedPages, Query, Refusal, Reply, Request, Terms, json_reply
from simulator.replay.vendors import massive_reference

Rows = list[dict[str, Any]]

_AGGS, _GROUPED = "/v2/aggs/ticker/", "/v2/aggs/grouped/locale/us/market/stocks/"
_SPLITS, _DIVIDENDS = "/v3/reference/splits", "/v3/reference/dividends"
_TICKERS, _OPTIONS = "/v3/reference/tickers", "/v3/snapshot/options/"
_REFERENCE = (_SPLITS, _DIVIDENDS, _TICKERS)
_CLOSE = time(16)
_FREE_YEARS = 2
_TOO_FAST = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to "
    "continue. https://massive.com/pricing"
)
_NOT_ENTITLED = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
_TOO_OLD = "Your plan doesn't include this data timeframe. Please upgrade your plan"


def refusal(message: str, status: int = 400) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"status": "ERROR", "request_id": "0", "error": message}, status))


def not_authorized(message: str) -> Refusal:
    """What a plan does not cover."""
    body = {"status": "NOT_AUTHORIZED", "request_id": "0", "message": message}
    return Refusal(json_reply(body, 403))


class MassiveWire:
    """Answers Massive's requests.

    Args:
        terms: The book, the accepted key, the plan: the free one has two years and no options.
    """

    name = "massive"

    def __init__(self, terms: Terms) -> None:
        self._terms, self._book = terms, terms.book
        self._issued = IssuedPages()

    def owns(self, path: str) -> bool:
        """Whether a path is Massive's."""
        return path in _REFERENCE or path.startswith((_AGGS, _GROUPED, _OPTIONS))

    def check(self, request: Request) -> None:
        """Raises the vendor's refusal when the key is missing or wrong."""
        header = request.headers.get("authorization", "")
        key = header.removeprefix("Bearer ") or request.query.get("apiKey", "")
        if not key:
            raise refusal("API Key was not provided", 401)
        if not self._terms.accepts(self.name, key):
            raise refusal("Unknown API Key", 401)

    def cost(self, request: Request) -> int:  # noqa: ARG002 - other vendors weigh requests
        """Every request counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor tells nothing of its limit."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """429 without a word about when to come back."""
        return refusal(_TOO_FAST, 429).reply

    def fail(self) -> Reply:
        """500."""
        return refusal("internal server error", 500).reply

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a request; some faults change what is in the body."""
        path, cursor = request.path, request.query.get("cursor")
        earlier = self._issued.find(cursor) if fault == "duplicate_page" else None
        if earlier is not None:
            return earlier
        query = _continued(cursor) if cursor is not None else request.query
        if path.startswith(_GROUPED):
            return json_reply(self._grouped(path.removeprefix(_GROUPED), query, fault))
        if path.startswith(_AGGS):
            content, following = self._aggregates(path.removeprefix(_AGGS), query, fault)
        else:
            content, following = self._listed(path, query, fault)
        if following is not None:
            content["next_url"] = f"https://api.massive.com{path}?cursor={following}"
        reply = json_reply(content)
        if following not in (None, cursor):
            self._issued.keep(str(following), reply)
        return reply

    def _grouped(self, text: str, query: Query, fault: str | None) -> dict[str, Any]:
        _check_raw(query)
        day = _day(text)
        self._check_age(day)
        bars = self._book.equities
        ends = int(new_york(day, _CLOSE).timestamp() * 1000)
        of_day = [row for row in bars.on(day_number(day)).tolist() if bars.complete(row, row + 1)]
        positions = [(bars.symbol_of(row), row) for row in of_day]
        rows = [{"T": symbol, **_bar(bars, row, ends)} for symbol, row in positions]
        return _counted(_shuffled(rows, fault), {"adjusted": False})

    def _aggregates(
        self, path: str, query: Query, fault: str | None
    ) -> tuple[dict[str, Any], str | None]:
        ticker, _, window = path.partition("/range/")
        multiplier, span, first, last = _parts(window)
        if multiplier != "1" or span not in ("day", "minute"):
            raise refusal(f"the replay serves 1 day and 1 minute, not {multiplier} {span}")
        _check_raw(query)
        begin = _moment(first, time(), "from")
        self._check_age(begin.astimezone(NEW_YORK).date())
        bars, number, begins = self._series(span)
        low, high = bars.rows(ticker, number(begin), number(_moment(last, time.max, "to")))
        complete = bars.complete(low, high)
        offset, limit = _offset(query), _limit(query, 5_000, 50_000)
        rows = [
            _bar(bars, row, int(begins(int(bars.days[row])).timestamp() * 1000))
            for row in complete[offset : offset + limit]
        ]
        reply_ticker = f"{ticker}X" if fault == "wrong_symbol" else ticker
        head = {"ticker": reply_ticker, "adjusted": False}
        following = _cursor(query, offset + limit) if offset + limit < len(complete) else None
        return _counted(_shuffled(rows, fault), head), following

    def _series(
        self, span: str
    ) -> tuple[Bars, Callable[[datetime], int], Callable[[int], datetime]]:
        if span == "minute":
            return self._minutes, minute_number, lambda step: datetime.fromtimestamp(step * 60, UTC)
        return (
            self._book.equities,
            lambda moment: day_number(moment.astimezone(NEW_YORK).date()),
            lambda step: new_york(day_of(step), time()),
        )

    def _listed(
        self, path: str, query: Query, fault: str | None
    ) -> tuple[dict[str, Any], str | None]:
        most = 250 if path.startswith(_OPTIONS) else 1000
        rows, offset, limit = self._rows(path, query), _offset(query), _limit(query, 10, most)
        page = rows[offset : offset + limit]
        if fault == "wrong_symbol":
            page = [_strange(row) for row in page]
        following = _cursor(query, offset + limit) if offset + limit < len(rows) else None
        content = {"results": _shuffled(page, fault), "status": "OK", "request_id": "0"}
        return content, following

    def _rows(self, path: str, query: Query) -> Rows:
        if path == _SPLITS:
            return massive_reference.splits(self._book, query)
        if path == _DIVIDENDS:
            return massive_reference.dividends(self._book, query)
        if path == _TICKERS:
            return massive_reference.tickers(self._book, query)
        if self._terms.is_free:
            raise not_authorized(_NOT_ENTITLED)
        underlying = path.removeprefix(_OPTIONS)
        return [self._contract(quote) for quote in self._chains.get(underlying, [])]

    @cached_property
    def _minutes(self) -> Bars:
        return open_minutes(self._terms.market, self._book.clock)

    @cached_property
    def _chains(self) -> dict[str, list[Quote]]:
        return open_options(self._terms.market, self._book.clock)

    def _contract(self, quote: Quote) -> dict[str, Any]:
        """A contract without trades and greeks: the market has quotes only."""
        quoted = int(quote.quoted_at.timestamp()) * 1_000_000_000
        bid, ask = quote.bid or 0, quote.ask or 0
        return {
            "day": {},
            "details": {
                "ticker": f"O:{quote.occ}",
                "contract_type": "call" if quote.cp_flag == "C" else "put",
                "exercise_style": "american",
                "expiration_date": quote.expiry.isoformat(),
                "strike_price": quote.strike,
                "shares_per_contract": 100,
            },
            "greeks": {},
            "last_quote": {
                "bid": bid,
                "bid_size": quote.bid_size or 0,
                "bid_exchange": 316,
                "ask": ask,
                "ask_size": quote.ask_size or 0,
                "ask_exchange": 302,
                "midpoint": (bid + ask) / 2,
                "last_updated": quoted,
                "timeframe": "REAL-TIME",
            },
            "underlying_asset": {"ticker": quote.underlier, "timeframe": "REAL-TIME"},
        }

    def _check_age(self, day: date) -> None:
        today = self._book.clock.date()
        if self._terms.is_free and (today - day).days > _FREE_YEARS * 365 + 1:
            raise not_authorized(_TOO_OLD)


def _bar(bars: Bars, row: int, stamp: int) -> dict[str, Any]:
    """A bar; trades and vwap are made up from what the market has."""
    prices = {name: float(bars.columns[name][row]) for name in ("open", "high", "low", "close")}
    volume = int(bars.columns["volume"][row])
    return {
        "v": volume,
        "vw": (prices["high"] + prices["low"] + prices["close"]) / 3,
        "o": prices["open"],
        "c": prices["close"],
        "h": prices["high"],
        "l": prices["low"],
        "t": stamp,
        "n": max(1, volume // 100),
    }


def _counted(rows: Rows, head: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of aggregates; without rows there is no ``results``."""
    count = len(rows)
    envelope = {
        **head,
        "queryCount": count,
        "resultsCount": count,
        "status": "OK",
        "request_id": "0",
    }
    return {**envelope, "count": count, "results": rows} if rows else envelope


def _shuffled(rows: Rows, fault: str | None) -> Rows:
    return rows[::-1] if fault == "shuffle" else rows


def _strange(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a ticker that was not asked."""
    if "underlying_asset" in row:
        return {**row, "underlying_asset": {"ticker": "ZZQWRONG"}}
    return {**row, "ticker": "ZZQWRONG"}


def _check_raw(query: Query) -> None:
    if query.get("adjusted", "true") != "false":
        raise refusal("the replay serves adjusted=false only")


def _parts(window: str) -> tuple[str, str, str, str]:
    parts = window.split("/")
    if len(parts) != 4:
        raise refusal("page not found", 404)
    return parts[0], parts[1], parts[2], parts[3]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise refusal("Could not parse the time parameter: 'date'. Use YYYY-MM-DD") from error


def _moment(text: str, time_of_day: time, name: str) -> datetime:
    """A bound of a window: milliseconds, or a New York day."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    try:
        return datetime.combine(date.fromisoformat(text), time_of_day, NEW_YORK)
    except ValueError as error:
        raise refusal(
            f"Could not parse the time parameter: '{name}'. Use YYYY-MM-DD, RFC3339, or epoch "
            "milliseconds"
        ) from error


def _limit(query: Query, default: int, most: int) -> int:
    text = query.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise refusal(f"'limit' must be between 1 and {most}")
    return int(text)


def _offset(query: Query) -> int:
    """Where a page begins; only cursors say so."""
    return int(query.get("_offset", "0"))


def _cursor(query: Query, offset: int) -> str:
    """The whole request and where to go on, so that no other parameter has to be sent."""
    kept = {name: value for name, value in query.items() if name != "apiKey"}
    return base64.urlsafe_b64encode(urlencode({**kept, "_offset": offset}).encode()).decode()


def _continued(cursor: str) -> Query:
    try:
        query = dict(parse_qsl(base64.urlsafe_b64decode(cursor).decode()))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refusal("'cursor' is not valid") from error
    if not query.get("_offset", "").isdigit():
        raise refusal("'cursor' is not valid")
    return query


WIRE = MassiveWire
