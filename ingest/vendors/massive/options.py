"""Massive: the option chain of an underlying as it is quoted now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ingest.payloads.decode import Page, table_of
from ingest.transport.client import VendorClient
from ingest.vendors.massive.client import Body, Record, pages, times_of
from ingest.vendors.massive.schema import CHAIN

CONTRACTS_PER_PAGE = 250


_GROUPS = ("details", "greeks", "day", "last_quote", "last_trade", "underlying_asset")


def chain(client: VendorClient, underlyings: Sequence[str]) -> Iterator[Page]:
    """Every contract of each underlying, with what the plan includes of quotes and trades.

    Args:
        client: On the vendor's host.
        underlyings: Tickers of shares; one without options gives no rows.
    """
    params: dict[str, str | int] = {
        "sort": "ticker",
        "order": "asc",
        "limit": CONTRACTS_PER_PAGE,
    }
    for underlying in underlyings:
        yield from pages(client, f"/v3/snapshot/options/{underlying}", params, CHAIN, _rows)


def _rows(body: Body[Record]) -> pa.Table:
    records = [_flat(row) for row in body.results or []]
    quoted = [record.get("last_quote_last_updated") for record in records]
    return table_of(CHAIN, records, times_of(quoted, CHAIN, unit=1_000_000_000))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of groups under ``group_field``; unknown ones end in ``extra`` like any other."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in _GROUPS and isinstance(value, Mapping):
            flat |= {f"{name}_{field}": part for field, part in value.items()}
        else:
            flat[name] = value
    return flat
