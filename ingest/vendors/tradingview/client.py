"""TradingView's screener: what a market looks like now, under filters (undocumented, no history).

The vendor publishes no contract and its terms restrict automated use: it is a source of candidates
and a check of reconstructed ratings, never the only source of anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, read_json, table_of
from ingest.transport.client import Answer, VendorClient, request_hash
from ingest.vendors.tradingview.schema import SCAN
from trademl.errors import RateLimited, Rejected, SchemaDrift, Unavailable

ROWS_PER_PAGE = 1_000
HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; trademl)",
    "Origin": "https://www.tradingview.com",
    "Referer": "https://www.tradingview.com/",
}
"""The host answers what looks like a browser; there is no key."""

WINDOW = 60.0
"""Seconds to leave the host alone after "too often"; it does not say how long."""

DAILY = "1D"
"""The timeframe of a column without a suffix."""

_ALWAYS = ("name", "update_mode")
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Scan:
    """A question to the screener.

    Attributes:
        market: The market in the path, e.g. ``america`` or ``crypto``.
        columns: What is told of each row; ``|240`` behind one asks for another timeframe.
        filters: Conditions that all hold, each ``left``, ``operation`` and mostly ``right``.
        sort_by: Column that orders the rows; a fixed order is what makes pages fit together.
        sort_order: ``asc`` or ``desc``; nulls come last.
        limit: Rows wanted from the top, none for all that match.
        tickers: Only these ``EXCHANGE:SYMBOL``; empty for all.
    """

    market: str
    columns: tuple[str, ...]
    filters: tuple[Mapping[str, Any], ...]
    sort_by: str
    sort_order: str = "desc"
    limit: int | None = None
    tickers: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path on the host."""
        return f"/{self.market}/scan"

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns asked, with those that every answer is checked by."""
        return tuple(dict.fromkeys((*_ALWAYS, *self.columns)))

    @property
    def body(self) -> dict[str, Any]:
        """The request without its page."""
        return {
            "markets": [self.market],
            "symbols": {"query": {"types": []}, "tickers": list(self.tickers)},
            "options": {"lang": "en"},
            "columns": list(self.fields),
            "filter": [dict(condition) for condition in self.filters],
            "sort": {"sortBy": self.sort_by, "sortOrder": self.sort_order, "nullsFirst": False},
            "ignore_unknown_fields": False,
        }

    @property
    def request_hash(self) -> str:
        """The identity of the whole question, its limit included."""
        return request_hash("tradingview", self.path, {**self.body, "limit": self.limit})


class _Row(msgspec.Struct):
    s: str
    d: list[msgspec.Raw]


class _Body(msgspec.Struct):
    totalCount: int  # noqa: N815 - the vendor's name
    data: list[_Row] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One body: how many rows match in all, and the ones in it."""

    total: int
    rows: list[_Row]


_BODY = msgspec.json.Decoder(_Body)
_ANY = msgspec.json.Decoder()


def scan(client: VendorClient, question: Scan) -> Iterator[Page]:
    """The answer to a question, one landed row per symbol and column, values as they were sent.

    All pages are read before the first is given: where the market moved between two of them (a row
    comes twice, or the count of matches changes) the whole question is asked again.

    Args:
        client: On the scanner host.
        question: What to ask.

    Raises:
        Unavailable: The vendor stops before the last row, or its pages never fit together.
        SchemaDrift: A row has another length, or names another symbol than it stands for.
    """
    for _ in range(_ATTEMPTS):
        answers = _answers(client, question)
        if _fit_together([answer.value for answer in answers]):
            for answer in answers:
                rows = _table(question, answer.value)
                yield Page(rows, answer.payload_sha256, answer.source_uri, answer.request_hash)
            return
    raise Unavailable(
        f"{client.vendor} {question.path} gave {_ATTEMPTS} sets of pages that overlap or disagree "
        "on the count of matches; try later"
    )


def _answers(client: VendorClient, question: Scan) -> list[Answer[_Part]]:
    """Pages by offset, on to the limit or to the last match."""
    answers: list[Answer[_Part]] = []
    first = 0
    while True:
        last = first + ROWS_PER_PAGE
        last = last if question.limit is None else min(last, question.limit)
        answer = client.post(
            question.path,
            question.body,
            lambda body: _read(body, question),
            {"range": [first, last]},
        )
        answers.append(answer)
        got, total = len(answer.value.rows), answer.value.total
        if got > last - first:
            raise SchemaDrift(
                f"{question.path} sent {got} rows, {last - first} were asked; nothing is landed"
            )
        wanted = total if question.limit is None else min(total, question.limit)
        first += got
        if first >= wanted:
            return answers
        if not got:
            raise Unavailable(
                f"{client.vendor} {question.path} stopped after {first} of {wanted} rows; try later"
            )


def _fit_together(parts: Sequence[_Part]) -> bool:
    symbols = [row.s for part in parts for row in part.rows]
    return len({part.total for part in parts}) == 1 and len(set(symbols)) == len(symbols)


def _read(body: bytes, question: Scan) -> _Part:
    if not body.strip():
        raise RateLimited(
            f"tradingview {question.path} answered with an empty body, as it does when it is asked "
            "too often; run again in a minute",
            WINDOW,
        )
    # As text: msgspec leaves the values as they are, so that bytes which are none would stay.
    content = read_json(lambda sent: _BODY.decode(sent.decode()), body, SCAN.path)
    if content.error is not None:
        raise Rejected(f"tradingview {question.path} refuses: {content.error[:200]}")
    rows = content.data or []
    for row in rows:
        _check(row, question)
    return _Part(content.totalCount, rows)


def _check(row: _Row, question: Scan) -> None:
    """A row that stands for one symbol and names another is mixed up."""
    if len(row.d) != len(question.fields):
        raise SchemaDrift(
            f"{question.path} sent {len(row.d)} values for {row.s}, {len(question.fields)} columns "
            "were asked; nothing is landed"
        )
    name = read_json(_ANY.decode, bytes(row.d[question.fields.index("name")]), SCAN.path)
    if ":" not in row.s or name != row.s.split(":", 1)[1]:
        raise SchemaDrift(
            f"{question.path} sent a row for {row.s} that names {name}; nothing of this fetch is "
            "landed, run it again"
        )


def _table(question: Scan, part: _Part) -> pa.Table:
    return table_of(SCAN, [cell for row in part.rows for cell in _cells(question, part, row)])


def _cells(question: Scan, part: _Part, row: _Row) -> Iterator[dict[str, Any]]:
    written = [bytes(value).decode() for value in row.d]
    values = [None if text == "null" else text for text in written]
    mode = values[question.fields.index("update_mode")]
    for column, value in zip(question.fields, values, strict=True):
        field, _, timeframe = column.partition("|")
        yield {
            "symbol": row.s,
            "market": question.market,
            "field": field,
            "timeframe": timeframe or DAILY,
            "value": value,
            "update_mode": mode and read_json(_ANY.decode, mode.encode(), SCAN.path),
            "total_count": part.total,
        }
