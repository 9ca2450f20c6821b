"""Reference files that a person or a market directory supplies: sectors, membership, earnings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ingest.payloads.decode import Page, table_of
from ingest.payloads.endpoint import Endpoint
from trademl.errors import DataError
from trademl.files import sha256_of_bytes, sha256_of_file

_NAMES = {
    "sectors": ("sectors.parquet", "sectors.csv", "listings.parquet", "listings.csv"),
    "index_membership": ("index_membership.parquet", "index_membership.csv"),
    "earnings_dates": ("earnings_dates.parquet", "earnings_dates.csv"),
}
_NULLS = pacsv.ConvertOptions().null_values
"""What people write for no value, by Arrow's list: NA, N/A, NULL, nan and the like."""


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """A file found for a dataset.

    Attributes:
        path: Where it is.
        sha256: Hash of its content.
    """

    path: Path
    sha256: str


def find(folder: Path, dataset: str) -> ReferenceFile | None:
    """The first file that can serve a dataset, none when the folder has no such file."""
    for name in _NAMES[dataset]:
        if (folder / name).is_file():
            return ReferenceFile(folder / name, sha256_of_file(folder / name))
    return None


def names(dataset: str) -> tuple[str, ...]:
    """The file names that can serve a dataset, best first."""
    return _NAMES[dataset]


def pages(reference_file: ReferenceFile, endpoint: Endpoint) -> Iterator[Page]:
    """The file as one page; columns that the endpoint does not know go to ``extra``.

    Raises:
        DataError: The file cannot be read.
        SchemaDrift: A key column is absent or of another type.
    """
    table = table_of(endpoint, _records(reference_file.path, endpoint))
    # The file's name only: an absolute path would tie the lake to one machine.
    uri = f"file:{reference_file.path.name}"
    yield Page(table, reference_file.sha256, uri, sha256_of_bytes(uri.encode()))


def _records(path: Path, endpoint: Endpoint) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
        else:
            table = _read_csv(path, endpoint)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read: {error}; check the file") from error
    records: list[dict[str, Any]] = table.to_pylist()
    return [
        {name: value for name, value in row.items() if value is not None or name in endpoint.key}
        for row in records
    ]


def _read_csv(path: Path, endpoint: Endpoint) -> pa.Table:
    """A CSV file as text, null where it says so: but NA, NULL and NAN are tickers, too."""
    known = {name: pa.string() for name in endpoint.columns.names}
    spellings = pacsv.ConvertOptions(
        column_types=known, strings_can_be_null=True, null_values=_NULLS
    )
    table = pacsv.read_csv(path, convert_options=spellings)
    tickers = [name for name in (endpoint.symbol, "index_name") if name in table.column_names]
    if tickers:
        plain = pacsv.ConvertOptions(
            column_types=known,
            strings_can_be_null=True,
            null_values=[""],
            include_columns=tickers,
        )
        names = pacsv.read_csv(path, convert_options=plain)
        for name in tickers:
            place = table.column_names.index(name)
            table = table.set_column(place, name, names.column(name))
    return table
