"""Massive: aggregates of one ticker, and of the whole market in one call; always unadjusted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, page_of, repeated, table_of, table_of_columns, utc_of
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.massive.client import Body, pages, read_body, times_of
from ingest.vendors.massive.schema import DAYS, GROUPED, MINUTES
from trademl.errors import SchemaDrift

BASE_AGGREGATES_PER_PAGE = 50_000
PUBLICATION_LAG = timedelta(hours=4, minutes=30)
"""End-of-day data include the evening's trades, which end four hours after the close."""


class _Bar(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A bar with no field beyond the documented ones."""

    t: int
    o: float
    h: float
    l: float  # noqa: E741 - the vendor's name
    c: float
    v: float
    vw: float | None = None
    n: int | None = None
    otc: bool | None = None


class _MarketBar(_Bar, forbid_unknown_fields=True, gc=False, kw_only=True):
    ticker: str = msgspec.field(name="T")


_BARS = msgspec.json.Decoder(Body[_Bar])
_MARKET = msgspec.json.Decoder(Body[_MarketBar])
_SPANS = {DAYS.name: "day", MINUTES.name: "minute"}


def aggregates(
    client: VendorClient, endpoint: Endpoint, symbols: Sequence[str], start: date, end: date
) -> Iterator[Page]:
    """Bars of some tickers, one request chain each; an unknown ticker gives no rows.

    Args:
        client: On the vendor's host.
        endpoint: ``DAYS`` or ``MINUTES``.
        symbols: Tickers as the vendor spells them.
        start: First session date.
        end: Last session date, inclusive.

    Raises:
        SchemaDrift: Bars are of another ticker, or adjusted.
    """
    params: dict[str, str | int] = {
        "adjusted": "false",
        "sort": "asc",
        "limit": BASE_AGGREGATES_PER_PAGE,
    }
    for symbol in symbols:
        path = f"/v2/aggs/ticker/{symbol}/range/1/{_SPANS[endpoint.name]}/{start}/{end}"

        def rows(body: Body[Any]) -> pa.Table:
            # The ticker is said once per body.
            return _rows(body, endpoint, {"ticker": repeated(body.ticker, len(body.results or []))})

        yield from pages(client, path, params, endpoint, rows, _BARS.decode)


def grouped(client: VendorClient, day: date) -> Page:
    """The bars of all tickers on one day; none on a day without trade.

    ``t`` is the end of the session there, so the day asked for is a column of its own.
    """
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{day}"
    answer = client.get(path, {"adjusted": "false"}, lambda body: _market(body, day))
    return page_of(answer, answer.value)


def _market(body: bytes, day: date) -> pa.Table:
    payload = read_body(body, GROUPED, _MARKET.decode)
    results = payload.results or []
    named: dict[str, pa.Array | Sequence[Any]] = {
        "date": pa.repeat(pa.scalar(day, pa.date32()), len(results))
    }
    if _is_usual(results):
        named["ticker"] = [row.ticker for row in results]
    else:
        named["ticker"] = [row.get("T") for row in results]
    return _rows(payload, GROUPED, named)


def _is_usual(results: Sequence[Any]) -> bool:
    return bool(results) and isinstance(results[0], _Bar)


def _rows(
    payload: Body[Any], endpoint: Endpoint, named: Mapping[str, pa.Array | Sequence[Any]]
) -> pa.Table:
    """The rows of a body; times come as milliseconds."""
    results = payload.results or []
    if results and payload.adjusted is not False:
        raise SchemaDrift(
            f"{endpoint.path} sent bars with adjusted={payload.adjusted}, raw ones were asked; "
            "nothing of this fetch is landed"
        )
    if _is_usual(results):
        times = utc_of([row.t for row in results], "ms", endpoint)
        columns = {
            "t": times,
            "o": [row.o for row in results],
            "h": [row.h for row in results],
            "l": [row.l for row in results],
            "c": [row.c for row in results],
            "v": [row.v for row in results],
            "vw": [row.vw for row in results],
            "n": [row.n for row in results],
            "otc": [row.otc for row in results],
        }
        return table_of_columns(endpoint, {**columns, **named}, times)
    times = times_of([row.get("t") for row in results], endpoint, unit=1_000)
    return table_of(endpoint, results, times, {**named, "t": times}, used_fields=("T",))
