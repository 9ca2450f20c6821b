"""The nightly export: files that can be used without opening the lake."""

import os
import shutil
from datetime import date
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.control.database import control_path
from ingest.control.reader import read_table
from trademl.errors import DataError
from trademl.files import sha256_of_file, write_atomic
from trademl.lake import versions as lake

MANIFEST = "manifest.json"
_TABLES = """
    select table_schema, table_name from information_schema.tables
    where table_catalog = 'lake'
        and (table_schema = 'curated' or table_name = 'partition_status')
    order by all
"""
_CONTROL = {"backfill_queue": "backfill_tasks", "pipeline_runs": "pipeline_runs"}
"""Tables of the control file, and what they are read from: readers need no SQLite."""


def export_nightly(data_dir: Path, day: date) -> Path:
    """Writes the newest version's curated tables and QC ledger, queue and runs, with their hashes.

    An export of the same version that is there already is left as it is; one of an older version
    is replaced as a whole.

    Args:
        data_dir: The data directory.
        day: The folder's date.

    Returns:
        The folder ``exports/nightly/YYYY-MM-DD``.

    Raises:
        DataError: Nothing is published, or the folder cannot be written.
    """
    version = lake.find_version(data_dir)
    folder = data_dir / "exports" / "nightly" / day.isoformat()
    if _version_of(folder) == version.name:
        return folder
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for left in folder.parent.glob(".*.tmp"):
            shutil.rmtree(left)
        draft.mkdir(parents=True)
        _write(data_dir, version, draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    except (OSError, duckdb.Error) as error:
        raise DataError(f"{folder} cannot be written: {error}; make room or writable") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def copy_control(data_dir: Path) -> dict[str, Path]:
    """Copies of the control file's tables as they are now, for readers without SQLite.

    They lie in ``control/copy/`` and replace those made before; a node at work is not disturbed.

    Args:
        data_dir: The data directory.

    Returns:
        Parquet files by table; none where there is no control file.

    Raises:
        DataError: The control file cannot be read.
        OSError: The copies cannot be written.
    """
    path, copies = control_path(data_dir), {}
    for name, source in _CONTROL.items() if path.exists() else ():
        copies[name] = path.parent / "copy" / f"{name}.parquet"
        content = pa.BufferOutputStream()
        pq.write_table(read_table(path, source), content, compression="zstd")
        write_atomic(copies[name], content.getvalue().to_pybytes())
    return copies


def _write(data_dir: Path, version: lake.Version, draft: Path) -> None:
    files = []
    with lake.open_version(data_dir, version) as connection:
        for schema, name in connection.execute(_TABLES).fetchall():
            path = draft / f"{schema}.{name}.parquet"
            connection.execute(
                f"copy (from {schema}.{name} order by all) to '{path}'"
                " (format parquet, compression zstd)"
            )
            (rows,) = connection.execute(f"select count(*) from '{path}'").fetchone() or (0,)
            files.append({"name": path.name, "rows": rows, "sha256": sha256_of_file(path)})
    for name, source in _CONTROL.items() if control_path(data_dir).exists() else ():
        table = read_table(control_path(data_dir), source)
        path = draft / f"control.{name}.parquet"
        pq.write_table(table, path, compression="zstd")
        digest = sha256_of_file(path)
        files.append({"name": path.name, "rows": table.num_rows, "sha256": digest})
    content = {"version": version.name, "as_of": version.as_of, "files": files}
    write_atomic(draft / MANIFEST, msgspec.json.format(msgspec.json.encode(content)) + b"\n")


def _version_of(folder: Path) -> str | None:
    """The version in a folder that is whole, none where there is no such folder."""
    try:
        return str(msgspec.json.decode((folder / MANIFEST).read_bytes())["version"])
    except (OSError, msgspec.DecodeError, KeyError):
        return None
