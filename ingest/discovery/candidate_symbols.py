"""The symbols of candidates files, as the lake and the vendors' connectors call them."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from ingest.discovery.candidates import ASSET_CLASSES
from trademl.errors import ConfigError, DataError


class _Record(msgspec.Struct, frozen=True):
    """What is read of a record."""

    symbol: str
    physical_symbol: str | None = None
    asset_type: str = "spot"


class _Document(msgspec.Struct, frozen=True):
    data: list[_Record]


def listed_symbols(
    path: Path, asset_types: Collection[str] = tuple(ASSET_CLASSES)
) -> tuple[str, ...]:
    """The plain symbols of a file of candidates, by name: ``BTCUSDT`` of ``BINANCE:BTCUSDT``.

    Args:
        path: ``candidates.json`` or ``candidates_validated.json``: records, or ``{meta, data}``.
        asset_types: Of these types only.

    Raises:
        ConfigError: There is no such file.
        DataError: It is not a list of candidates.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[_Record] | _Document)
    except OSError as error:
        raise ConfigError(f"candidates {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a list of candidates: {error}; discover again") from error
    records = found.data if isinstance(found, _Document) else found
    wanted = (record for record in records if record.asset_type in asset_types)
    return tuple(sorted({(one.physical_symbol or one.symbol).rpartition(":")[2] for one in wanted}))
