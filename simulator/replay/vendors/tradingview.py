"""The market in the wire format of TradingView's screener: scans of stocks and crypto pairs."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.replay.protocol import IssuedPages, Refusal, Reply, Request, Terms, json_reply
from simulator.replay.vendors.tradingview_filters import Condition, UnknownOperation, holds
from simulator.replay.vendors.tradingview_rows import COLUMNS, Row, crypto_rows, stock_rows

_PATH = re.compile(r"/([a-z]+)/scan")
_MARKETS = frozenset({"america", "crypto", "forex", "cfd", "futures", "bond", "coin", "global"})
_DEFAULT_RANGE = (0, 50)
_TIMEFRAME = re.compile(r"\|(1|5|15|30|60|120|240|1W|1M)$")
_DELAYED = "delayed_streaming_900"


class _Sort(msgspec.Struct):
    sortBy: str  # noqa: N815 - the vendor's names
    sortOrder: str = "asc"  # noqa: N815


class _Symbols(msgspec.Struct):
    tickers: list[str] = []


class _Question(msgspec.Struct):
    """What a request may hold; keys that change nothing here are passed over."""

    columns: list[str]
    filter: list[Condition] = []
    filter2: dict[str, Any] | None = None
    sort: _Sort | None = None
    range: tuple[int, int] = _DEFAULT_RANGE
    symbols: _Symbols = msgspec.field(default_factory=_Symbols)
    ignore_unknown_fields: bool = False


_QUESTION = msgspec.json.Decoder(_Question)


def refusal(text: str) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"totalCount": 0, "error": text, "data": None}, 400))


class TradingViewWire:
    """Answers scans; no key is asked for. Ratings and indicators are null: the market has none.

    Args:
        terms: The book, and whether the free plan is played, whose quotes are delayed.
    """

    name = "tradingview"

    def __init__(self, terms: Terms) -> None:
        self._book, self._is_delayed = terms.book, terms.is_free
        self._rows: dict[str, list[Row]] = {}
        self._issued = IssuedPages()
        self._refusals = 0

    def owns(self, path: str) -> bool:
        """Whether a path is a scan."""
        return _PATH.fullmatch(path) is not None

    def check(self, request: Request) -> None:
        """Scans are for everybody."""

    def cost(self, request: Request) -> int:  # noqa: ARG002 - every scan counts as one
        """A scan."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor states no limit."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """An empty body, in turn with status 429 and with 200."""
        self._refusals += 1
        return Reply(429 if self._refusals % 2 else 200, b"", content_type="text/plain")

    def fail(self) -> Reply:
        """502 from what stands before the host."""
        return Reply(502, b"<html>502 Bad Gateway</html>", content_type="text/html")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a scan.

        ``wrong_symbol`` puts one name's values beside another's, ``shuffle`` turns the rows of a
        page around, ``duplicate_page`` sends the page before once more.
        """
        market = request.path.split("/")[1]
        if market not in _MARKETS or request.method != "POST":
            raise Refusal(json_reply({"error": "Not Found"}, 404))
        question = _read(request.body)
        if fault == "duplicate_page" and (earlier := self._issued.find(request.path)):
            return earlier
        rows = _ordered(question, [row for row in self._known(market) if _wanted(question, row)])
        first, last = question.range
        page = [
            {"s": row["s"], "d": [row.get(name) for name in question.columns]}
            for row in rows[first:last]
        ]
        if fault == "wrong_symbol" and len(page) > 1:
            page[0]["d"], page[1]["d"] = page[1]["d"], page[0]["d"]
        if fault == "shuffle":
            page.reverse()
        reply = json_reply({"totalCount": len(rows), "data": page})
        self._issued.keep(request.path, reply)
        return reply

    def _known(self, market: str) -> list[Row]:
        """The rows of a market; the ones that the book does not cover are empty."""
        if market not in self._rows:
            rows = {"america": stock_rows, "crypto": crypto_rows}.get(market)
            known_rows = rows(self._book) if rows else []
            if self._is_delayed:
                known_rows = [{**row, "update_mode": _DELAYED} for row in known_rows]
            self._rows[market] = known_rows
        return self._rows[market]


def _read(body: bytes) -> _Question:
    try:
        question = _QUESTION.decode(body)
    except msgspec.DecodeError as error:
        raise refusal(str(error)) from error
    first, last = question.range
    if first < 0 or last < first:
        raise refusal(f"Invalid range [{first},{last}]")
    fields = [*question.columns, *(condition.left for condition in question.filter)]
    fields += [question.sort.sortBy] if question.sort else []
    for name in fields:
        if _plain(name) not in COLUMNS and not question.ignore_unknown_fields:
            raise refusal(f'Unknown field "{name}"')
    return question


def _plain(name: str) -> str:
    """A column without its timeframe; of other ones than the day nothing is known."""
    return _TIMEFRAME.sub("", name)


def _wanted(question: _Question, row: Row) -> bool:
    tickers = question.symbols.tickers
    if tickers and row["s"] not in tickers:
        return False
    try:
        return all(holds(condition, row) for condition in question.filter) and (
            question.filter2 is None or _holds_tree(question.filter2, row)
        )
    except UnknownOperation as error:
        raise refusal(f'Unknown operation "{error}"') from error
    except (TypeError, ValueError, KeyError) as error:
        raise refusal(f"Invalid filter: {error}") from error


def _holds_tree(node: Mapping[str, Any], row: Row) -> bool:
    """A tree of ``and`` and ``or`` over expressions."""
    if "expression" in node:
        return holds(msgspec.convert(node["expression"], Condition), row)
    inner = node.get("operation", node)
    parts = [_holds_tree(operand, row) for operand in inner["operands"]]
    return all(parts) if inner["operator"] == "and" else any(parts)


def _ordered(question: _Question, rows: list[Row]) -> list[Row]:
    """By the wanted column, nulls last, names in between ties."""
    rows = sorted(rows, key=lambda row: str(row["s"]))
    if question.sort is None:
        return rows
    name, is_falling = question.sort.sortBy, question.sort.sortOrder == "desc"
    known = [row for row in rows if row.get(name) is not None]
    unknown = [row for row in rows if row.get(name) is None]
    return sorted(known, key=lambda row: row[name], reverse=is_falling) + unknown


WIRE = TradingViewWire
