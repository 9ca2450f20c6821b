"""The market in Alpha Vantage's wire format: every answer has status 200, refusals too."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from functools import cached_property
from typing import Any

import numpy as np

from simulator.replay.book import NEW_YORK, day_number, day_of
from simulator.replay.market_files import day_or_none, market_rows, new_york_day
from simulator.replay.protocol import Query, Refusal, Reply, Request, Terms, json_reply
from trademl.symbology import from_vendor, to_vendor

CALLS_A_DAY = 25
COMPACT_ROWS = 100
_CLASS_MARK = "-"
"""Before a share class: ``BRK-B``."""
_FIRST_LIST = date(2010, 1, 1)
_CHAINS_READY = time(16, 15)
_HEADER = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
_NO_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
_INVALID = (
    "Invalid API call. Please retry or visit the documentation "
    "(https://www.alphavantage.co/documentation/) for {}."
)
_BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
    "sparingly (1 request per second)."
)
_DAILY = (
    "We have detected your API key as {} and our standard API rate limit is 25 requests per day. "
    "Please subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
    "instantly remove all daily rate limits."
)
_PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of "
    "the premium plans at https://www.alphavantage.co/premium/ to instantly unlock all endpoints"
)
_FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature "
    "for the TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans."
)


class AlphaVantageWire:
    """Answers Alpha Vantage's requests.

    Args:
        terms: The free plan allows 25 calls, the last 100 sessions and no option chains.
    """

    name = "alphavantage"

    def __init__(self, terms: Terms) -> None:
        self._terms, self._book = terms, terms.book
        self._calls = 0
        self._today = new_york_day(terms.book.clock)

    def owns(self, path: str) -> bool:
        """Whether a path is Alpha Vantage's, which has one only."""
        return path == "/query"

    def check(self, request: Request) -> None:
        """The key comes in the query."""
        if not self._terms.accepts(self.name, request.query.get("apikey", "")):
            raise Refusal(json_reply({"Error Message": _NO_KEY}))

    def cost(self, request: Request) -> int:  # noqa: ARG002
        """Every call counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor states no limits."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """A notice with status 200."""
        return json_reply({"Information": _BURST})

    def fail(self) -> Reply:
        """503 with a page."""
        page = b"<html><body>503 Service Temporarily Unavailable</body></html>"
        return Reply(503, page, content_type="text/html")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a function; ``wrong_symbol`` and ``shuffle`` change what is said."""
        query = request.query
        self._calls += 1
        if self._terms.is_free and self._calls > CALLS_A_DAY:
            return json_reply({"Information": _DAILY.format(query["apikey"])})
        name = query.get("function", "")
        functions: dict[str, Callable[[Query, str | None], Reply]] = {
            "TIME_SERIES_DAILY": self._daily,
            "LISTING_STATUS": self._listing_status,
            "SPLITS": self._splits,
            "DIVIDENDS": self._dividends,
            "EARNINGS": self._earnings,
            "HISTORICAL_OPTIONS": self._options,
        }
        if name not in functions:
            return json_reply({"Error Message": f"This API function ({name}) does not exist."})
        return functions[name](query, fault)

    def _daily(self, query: Query, fault: str | None) -> Reply:
        symbol, size = query.get("symbol", ""), query.get("outputsize", "compact")
        if size == "full" and self._terms.is_free:
            return json_reply({"Information": _FULL})
        bars = self._book.equities
        low, high = bars.rows(from_vendor(symbol, _CLASS_MARK), 0, day_number(self._today))
        rows = bars.complete(low, high)
        if not rows:
            return json_reply({"Error Message": _INVALID.format("TIME_SERIES_DAILY")})
        newest_first = rows[::-1] if size == "full" else rows[: -COMPACT_ROWS - 1 : -1]
        days = {day_of(int(bars.days[row])).isoformat(): row for row in newest_first}
        series = {day: self._bar(row) for day, row in days.items()}
        if fault == "shuffle":
            series = dict(reversed(series.items()))
        return json_reply(
            {
                "Meta Data": {
                    "1. Information": "Daily Prices (open, high, low, close) and Volumes",
                    "2. Symbol": f"{symbol}X" if fault == "wrong_symbol" else symbol,
                    "3. Last Refreshed": next(iter(days)),
                    "4. Output Size": "Full size" if size == "full" else "Compact",
                    "5. Time Zone": "US/Eastern",
                },
                "Time Series (Daily)": series,
            }
        )

    def _bar(self, row: int) -> dict[str, str]:
        columns = self._book.equities.columns
        names = ("open", "high", "low", "close")
        prices = {f"{n}. {name}": _price(columns[name][row]) for n, name in enumerate(names, 1)}
        return {**prices, "5. volume": str(int(columns["volume"][row]))}

    def _listing_status(self, query: Query, fault: str | None) -> Reply:
        day = day_or_none(query["date"]) if "date" in query else self._today
        state = query.get("state", "active")
        if day is None or day < _FIRST_LIST or state not in ("active", "delisted"):
            return json_reply({})
        rows = sorted(self._listed(min(day, self._today), state))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_HEADER)
        writer.writerows(reversed(rows) if fault == "shuffle" else rows)
        return Reply(200, text.getvalue().encode(), content_type="application/x-download")

    def _listed(self, day: date, state: str) -> Iterator[tuple[str, ...]]:
        """The newest recorded list by a day, else what the listings of the market give."""
        recorded = self._recorded.get(state, {})
        newest = max((as_of for as_of in recorded if as_of <= str(day)), default=None)
        if newest is not None:
            yield from (_listed_line(row, row["delisting_date"], state) for row in recorded[newest])
            return
        for row in self._book.listings.values():
            first = row.get("first_bar_date") or row.get("ipo_date") or date.min
            last = row.get("last_bar_date")
            is_gone = last is not None and last < day
            if first <= day and is_gone == (state == "delisted"):
                yield _listed_line(row, last if is_gone else None, state)

    @cached_property
    def _recorded(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Recorded lists by state and day."""
        by_state: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in market_rows(self._terms.market, "listing_status_vintages"):
            lists = by_state.setdefault(row["status"].lower(), {})
            lists.setdefault(str(row["as_of"]), []).append(row)
        return by_state

    def _splits(self, query: Query, fault: str | None) -> Reply:
        data = [
            {"effective_date": row["ex_date"].isoformat(), "split_factor": _price(row["ratio"])}
            for row in self._book.splits
            if row["symbol"] == from_vendor(query.get("symbol", ""), _CLASS_MARK)
        ]
        return _of_symbol(query, data, fault)

    def _dividends(self, query: Query, fault: str | None) -> Reply:
        data = [
            {
                "ex_dividend_date": row["ex_date"].isoformat(),
                "declaration_date": "None",
                "record_date": "None",
                "payment_date": "None",
                "amount": _text(row["cash"]),
            }
            for row in self._book.dividends
            if row["symbol"] == from_vendor(query.get("symbol", ""), _CLASS_MARK)
        ]
        return _of_symbol(query, data, fault)

    def _earnings(self, query: Query, _fault: str | None) -> Reply:
        """Days of announcement; the market knows no figures."""
        symbol = query.get("symbol", "")
        days = [
            row["earnings_date"]
            for row in market_rows(self._terms.market, "earnings_dates")
            if row["symbol"] == from_vendor(symbol, _CLASS_MARK)
            and row["earnings_date"] < self._today
        ]
        if not days:
            return json_reply({})
        reports = [
            {
                "fiscalDateEnding": _quarter_end_before(day).isoformat(),
                "reportedDate": day.isoformat(),
                "reportedEPS": "None",
                "estimatedEPS": "None",
                "surprise": "None",
                "surprisePercentage": "None",
                "reportTime": "post-market",
            }
            for day in sorted(days, reverse=True)
        ]
        return json_reply({"symbol": symbol, "annualEarnings": [], "quarterlyEarnings": reports})

    def _options(self, query: Query, fault: str | None) -> Reply:
        if self._terms.is_free:
            return json_reply({"Information": _PREMIUM})
        symbol, day = query.get("symbol", ""), day_or_none(query.get("date")) or self._today
        published = datetime.combine(day, _CHAINS_READY, NEW_YORK) <= self._book.clock
        quotes = self._chains.get((from_vendor(symbol, _CLASS_MARK), day), []) if published else []
        data = [_contract(row, day) for row in quotes]
        if fault == "wrong_symbol":
            data = [{**row, "symbol": f"{symbol}X"} for row in data]
        message = "success" if data else f"No data for symbol {symbol} on date {day}"
        return json_reply({"endpoint": "Historical Options", "message": message, "data": data})

    @cached_property
    def _chains(self) -> dict[tuple[str, date], list[dict[str, Any]]]:
        """Quotes by underlying and day; of several in a day the last one."""
        rows = sorted(market_rows(self._terms.market, "options_quotes"), key=lambda row: row["ts"])
        last = {
            (row["underlier"], row["ts"].date(), row["expiry"], row["strike"], row["cp_flag"]): row
            for row in rows
        }
        chains: dict[tuple[str, date], list[dict[str, Any]]] = {}
        for (symbol, day, *_), row in last.items():
            chains.setdefault((symbol, day), []).append(row)
        return chains


def _of_symbol(query: Query, data: list[dict[str, str]], fault: str | None) -> Reply:
    """Newest first, as the vendor has them."""
    symbol = query.get("symbol", "")
    reply_symbol = f"{symbol}X" if fault == "wrong_symbol" else symbol
    return json_reply({"symbol": reply_symbol, "data": data if fault == "shuffle" else data[::-1]})


def _listed_line(row: Mapping[str, Any], delisted_on: date | None, state: str) -> tuple[str, ...]:
    is_fund = str(row.get("asset_type") or "").lower() == "etf"
    return (
        to_vendor(row["symbol"], _CLASS_MARK),
        row.get("name") or "",
        row.get("exchange") or "",
        "ETF" if is_fund else "Stock",
        str(row["ipo_date"]) if row.get("ipo_date") else "null",
        str(delisted_on) if delisted_on else "null",
        state.title(),
    )


def _contract(row: Mapping[str, Any], day: date) -> dict[str, str]:
    """A contract; what the market has no figure for is zero, as the vendor writes it."""
    side, strike = row["cp_flag"], row["strike"]
    bid, ask = row["bid"] or 0.0, row["ask"] or 0.0
    code = f"{row['underlier']}{row['expiry']:%y%m%d}{side}{round(strike * 1000):08d}"
    greeks = ("implied_volatility", "delta", "gamma", "theta", "vega", "rho")
    return {
        "contractID": code,
        "symbol": to_vendor(row["underlier"], _CLASS_MARK),
        "expiration": row["expiry"].isoformat(),
        "strike": _price(strike, 2),
        "type": "call" if side == "C" else "put",
        "last": "0.00",
        "mark": _price((bid + ask) / 2, 2),
        "bid": _price(bid, 2),
        "bid_size": str(int(row["bid_size"] or 0)),
        "ask": _price(ask, 2),
        "ask_size": str(int(row["ask_size"] or 0)),
        "volume": "0",
        "open_interest": "0",
        "date": day.isoformat(),
        **dict.fromkeys(greeks, "0.00000"),
    }


def _price(value: float, digits: int = 4) -> str:
    """As many decimals as the vendor writes, more where the market's number has more."""
    return np.format_float_positional(value, min_digits=digits)


def _text(value: float) -> str:
    return np.format_float_positional(value, trim="0")


def _quarter_end_before(day: date) -> date:
    first = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    return date.fromordinal(first.toordinal() - 1)


WIRE = AlphaVantageWire
