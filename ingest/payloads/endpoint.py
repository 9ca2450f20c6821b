"""Endpoint declarations: the typed columns of a landed table, and the envelope after them."""

from dataclasses import dataclass

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")

ENVELOPE = pa.schema(
    [
        ("extra", pa.string()),
        ("ingest_id", pa.string()),
        ("ingested_at", UTC_TIME),
        ("source_name", pa.string()),
        ("source_uri", pa.string()),
        ("vendor_ts", UTC_TIME),
        ("api_version", pa.string()),
        ("request_hash", pa.string()),
        ("payload_sha256", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One table of a vendor as it is landed.

    Attributes:
        vendor: First folder under ``raw/``.
        name: Second folder under ``raw/``.
        columns: The vendor's fields, under the vendor's names.
        key: Columns that tell two rows of one fetch apart. A row without a value in one is landed,
            and belongs to nobody.
        source_name: What the rows' ``source_name`` says.
        api_version: What the rows' ``api_version`` says.
        required: Fields that the vendor always sends, beside the key.
        event_time: Column that holds the session of a row, where freshness is judged by it.
        symbol: Column that holds what ``--symbols`` names, where the rows have one.
        class_mark: What the vendor writes before a share class: ``-`` where it says ``BRK-B``.
        nullable: Of the required fields, those that an odd row has no value in. It is landed; a row
            without the field is still a drift of the schema, as one without a key's is.
    """

    vendor: str
    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    source_name: str
    api_version: str
    required: tuple[str, ...] = ()
    event_time: str | None = None
    symbol: str = "symbol"
    class_mark: str = "."
    nullable: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """``vendor/name``, the name in ``ENDPOINTS`` and the folder under ``raw/``."""
        return f"{self.vendor}/{self.name}"

    @property
    def schema(self) -> pa.Schema:
        """All columns of a landed file: the vendor's, then the envelope."""
        return pa.schema([*self.columns, *ENVELOPE])

    @property
    def never_null(self) -> frozenset[str]:
        """Fields without a value of which a row is a drift of the schema."""
        return frozenset(self.required).difference(self.nullable, self.key)


def fields(kind: pa.DataType, names: str) -> list[pa.Field]:
    """Fields of one type, by their names in one text."""
    return [pa.field(name, kind) for name in names.split()]


TEXT, NUMBER, WHOLE, FLAG, DAY = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.date32()
