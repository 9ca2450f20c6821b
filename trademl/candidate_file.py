"""Candidates files, ``candidates.json`` and ``candidates_validated.json``: their one schema.

Discovery writes them, ingestion and selection read them; nobody else knows how they look.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from trademl.errors import ConfigError, DataError
from trademl.files import write_atomic

CANDIDATES, VALIDATED = "candidates.json", "candidates_validated.json"
"""What discovery leaves for a run id: all it found, and those that selection may read."""

LAKE_ASSET_TYPES = {"equity": ("equity", "etf"), "crypto": ("spot",)}
"""What the lake has bars of, by asset class; it has none of swaps."""

SYMBOL_PATTERN = r"[A-Z0-9_]{1,20}:[A-Z0-9]+([._&-][A-Z0-9]+)*!?"
"""``EXCHANGE:SYMBOL``. It becomes part of names and paths: no slash, no "..", no leading dot."""

_Key = Annotated[str, msgspec.Meta(pattern=rf"\A{SYMBOL_PATTERN}\Z")]


class Record(msgspec.Struct, frozen=True):
    """What is read of a candidate's record; discovery writes more.

    Attributes:
        symbol: ``EXCHANGE:SYMBOL``, as the screener shows it.
        direction: None where the list does not say, which selection refuses.
        exchange: The same as in ``symbol``, if given.
        physical_symbol: The same as in ``symbol``, if given.
        asset_type: ``equity``, ``etf``, ``spot`` or ``perp``.
    """

    symbol: _Key
    direction: Literal["LONG", "SHORT"] | None = None
    exchange: str | None = None
    physical_symbol: str | None = None
    asset_type: str | None = None

    @property
    def plain_symbol(self) -> str:
        """The symbol as the lake and the vendors' connectors call it."""
        return self.symbol.partition(":")[2]


class Meta(msgspec.Struct, frozen=True):
    """When a list was made, and against which version of the lake; None where it does not say."""

    generated_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    version: str | None = None


class _Document(msgspec.Struct, frozen=True):
    data: list[Record]
    meta: Meta = Meta()


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A file as it was read.

    Attributes:
        content: Its bytes.
        records: The candidates, in the file's order.
        meta: What it says of itself.
    """

    content: bytes
    records: tuple[Record, ...]
    meta: Meta


def read_candidate_file(path: Path) -> CandidateFile:
    """Reads an array of records, or an object with them under ``data``.

    Raises:
        ConfigError: The file cannot be read.
        DataError: It is not a list of candidates.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"candidates {path}: {error.strerror or error}") from error
    try:
        decoded = msgspec.json.decode(content, type=list[Record] | _Document)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refusal(path, str(error)) from error
    document = decoded if isinstance(decoded, _Document) else _Document(decoded)
    for record in document.data:
        _refuse_contradiction(record, path)
    return CandidateFile(content, tuple(document.data), document.meta)


def write_candidate_file(
    path: Path, records: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]
) -> Path:
    """Writes a file that ``read_candidate_file`` reads; records are written as they are given."""
    content = msgspec.json.format(msgspec.json.encode({"meta": meta, "data": records}), indent=1)
    write_atomic(path, content + b"\n")
    return path


def listed_symbols(path: Path, asset_types: Collection[str]) -> tuple[str, ...]:
    """The plain symbols of some asset types in order: ``BTCUSDT`` of ``BINANCE:BTCUSDT``.

    A record that does not say its type counts as ``spot``.

    Raises:
        ConfigError: There is no such file.
        DataError: It is not a list of candidates.
    """
    records = read_candidate_file(path).records
    matching = (record for record in records if (record.asset_type or "spot") in asset_types)
    return tuple(sorted({record.plain_symbol for record in matching}))


def refusal(path: Path, reason: str) -> DataError:
    """The error of a file that is not a list of candidates."""
    return DataError(f"{path} is not a list of candidates: {reason}: run `trademl discover` again")


def _refuse_contradiction(record: Record, path: Path) -> None:
    """A record that spells its symbol twice must mean the same one."""
    exchange, _, symbol = record.symbol.partition(":")
    spelled = (record.exchange or exchange, record.physical_symbol or symbol)
    if spelled != (exchange, symbol):
        raise DataError(
            f"{path}: candidate {record.symbol} has exchange {spelled[0]} and physical_symbol "
            f"{spelled[1]}: run `trademl discover` again"
        )
