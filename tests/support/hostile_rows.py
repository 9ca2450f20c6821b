"""Rows that no market has, drawn at random and added to a vendor's own answers on the wire."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from tests.support.odd_rows import DAY

Row = dict[str, Any]

NAMES = (
    *("NA", "NULL", "TRUE", "nan", "ÄÖÜ", "测试", "🚀", "A'B;--", "ODD A", "ODD", "ODD.B", "odd"),
    *("null", "X" * 300, "%", "#2", "ODD#2", "A|B", "\\", "\u202e"),
)
"""Tickers that nobody has; a listing and an action may also have none, or an empty one."""
PAIRS = ("ODDUSDT", "NAUSDT", "USDT", "0")
NUMBERS = (
    *(0, -1, 1, 10.5, 1e-300, 5e-324, -1e308, 1e308, 1.7e308, 2**53 + 1, 2**63, 2**70, -(2**80)),
    *(1e15, 1e-9, -0.0, None),
)
TEXTS = ("NaN", "Infinity", "-inf", "1e400", "", "cheap", "-1", "0", "1e308", "1e-320", None, "10")
MOMENTS = (
    *(f"{DAY}T05:00:00Z", "2021-12-30T05:00:00Z", "2021-12-25T05:00:00Z", "1899-12-29T05:00:00Z"),
    *("0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2100-01-04T05:00:00Z"),
    *("9999-12-31T23:59:59Z", None),
)
DAYS = (*(moment and moment[:10] for moment in MOMENTS), "2021-12-31")
MILLISECONDS = (*(1_640_736_000_000 + n * 86_400_000 for n in range(2)), 0, 1_230_768_000_000)
MILLISECONDS += (-62_135_596_800_000, -(2**62), None)
BAD_CLOSING = (0, -(2**62))


@dataclass(frozen=True, slots=True)
class Hostile:
    """Rows by what they are.

    Attributes:
        bars: Daily bars of Alpaca, by ticker.
        actions: Corporate actions of Alpaca, by group.
        assets: Assets of Alpaca.
        klines: Daily klines of Binance, by pair.
        pairs: Pairs of Binance's exchange information.
    """

    bars: Mapping[str, Sequence[Row]]
    actions: Mapping[str, Sequence[Row]]
    assets: Sequence[Row]
    klines: Mapping[str, Sequence[Sequence[Any]]]
    pairs: Sequence[Row]

    def count(self) -> int:
        """All rows."""
        by_name = (*self.bars.values(), *self.actions.values(), *self.klines.values())
        return len(self.assets) + len(self.pairs) + sum(map(len, by_name))


def hostile_rows(seed: int, touched: Sequence[str], asset_ids: Sequence[str]) -> Hostile:
    """Five hundred rows of names that nobody has and of some that are real.

    Args:
        seed: Of the random numbers.
        touched: Real tickers that rows may be of.
        asset_ids: Ids of real assets, which strange tickers are listed under.
    """
    draw = _Draw(seed)
    names = (*NAMES, *touched)
    bars: dict[str, list[Row]] = {name: [draw.bar()] for name in names}
    while sum(map(len, bars.values())) < 200:
        bars[draw.one(names)].append(draw.bar())
    klines: dict[str, list[list[Any]]] = {
        name: [draw.kline(is_over=True)] for name in (*PAIRS, touched[0])
    }
    while sum(map(len, klines.values())) < 60:
        klines[draw.one(list(klines))].append(draw.kline())
    actions: dict[str, list[Row]] = {}
    for _ in range(150):
        group, row = draw.action((*names, "", None))
        actions.setdefault(group, []).append(row)
    assets = [draw.asset((*names, "", None), asset_ids) for _ in range(60)]
    pairs = [draw.pair((*PAIRS, "", None)) for _ in range(30)]
    return Hostile(bars, actions, assets, klines, pairs)


class _Draw:
    """Draws rows; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def one(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._random.integers(len(choices)))]

    def bar(self) -> Row:
        usual = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.0, "v": 100, "n": 1, "vw": 10.0}
        return {"t": self.one(MOMENTS), **self._some_odd(usual, NUMBERS)}

    def action(self, names: Sequence[str | None]) -> tuple[str, Row]:
        group = self.one(
            (
                *("forward_splits", "reverse_splits", "cash_dividends", "stock_dividends"),
                *("name_changes", "worthless_removals", "unit_splits", "spin_offs", "never_seen"),
            )
        )
        figures = {"old_rate": 1.0, "new_rate": 1.0, "rate": 1.0, "cash_rate": 1.0}
        parties = {"symbol": self.one(names)}
        if group == "name_changes":
            parties = {"old_symbol": self.one(names), "new_symbol": self.one(names)}
        days = {name: self.one(DAYS) for name in ("ex_date", "process_date", "record_date")}
        # Few ids: one action is told in many ways, in one answer.
        identity = self.one((None, "", *map(str, range(40))))
        flags = {"special": self.one((True, False, None))}
        return group, {
            "id": identity,
            **parties,
            **{name: self.one(NUMBERS) for name in figures},
            **days,
            **flags,
        }

    def asset(self, names: Sequence[str | None], ids: Sequence[str]) -> Row:
        return {
            "id": self.one((None, "", "1", "2", *ids)),
            "class": self.one(("us_equity", "crypto", "", None)),
            "exchange": self.one(("NYSE", "OTC", "", None, "ÄÖÜ")),
            "symbol": self.one(names),
            "name": self.one(("", None, "NULL", "🚀")),
            "status": self.one(("active", "inactive", "", None)),
            "tradable": self.one((True, False, None)),
        }

    def kline(self, *, is_over: bool = False) -> list[Any]:
        opened = self.one(MILLISECONDS[:2] if is_over else MILLISECONDS)
        closed = MILLISECONDS[0] if is_over else self.one((MILLISECONDS[0], *BAD_CLOSING))
        prices = self._some_odd(
            dict(zip("ohlcv", ("10", "11", "9", "10", "5"), strict=True)), TEXTS
        )
        trades = self.one((1, 0, -1, 2**63, 2**70, None))
        quote = self.one(TEXTS)
        return [opened, *prices.values(), closed, quote, trades, self.one(TEXTS), "1", "0"]

    def pair(self, names: Sequence[str | None]) -> Row:
        steps = {"PRICE_FILTER": "tickSize", "LOT_SIZE": "stepSize", "NOTIONAL": "minNotional"}
        return {
            "symbol": self.one(names),
            "status": self.one(("TRADING", "BREAK", "", None)),
            "baseAsset": self.one(("ODD", "", None)),
            "quoteAsset": self.one(("USDT", "", None)),
            "filters": [{"filterType": kind, key: self.one(TEXTS)} for kind, key in steps.items()],
        }

    def _some_odd(self, usual: Mapping[str, Any], odd: Sequence[Any]) -> Row:
        """A usual row with one value, or none, or all of them odd."""
        share = self.one((0.0, 0.2, 1.0))
        return {
            name: self.one(odd) if self._random.random() < share else value
            for name, value in usual.items()
        }


