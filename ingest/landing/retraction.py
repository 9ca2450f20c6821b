"""Retraction: a landed file is taken back by a tombstone, which is landed like any other row."""

import glob
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from ingest.landing.bookmarks import RETRACTION, landed, reading
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page, table_of
from ingest.transport.client import request_hash
from trademl.clock import iso, parse_clock
from trademl.errors import ConfigError
from trademl.files import sha256_of_bytes


@dataclass(frozen=True, slots=True)
class Retraction:
    """A landed file that was taken back.

    Attributes:
        file: Its path in the data directory, with ``/``.
        rows: Rows in it.
        retracted_at: Since when builds leave it out.
        is_new: Whether it was taken back just now, not before.
    """

    file: str
    rows: int
    retracted_at: datetime
    is_new: bool


def retract(data_dir: Path, file: str, why: str, clock: datetime) -> Retraction:
    """Takes a landed file back: builds as of the clock and later leave out all that it says.

    The file stays where it is. Twice the same changes nothing.

    Args:
        data_dir: The data directory.
        file: Its path, or its ``ingest_id`` as tables have it.
        why: Told beside it in ``raw_retractions``.
        clock: Becomes the tombstone's ``ingested_at``.

    Raises:
        ConfigError: No reason is given, no such file is landed, it is a tombstone itself, or it was
            landed after the clock.
        DataError: The file cannot be read, or the tombstone not be written.
    """
    reason = " ".join(why.split())
    if not reason:
        raise ConfigError("the reason is empty: say with --why what is wrong with the file")
    path = _find(data_dir, file)
    name = path.relative_to(data_dir.resolve()).as_posix()
    with reading(path):
        footer = pq.read_metadata(path)
        facts = footer.metadata or {}
    if b"trademl_ingested_at" not in facts:
        raise ConfigError(f"{name} was not landed by TradeML: name a file that an ingest wrote")
    landed_at = parse_clock(facts[b"trademl_ingested_at"].decode())
    before = _tombstone_of(data_dir, path.stem)
    if before is not None:
        return Retraction(name, footer.num_rows, before, is_new=False)
    if clock < landed_at:
        raise ConfigError(
            f"{name} was landed at {iso(landed_at)} and cannot be retracted as of {iso(clock)}, "
            "which is earlier: leave --clock away or name a later time"
        )
    _land(data_dir, path.stem, name, reason, clock)
    return Retraction(name, footer.num_rows, clock, is_new=True)


def _find(data_dir: Path, file: str) -> Path:
    """The landed file of a path (from here or from the data directory) or of an ``ingest_id``."""
    raw = data_dir.resolve() / "raw"
    named = [Path(file), data_dir / file, *raw.glob(f"*/*/*/{_escaped(file)}.parquet")]
    for path in (path.resolve() for path in named if path.is_file()):
        if not path.match("*/*/ingest_date=*/*.parquet") or path.parents[3] != raw:
            continue
        if path.parents[1] == raw / RETRACTION.path:
            raise ConfigError(
                f"{file} is a retraction, which cannot be taken back: land again what it retracted"
            )
        return path
    raise ConfigError(
        f"{file!r} is not a landed file of {raw}: give the path of one, or its ingest_id as the "
        "tables raw_fetches and quarantine_bars have it"
    )


def _escaped(file: str) -> str:
    """A text that a glob takes as it is; none of a file's name where it is a path."""
    return "" if "/" in file or "\\" in file else glob.escape(file)


def _tombstone_of(data_dir: Path, ingest_id: str) -> datetime | None:
    """When a file was taken back first, none where it was not."""
    return min(
        (
            envelope.ingested_at
            for envelope in landed(data_dir, RETRACTION)
            if ingest_id in envelope.symbols
        ),
        default=None,
    )


def _land(data_dir: Path, ingest_id: str, name: str, why: str, clock: datetime) -> None:
    row = {"retracted_ingest_id": ingest_id, "retracted_file": name, "why": why}
    chain = request_hash(RETRACTION.vendor, RETRACTION.name, {"retracted_ingest_id": ingest_id})
    digest = sha256_of_bytes(msgspec.json.encode(row, order="sorted"))
    page = Page(table_of(RETRACTION, [row]), digest, f"node:{RETRACTION.name}", chain)
    fetch = Fetch(RETRACTION, "retractions", chain, symbols=(ingest_id,))
    land(data_dir, fetch, [page], clock)
