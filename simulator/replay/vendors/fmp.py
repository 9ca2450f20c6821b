"""The market in FMP's wire format: delisted companies, raw prices, calendars."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from simulator.replay.book import day_number, day_of
from simulator.replay.market_files import day_or_none, market_rows, new_york_day
from simulator.replay.protocol import IssuedPages, Query, Refusal, Reply, Request, Terms, json_reply
from simulator.replay.vendors.fmp_statements import received, statements
from trademl.symbology import from_vendor, to_vendor

CALLS_A_DAY = 250
PRICES_CAP = 5_000
CALENDAR_CAP = 4_000
CALENDAR_DAYS = 90
DELISTED_PER_PAGE = 100
FREE_SYMBOLS = frozenset({"AAPL", "MSFT", "TSLA", "AMZN", "GOOGL"})
_CLASS_MARK = "-"
"""Before a share class: ``BRK-B``."""
_USUAL_HISTORY = timedelta(days=5 * 365)
_ROOT = "/stable/"
_NO_KEY = (
    "Invalid API KEY. Feel free to create a Free API Key or visit "
    "https://site.financialmodelingprep.com/faqs?search=why-is-my-api-key-invalid for more "
    "information."
)
_LIMIT = (
    "Limit Reach . Please upgrade your plan or visit our documentation for more details at "
    "https://site.financialmodelingprep.com/"
)
_PLAN = (
    "Premium Query Parameter: 'Special Endpoint : This value set for '{}' is not available under "
    "your current subscription please visit our subscription page to upgrade your plan."
)

Rows = list[dict[str, Any]]


class FmpWire:
    """Answers FMP's requests.

    Args:
        terms: The free plan allows 250 calls, a few symbols and the first page.
    """

    name = "fmp"

    def __init__(self, terms: Terms) -> None:
        self._terms, self._book = terms, terms.book
        self._today = new_york_day(terms.book.clock)
        self._calls = 0
        self._issued = IssuedPages()
        self._answers: dict[str, Callable[[Query], Rows]] = {
            "delisted-companies": self._delisted,
            "income-statement": lambda query: self._statements("income", query),
            "balance-sheet-statement": lambda query: self._statements("balance", query),
            "cash-flow-statement": lambda query: self._statements("cash_flow", query),
            "historical-price-eod/non-split-adjusted": self._prices,
            "earnings-calendar": lambda query: self._calendar(self._earnings, query),
            "dividends-calendar": lambda query: self._calendar(self._dividends, query),
            "splits-calendar": self._splits_calendar,
            "earnings": lambda query: self._of_symbol(self._earnings, query),
            "dividends": lambda query: self._of_symbol(self._dividends, query),
            "splits": lambda query: self._of_symbol(self._splits, query),
        }

    def owns(self, path: str) -> bool:
        """Whether a path is FMP's."""
        return path.startswith(_ROOT)

    def check(self, request: Request) -> None:
        """The key comes in a header or in the query."""
        key = request.headers.get("apikey") or request.query.get("apikey", "")
        if not self._terms.accepts(self.name, key):
            raise Refusal(json_reply({"Error Message": _NO_KEY}, 401))

    def cost(self, request: Request) -> int:  # noqa: ARG002
        """Every call counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor states no limits."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """429 most of the time; the same words come with 200 too."""
        return json_reply({"Error Message": _LIMIT}, 429 if self._calls % 2 else 200)

    def fail(self) -> Reply:
        """502 with a page."""
        return Reply(502, b"<html>502 Bad Gateway</html>", content_type="text/html")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a path; ``wrong_symbol``, ``shuffle``, ``duplicate_page`` change what is said."""
        self._calls += 1
        path, query = request.path.removeprefix(_ROOT), request.query
        if path not in self._answers:
            return json_reply([], 404)
        self._refuse_beyond_plan(query)
        if fault == "duplicate_page" and (earlier := self._issued.find(path)) is not None:
            return earlier
        rows = [_spelled(row) for row in self._answers[path](query)]
        if fault == "shuffle":
            rows.reverse()
        if fault == "wrong_symbol":
            rows = [{**row, "symbol": f"{row['symbol']}X"} for row in rows]
        reply = json_reply(rows)
        self._issued.keep(path, reply)
        return reply

    def _refuse_beyond_plan(self, query: Query) -> None:
        if not self._terms.is_free:
            return
        if self._calls > CALLS_A_DAY:
            raise Refusal(json_reply({"Error Message": _LIMIT}, 429))
        if query.get("symbol", "AAPL") not in FREE_SYMBOLS:
            raise _text_refusal(402, _PLAN.format("symbol"))
        if query.get("page", "0") != "0":
            raise _text_refusal(402, _PLAN.format("page"))

    def _delisted(self, query: Query) -> Rows:
        delisted = [
            {
                "symbol": row["symbol"],
                "companyName": row.get("name") or "",
                "exchange": row.get("exchange") or "",
                "ipoDate": str(row["ipo_date"]) if row.get("ipo_date") else "",
                "delistedDate": str(row["last_bar_date"]),
            }
            for row in self._book.listings.values()
            if row.get("last_bar_date") is not None and row["last_bar_date"] < self._today
        ]
        delisted.sort(key=lambda row: (row["delistedDate"], row["symbol"]), reverse=True)
        limit = min(_integer(query, "limit", DELISTED_PER_PAGE), DELISTED_PER_PAGE)
        first = _integer(query, "page", 0) * limit
        return delisted[first : first + limit]

    def _statements(self, kind: str, query: Query) -> Rows:
        known = statements(self._received, kind, _symbol(query), query.get("period", "annual"))
        return known[: _integer(query, "limit", 5)]

    @cached_property
    def _received(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        return received(self._terms.market, self._book.clock)

    def _prices(self, query: Query) -> Rows:
        """Newest first, the newest ones where there are too many."""
        symbol = _symbol(query)
        last = day_or_none(query.get("to")) or self._today
        first = day_or_none(query.get("from")) or last - _USUAL_HISTORY
        bars = self._book.equities
        low, high = bars.rows(symbol, day_number(first), day_number(min(last, self._today)))
        columns = bars.columns
        return [
            {
                "symbol": symbol,
                "date": day_of(int(bars.days[row])).isoformat(),
                "adjOpen": float(columns["open"][row]),
                "adjHigh": float(columns["high"][row]),
                "adjLow": float(columns["low"][row]),
                "adjClose": float(columns["close"][row]),
                "volume": float(columns["volume"][row]),
            }
            for row in bars.complete(low, high)[: -PRICES_CAP - 1 : -1]
        ]

    def _calendar(self, events: Rows, query: Query) -> Rows:
        """A window's events, the latest ones where there are too many; pages go on before them."""
        last = query.get("to", str(self._today))
        first = query.get("from", str(self._today - timedelta(days=30)))
        rows = [row for row in events if first <= row["date"] <= last]
        rows.sort(key=lambda row: row["date"], reverse=True)
        begin = _integer(query, "page", 0) * CALENDAR_CAP
        return rows[begin : begin + CALENDAR_CAP]

    def _splits_calendar(self, query: Query) -> Rows:
        """The window begins 90 days before its end, whatever is asked."""
        last = day_or_none(query.get("to")) or self._today
        earliest = str(last - timedelta(days=CALENDAR_DAYS))
        first = max(query.get("from", earliest), earliest)
        return self._calendar(self._splits, {"from": first, "to": str(last)})

    def _of_symbol(self, events: Rows, query: Query) -> Rows:
        symbol = _symbol(query)
        rows = [row for row in events if row["symbol"] == symbol]
        rows.sort(key=lambda row: row["date"], reverse=True)
        return rows[: _integer(query, "limit", len(rows))]

    @cached_property
    def _earnings(self) -> Rows:
        """Days that have been announced; the market knows no figures."""
        return [
            {
                "symbol": row["symbol"],
                "date": str(row["earnings_date"]),
                "epsActual": None,
                "epsEstimated": None,
                "revenueActual": None,
                "revenueEstimated": None,
                "lastUpdated": str(self._today),
            }
            for row in market_rows(self._terms.market, "earnings_dates")
            if row["earnings_date"] < self._today or self._is_announced(row)
        ]

    def _is_announced(self, row: Mapping[str, Any]) -> bool:
        announced = row.get("announced_at")
        return announced is not None and announced <= self._book.clock

    @cached_property
    def _dividends(self) -> Rows:
        """As paid, and divided by the splits after them."""
        splits: dict[str, list[dict[str, Any]]] = {}
        for split in self._book.splits:
            splits.setdefault(split["symbol"], []).append(split)
        return [
            {
                "symbol": row["symbol"],
                "date": str(row["ex_date"]),
                "recordDate": "",
                "paymentDate": "",
                "declarationDate": "",
                "adjDividend": row["cash"] / _ratio_after(splits.get(row["symbol"], []), row),
                "dividend": row["cash"],
                "yield": None,
                "frequency": "Quarterly",
            }
            for row in self._book.dividends
        ]

    @cached_property
    def _splits(self) -> Rows:
        ratios = [Fraction(row["ratio"]).limit_denominator(10_000) for row in self._book.splits]
        return [
            {
                "symbol": row["symbol"],
                "date": str(row["ex_date"]),
                "numerator": ratio.numerator,
                "denominator": ratio.denominator,
                "splitType": "stock-split",
            }
            for row, ratio in zip(self._book.splits, ratios, strict=True)
        ]


def _ratio_after(splits: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
    return float(math.prod(split["ratio"] for split in splits if split["ex_date"] > row["ex_date"]))


def _symbol(query: Query) -> str:
    if not query.get("symbol"):
        raise _text_refusal(400, "Query Error: Invalid or missing query parameter - symbol")
    symbol = query["symbol"]
    # BRK.B is unknown
    return "" if to_vendor(symbol, _CLASS_MARK) != symbol else from_vendor(symbol, _CLASS_MARK)


def _spelled(row: dict[str, Any]) -> dict[str, Any]:
    symbol = to_vendor(row["symbol"], _CLASS_MARK)
    return row if symbol == row["symbol"] else {**row, "symbol": symbol}


def _text_refusal(status: int, text: str) -> Refusal:
    return Refusal(Reply(status, text.encode(), content_type="text/plain"))


def _integer(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdigit():
        raise _text_refusal(400, f"Query Error: Invalid or missing query parameter - {name}")
    return int(text)


WIRE = FmpWire