class Adding(httpx.BaseTransport):
    """Asks the replay and adds hostile rows to the first page of what it answers."""

    def __init__(self, hostile: Hostile) -> None:
        self._hostile, self._replay = hostile, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The replay's answer, and more."""
        path, query = request.url.path, request.url.params
        if path == "/api/v3/klines":
            return httpx.Response(200, json=self._hostile.klines[query["symbol"]])
        answer = self._replay.handle_request(request)
        body = json.loads(answer.read())
        answer.close()
        if answer.status_code == 200 and "page_token" not in query:
            self._add(path, query, body)
        return httpx.Response(answer.status_code, json=body)

    def close(self) -> None:
        """Ends the connections to the replay."""
        self._replay.close()

    def _add(self, path: str, query: httpx.QueryParams, body: Any) -> None:
        if path == "/v2/stocks/bars":
            for name, rows in self._hostile.bars.items():
                body["bars"].setdefault(name, []).extend(rows)
        elif path == "/v1/corporate-actions":
            for group, rows in self._hostile.actions.items():
                body["corporate_actions"].setdefault(group, []).extend(rows)
        elif path == "/v2/assets" and query["status"] == "active":
            body.extend(self._hostile.assets)
        elif path == "/api/v3/exchangeInfo":
            body["symbols"].extend(self._hostile.pairs)
