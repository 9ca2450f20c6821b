"""The market in Finnhub's wire format: split-adjusted candles, option chains, earnings dates."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import groupby
from typing import Any

from simulator.replay.book import day_number, day_of, rows_of
from simulator.replay.options import Quote, open_options
from simulator.replay.protocol import Query, Refusal, Reply, Request, Terms, json_reply

_CANDLE, _CHAIN = "/api/v1/stock/candle", "/api/v1/stock/option-chain"
_EARNINGS = "/api/v1/calendar/earnings"
_CALENDAR_ROWS = 1500
_TOO_FAST = "API limit reached. Please try again later. Remaining Limit: 0"
_SIDES = {"C": "CALL", "P": "PUT"}


def refusal(message: str, status: int) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"error": message}, status))


class FinnhubWire:
    """Answers Finnhub's requests.

    Args:
        terms: The book, the accepted key, the plan: the free one has no candles.
    """

    name = "finnhub"

    def __init__(self, terms: Terms) -> None:
        self._terms, self._book = terms, terms.book

    def owns(self, path: str) -> bool:
        """Whether a path is Finnhub's."""
        return path in (_CANDLE, _CHAIN, _EARNINGS)

    def check(self, request: Request) -> None:
        """Raises the vendor's refusal when the key is missing or wrong."""
        key = request.headers.get("x-finnhub-token") or request.query.get("token", "")
        if not key:
            raise refusal("Please use an API key.", 401)
        if not self._terms.accepts(self.name, key):
            raise refusal("Invalid API key", 401)

    def cost(self, request: Request) -> int:  # noqa: ARG002 - other vendors weigh requests
        """Every request counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:
        """The limit, what is left of it and when it begins anew."""
        limits = self._terms.minute.headers(now, seconds)
        return {name.replace("RateLimit", "Ratelimit"): value for name, value in limits.items()}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """429; when to come back is in the headers."""
        return Reply(429, json_reply({"error": _TOO_FAST}).body, headers)

    def fail(self) -> Reply:
        """502, as the network in front of the vendor words it."""
        return Reply(502, b"<html><body>502 Bad Gateway</body></html>", content_type="text/html")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a request; some faults change what is in the body."""
        if request.path == _CANDLE:
            return json_reply(self._candles(request.query))
        if request.path == _EARNINGS:
            return json_reply({"earningsCalendar": self._earnings(request.query, fault)})
        return json_reply(self._chain(request.query, fault))

    def _candles(self, query: Query) -> dict[str, Any]:
        if self._terms.is_free:
            raise refusal("You don't have access to this resource.", 403)
        symbol = query.get("symbol", "")
        if query.get("resolution") != "D":
            raise refusal("the replay serves resolution D only", 422)
        first, last = -(-_seconds(query, "from") // 86_400), _seconds(query, "to") // 86_400
        low, high = self._book.equities.rows(symbol, first, last)
        bars = self._book.equities
        rows = bars.complete(low, high)
        if not rows:
            return {"s": "no_data"}
        days = [int(bars.days[row]) for row in rows]
        factors = [self._factor(symbol, day_of(day)) for day in days]

        def adjusted(name: str) -> list[float]:
            values = bars.columns[name]
            return [float(values[row]) / factor for row, factor in zip(rows, factors, strict=True)]

        volumes = zip(rows, factors, strict=True)
        return {
            "o": adjusted("open"),
            "h": adjusted("high"),
            "l": adjusted("low"),
            "c": adjusted("close"),
            "v": [int(bars.columns["volume"][row]) * factor for row, factor in volumes],
            "t": [day * 86_400 for day in days],
            "s": "ok",
        }

    def _factor(self, symbol: str, day: date) -> float:
        """New shares per share of a day, over the splits that are known and came later."""
        factor = 1.0
        for ex_date, ratio in self._splits.get(symbol, []):
            factor *= ratio if ex_date > day else 1.0
        return factor

    @cached_property
    def _splits(self) -> dict[str, list[tuple[date, float]]]:
        """Splits whose day has come: one that is only announced changes no bar yet."""
        today = self._book.clock.date()
        splits: dict[str, list[tuple[date, float]]] = {}
        for row in self._book.splits:
            if row["ex_date"] <= today:
                splits.setdefault(row["symbol"], []).append((row["ex_date"], row["ratio"]))
        return splits

    def _chain(self, query: Query, fault: str | None) -> dict[str, Any]:
        symbol = query.get("symbol", "")
        quotes = self._chains.get(symbol, [])
        if not quotes:
            return {"data": []}
        by_expiry = groupby(quotes, key=lambda quote: quote.expiry)
        return {
            "code": "ZZQWRONG" if fault == "wrong_symbol" else symbol,
            "exchange": "US",
            "lastTradeDate": quotes[0].quoted_at.date().isoformat(),
            "data": [_expiration(day, list(chain)) for day, chain in by_expiry],
        }

    @cached_property
    def _chains(self) -> dict[str, list[Quote]]:
        return open_options(self._terms.market, self._book.clock)

    def _earnings(self, query: Query, fault: str | None) -> list[dict[str, Any]]:
        """Of more rows than an answer holds the latest, without a word."""
        first, last = query.get("from", ""), query.get("to", "9999")
        symbol = query.get("symbol")
        rows = [
            row
            for row in self._calendar
            if first <= row["date"] <= last and symbol in (None, row["symbol"])
        ][-_CALENDAR_ROWS:]
        if fault == "wrong_symbol":
            rows = [{**row, "symbol": "ZZQWRONG"} for row in rows]
        return rows[::-1] if fault == "shuffle" else rows

    @cached_property
    def _calendar(self) -> list[dict[str, Any]]:
        """The dates that were announced by the clock; the market has no figures."""
        announcements = rows_of(self._terms.market / "earnings_dates.parquet")
        rows = [
            {
                "date": row["earnings_date"].isoformat(),
                "epsActual": None,
                "epsEstimate": None,
                "hour": "",
                "quarter": (row["earnings_date"].month - 1) // 3 + 1,
                "revenueActual": None,
                "revenueEstimate": None,
                "symbol": row["symbol"],
                "year": row["earnings_date"].year,
            }
            for row in announcements
            if row["announced_at"] <= self._book.clock
        ]
        return sorted(rows, key=lambda row: (row["date"], row["symbol"]))


def _expiration(expiry: date, quotes: list[Quote]) -> dict[str, Any]:
    sides: dict[str, list[dict[str, Any]]] = {"CALL": [], "PUT": []}
    for quote in quotes:
        sides[_SIDES[quote.cp_flag]].append(_contract(quote))
    return {
        "expirationDate": expiry.isoformat(),
        "optionsCount": len(quotes),
        "options": sides,
    }


def _contract(quote: Quote) -> dict[str, Any]:
    """A contract without trades and greeks: the market has quotes only."""
    known = datetime.combine(quote.quoted_at.date(), time(23), UTC)
    return {
        "contractName": quote.occ,
        "contractSize": "REGULAR",
        "currency": "USD",
        "type": _SIDES[quote.cp_flag],
        "expirationDate": quote.expiry.isoformat(),
        "strike": quote.strike,
        "lastPrice": None,
        "bid": quote.bid or 0,
        "ask": quote.ask or 0,
        "updatedAt": f"{known:%Y-%m-%d %H:%M:%S}",
        "daysBeforeExpiration": (day_number(quote.expiry) - day_number(quote.quoted_at.date())),
    }


def _seconds(query: Query, name: str) -> int:
    text = query.get(name, "")
    if not text.isdigit():
        raise refusal(f"Wrong value of the argument {name}", 422)
    return int(text)


WIRE = FinnhubWire
