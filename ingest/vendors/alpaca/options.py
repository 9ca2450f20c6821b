"""Alpaca: the option chain of an underlying as it is quoted now (data v1beta1)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, read_json, table_of
from ingest.payloads.endpoint import UTC_TIME
from ingest.transport.client import VendorClient
from ingest.vendors.alpaca.client import Part, paged
from ingest.vendors.alpaca.schema import SNAPSHOTS
from trademl.errors import SchemaDrift

SNAPSHOTS_PER_PAGE = 1_000


_CONTRACT = re.compile(r"([A-Z]+)\d?\d{6}[CP]\d{8}")
_FIELDS = {
    "latestQuote": ("latest_quote", ("t", "bp", "bs", "bx", "ap", "as", "ax", "c")),
    "latestTrade": ("latest_trade", ("t", "p", "s", "x", "c")),
    "greeks": ("greeks", ("delta", "gamma", "theta", "vega", "rho")),
}


class _SnapshotPage(msgspec.Struct):
    snapshots: dict[str, dict[str, Any]] | None
    next_page_token: str | None


_PAGE = msgspec.json.Decoder(_SnapshotPage)


def snapshots(client: VendorClient, underlyings: Sequence[str]) -> Iterator[Page]:
    """The last quote, trade and greeks of every contract of each underlying.

    The indicative feed is asked: it needs no subscription, its quotes are delayed and modified.

    Args:
        client: On the data host.
        underlyings: Symbols of shares; one without options gives no rows.

    Raises:
        SchemaDrift: A contract of another underlying is among the answers.
    """
    params: dict[str, str | int] = {"feed": "indicative", "limit": SNAPSHOTS_PER_PAGE}
    for underlying in underlyings:
        path = f"/v1beta1/options/snapshots/{underlying}"
        for page in paged(client, path, params, read_snapshots):
            _check_underlying(page.rows, underlying)
            yield page


def read_snapshots(body: bytes) -> Part:
    """The rows of a body, one per contract.

    Raises:
        Unavailable: The body is malformed.
        SchemaDrift: A field is absent or of another type.
    """
    page = read_json(_PAGE.decode, body, SNAPSHOTS.path)
    records = [_row(contract, fields) for contract, fields in (page.snapshots or {}).items()]
    return Part(table_of(SNAPSHOTS, records, _quoted_at(records)), page.next_page_token)


def _quoted_at(records: Sequence[Mapping[str, Any]]) -> pa.Array:
    """The quotes' times; they come with nanoseconds, which the text column keeps."""
    texts = [record.get("latest_quote_t") for record in records]
    try:
        exact = pa.array(texts, pa.string()).cast(pa.timestamp("ns", tz="UTC"))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        wrong = f"{SNAPSHOTS.path} sent a time that is not a UTC time: {error}"
        raise SchemaDrift(wrong) from error
    return exact.cast(UTC_TIME, safe=False)


def _row(contract: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A contract's fields under one name each; what has no column keeps its place in ``extra``."""
    row: dict[str, Any] = {"option_symbol": contract}
    for name, value in fields.items():
        prefix, known = _FIELDS.get(name, ("", ()))
        if name == "impliedVolatility":
            row["implied_volatility"] = value
        elif not known or not isinstance(value, Mapping):
            row[name] = value
        else:
            row |= {f"{prefix}_{part}": value[part] for part in known if part in value}
            rest = {part: value[part] for part in value if part not in known}
            row |= {name: rest} if rest else {}
    return row


def _check_underlying(rows: pa.Table, underlying: str) -> None:
    """Refuses contracts of another root; a digit behind the root marks an adjusted contract."""
    root = re.sub(r"[^A-Z]", "", underlying)
    for contract in rows.column("option_symbol").to_pylist():
        read = _CONTRACT.fullmatch(contract)
        if read is None or read[1] != root:
            raise SchemaDrift(
                f"{SNAPSHOTS.path} answered with {contract}, {underlying} was asked; nothing of "
                "this fetch is landed, run it again"
            )
