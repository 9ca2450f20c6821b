"""The market in Binance's wire format: daily klines, exchangeInfo, server time."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from simulator.replay.protocol import IssuedPages, Query, Refusal, Reply, Request, Terms, json_reply
from trademl.symbology import split_pair

DAY_MS = 86_400_000
_SYMBOL = re.compile(r"[A-Z0-9_.\-]{1,20}")
_WEIGHTS = {"/api/v3/klines": 2, "/api/v3/exchangeInfo": 20, "/api/v3/time": 1}
_WARNINGS = 3
_RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you "
    "received this message in error."
)


def refusal(code: int, text: str) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"code": code, "msg": text}, 400))


class BinanceWire:
    """Answers Binance's requests; no key is asked for.

    Args:
        terms: The book and the minute.
    """

    name = "binance"

    def __init__(self, terms: Terms) -> None:
        self._book, self._minute = terms.book, terms.minute
        self._now = int(terms.book.clock.timestamp() * 1000)
        self._known = frozenset(terms.book.crypto.symbols)
        self._issued = IssuedPages()

    def owns(self, path: str) -> bool:
        """Whether a path is Binance's."""
        return path in _WEIGHTS

    def check(self, request: Request) -> None:
        """Market data are for everybody."""

    def cost(self, request: Request) -> int:
        """The weight of a call."""
        return _WEIGHTS[request.path]

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The weight that was used this minute."""
        return {"X-MBX-USED-WEIGHT-1M": str(self._minute.used)}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:
        """429, and 418 for those who do not listen."""
        if self._minute.violations > _WARNINGS:
            text = "Way too much request weight used; IP banned until 1772500000000."
            status, seconds = 418, 120
        else:
            text = (
                "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
            )
            status = 429
        body = orjson.dumps({"code": -1003, "msg": text})
        return Reply(status, body, {**headers, "Retry-After": str(seconds)})

    def fail(self) -> Reply:
        """502."""
        return Reply(502, b'{"code":-1001,"msg":"Internal error."}')

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a request; ``shuffle`` turns the rows around."""
        path, query = request.path, request.query
        if fault == "451":
            return json_reply({"code": 0, "msg": _RESTRICTED}, 451)
        if path == "/api/v3/time":
            return json_reply({"serverTime": self._now})
        if path == "/api/v3/exchangeInfo":
            return json_reply(self._exchange_info(query))
        earlier = self._issued.find(query.get("symbol")) if fault == "duplicate_page" else None
        if earlier is not None:
            return earlier
        rows = self._klines(query)
        reply = json_reply(rows[::-1] if fault == "shuffle" else rows)
        self._issued.keep(query["symbol"], reply)
        return reply

    def _klines(self, query: Query) -> list[list[Any]]:
        symbol = self._symbol(query)
        if query.get("interval") != "1d":
            raise refusal(-1120, "Invalid interval.")
        limit = min(_integer(query, "limit", 500), 1000)
        start, end = _integer(query, "startTime", -1), _integer(query, "endTime", self._now)
        first = -(-start // DAY_MS) if start >= 0 else 0
        low, high = self._book.crypto.rows(symbol, first, end // DAY_MS)
        # From the oldest on where a start is given, else the most recent ones.
        picked = (low, min(high, low + limit)) if start >= 0 else (max(low, high - limit), high)
        return [self._kline(row) for row in range(*picked)]

    def _symbol(self, query: Query) -> str:
        symbol = query.get("symbol", "")
        if not symbol:
            raise refusal(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        if not _SYMBOL.fullmatch(symbol):
            legal = "^[A-Z0-9-_.]{1,20}$"
            text = f"Illegal characters found in parameter 'symbol'; legal range is '{legal}'."
            raise refusal(-1100, text)
        if symbol not in self._known:
            raise refusal(-1121, "Invalid symbol.")
        return symbol

    def _kline(self, row: int) -> list[Any]:
        """A kline; base volume, trades and taker volumes are made up from what the market has."""
        columns = self._book.crypto.columns
        prices = [float(columns[name][row]) for name in ("open", "high", "low", "close")]
        quote = float(columns["quote_volume"][row])
        # Not a number, where the market has no value, and null on the wire.
        base = quote / prices[3] if prices[3] else 0.0
        opened = int(self._book.crypto.days[row]) * DAY_MS
        return [
            opened,
            *map(_decimal, prices),
            _decimal(base),
            opened + DAY_MS - 1,
            _decimal(quote),
            max(1, int(base // 100)) if base and math.isfinite(base) else 0,
            _decimal(base / 2),
            _decimal(quote / 2),
            "0",
        ]

    def _exchange_info(self, query: Query) -> dict[str, Any]:
        symbols = [self._symbol(query)] if "symbol" in query else self._book.crypto.symbols
        return {
            "timezone": "UTC",
            "serverTime": self._now,
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": 6000,
                }
            ],
            "exchangeFilters": [],
            "symbols": [self._pair(symbol) for symbol in symbols],
        }

    def _pair(self, symbol: str) -> dict[str, Any]:
        """A pair; its steps are made up from the order of magnitude of its last price."""
        today = self._now // DAY_MS
        _, high = self._book.crypto.rows(symbol, 0, today)
        is_trading = int(self._book.crypto.days[high - 1]) >= today - 1
        price = float(self._book.crypto.columns["close"][high - 1])
        digits = math.floor(math.log10(price)) if price > 0 else 0
        base, quote = split_pair(symbol)
        return {
            "symbol": symbol,
            "status": "TRADING" if is_trading else "BREAK",
            "baseAsset": base,
            "baseAssetPrecision": 8,
            "quoteAsset": quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT"],
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": _filters(_power(digits - 4, -8, -2), _power(-digits - 1, -5, 0)),
            "permissions": [],
            "permissionSets": [["SPOT"]],
        }


def _filters(tick: str, step: str) -> list[dict[str, Any]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": "1000000.00000000",
            "tickSize": tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": step,
            "maxQty": "9000000.00000000",
            "stepSize": step,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "10.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ]


def _power(exponent: int, least: int, most: int) -> str:
    return f"{10.0 ** max(least, min(most, exponent)):.8f}"


def _decimal(value: float) -> str | None:
    """Eight decimals as the vendor writes them, more where the market's number has more."""
    if math.isnan(value):
        return None
    return np.format_float_positional(value, min_digits=8)


def _integer(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.lstrip("-").isdigit():
        raise refusal(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)


WIRE = BinanceWire
