"""Massive, formerly Polygon: the parts that its datasets share, and what it lists and announces."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, decode_strict, page_of, read_json, table_of, utc_of
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.massive.schema import DELISTED, DIVIDENDS, SPLITS, TICKERS
from trademl.errors import NotEntitled, SchemaDrift, Unavailable, VendorError

WINDOW = 60.0
"""Seconds: a limit is counted per minute, and no answer says when the next one begins."""
ROWS_PER_PAGE = 1_000
_REPEATS_ALLOWED = 3


Params = Mapping[str, str | int]
Record = dict[str, Any]
Row = TypeVar("Row")


class Body(msgspec.Struct, Generic[Row]):
    """What every answer has; rows are absent where there is nothing to tell."""

    status: str
    results: list[Row] | None = None
    next_url: str | None = None
    ticker: str | None = None
    adjusted: bool | None = None
    resultsCount: int | None = None  # noqa: N815 - the vendor's name


_BODY = msgspec.json.Decoder(Body[Record])
Decode = Callable[[bytes], Body[Any]]


def headers(key: str) -> dict[str, str]:
    """The key as a header: in the query it would be in every address."""
    return {"Authorization": f"Bearer {key}"}


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """403 means that the plan does not cover data or dates; wrong keys are 401."""
    return NotEntitled if status == 403 and not message.startswith("<") else None


def splits(client: VendorClient, symbols: Sequence[str], start: date, end: date) -> Iterator[Page]:
    """Splits executed in the window; of all symbols when none is given."""
    yield from _events(client, SPLITS, "execution_date", symbols, (start, end))


def dividends(
    client: VendorClient, symbols: Sequence[str], start: date, end: date
) -> Iterator[Page]:
    """Dividends as paid whose ex-date lies in the window; of all symbols when none is given."""
    yield from _events(client, DIVIDENDS, "ex_dividend_date", symbols, (start, end))


def tickers(client: VendorClient, day: date) -> Iterator[Page]:
    """The shares that were listed on a day."""
    params = _listing(active="true") | {"date": day.isoformat()}
    yield from _listed(client, TICKERS, params, day)


def delisted_tickers(client: VendorClient, day: date) -> Iterator[Page]:
    """The shares that are listed no more, as of a day; a ticker that lived twice comes twice."""
    params = _listing(active="false") | {"date": day.isoformat()}
    yield from _listed(client, DELISTED, params, day)


def pages(
    client: VendorClient,
    path: str,
    params: Params,
    endpoint: Endpoint,
    rows: Callable[[Body[Any]], pa.Table],
    decode_usual: Decode | None = None,
) -> Iterator[Page]:
    """Follows ``next_url`` to the body without one; a short page means nothing.

    A body that names an address that was asked before is an earlier page once more: it is passed
    over and the address asked again.

    Raises:
        Unavailable: One page comes over and over.
        SchemaDrift: A body is of another shape.
    """

    def read(body: bytes) -> tuple[pa.Table, str | None]:
        payload = read_body(body, endpoint, decode_usual)
        return rows(payload), _address(payload.next_url, endpoint)

    address: str | None = None
    seen_addresses: set[str | None] = {None}
    repeats = 0
    while True:
        answer = client.get(path, params, read, following=address)
        table, following = answer.value
        if following and following in seen_addresses:
            repeats += 1
            if repeats > _REPEATS_ALLOWED:
                raise Unavailable(f"massive {path} sends one page over and over; try later")
            continue
        yield page_of(answer, table)
        if following is None:
            return
        address, repeats = following, 0
        seen_addresses.add(following)


def read_body(body: bytes, endpoint: Endpoint, decode_usual: Decode | None = None) -> Body[Any]:
    """Decodes an answer and checks it against its own count.

    Args:
        body: As received.
        endpoint: Named in messages.
        decode_usual: Tried first: a faster decoder of rows with no unknown field.

    Raises:
        Unavailable: It is malformed, or holds another number of rows than it says.
        SchemaDrift: It is of another shape.
    """
    payload = decode_strict(decode_usual, body) if decode_usual else None
    payload = payload or read_json(_BODY.decode, body, endpoint.path)
    rows = len(payload.results or [])
    if payload.resultsCount is not None and payload.resultsCount != rows:
        raise Unavailable(
            f"{endpoint.path} says {payload.resultsCount} rows and sends {rows}; ask again later"
        )
    return payload


def times_of(values: Sequence[Any], endpoint: Endpoint, unit: int) -> pa.Array:
    """Whole numbers since 1970 as UTC times.

    Args:
        values: Numbers, none where there is no time.
        endpoint: Named in messages.
        unit: How many of them make a second: 1,000 or 1,000,000,000.

    Raises:
        SchemaDrift: One is not a whole number.
    """
    if not set(map(type, values)) <= {int, type(None)}:
        wrong = f"{endpoint.path} sent a time that is not a whole number; nothing is landed"
        raise SchemaDrift(wrong)
    exact = [None if value is None else value * 1_000_000 // unit for value in values]
    return utc_of(exact, "us", endpoint)


def _address(url: str | None, endpoint: Endpoint) -> str | None:
    """Path and query of a further page: its host may be the old name, a key must not stay."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        query = [(name, value) for name, value in parse_qsl(parts.query) if name != "apiKey"]
    except ValueError as error:
        raise SchemaDrift(f"{endpoint.path} sent a next_url that is none: {error}") from error
    return f"{parts.path}?{urlencode(query)}"


def _events(
    client: VendorClient,
    endpoint: Endpoint,
    day: str,
    symbols: Sequence[str],
    window: tuple[date, date],
) -> Iterator[Page]:
    start, end = window
    for symbol in symbols or [""]:
        params: dict[str, str | int] = {"ticker": symbol} if symbol else {}
        params |= {f"{day}.gte": start.isoformat(), f"{day}.lte": end.isoformat()}
        params |= {"sort": day, "order": "asc", "limit": ROWS_PER_PAGE}

        def rows(body: Body[Record]) -> pa.Table:
            return table_of(endpoint, body.results or [])

        yield from pages(client, f"/v3/reference/{endpoint.name}", params, endpoint, rows)


def _listing(active: str) -> dict[str, str | int]:
    return {
        "market": "stocks",
        "active": active,
        "sort": "ticker",
        "order": "asc",
        "limit": ROWS_PER_PAGE,
    }


def _listed(client: VendorClient, endpoint: Endpoint, params: Params, day: date) -> Iterator[Page]:
    def rows(body: Body[Record]) -> pa.Table:
        table = table_of(endpoint, [{**row, "date": day} for row in body.results or []])
        updated = table.column("last_updated_utc")
        return table.set_column(table.column_names.index("vendor_ts"), "vendor_ts", updated)

    yield from pages(client, "/v3/reference/tickers", params, endpoint, rows)
