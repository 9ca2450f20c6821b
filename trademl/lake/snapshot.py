"""The lock of a run on one version of the lake: ``snapshots/<RUN_ID>``.

The folder holds relative links to the published catalog and to every data file of the tables that
the run uses, laid out like the lake itself, and ``snapshot.json`` with what they are. DuckLake
never rewrites a data file, so links freeze the content as long as expiry leaves linked files alone:
``pinned_files`` is what expiry must ask. ``ledger_head.json`` is the head of the finished run's
ledger, against which a changed ledger shows.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from trademl.errors import DataError
from trademl.files import replace_durably, sha256_of_bytes, sha256_of_file, write_atomic
from trademl.lake import versions as lake

SNAPSHOT_FILE = "snapshot.json"
HEAD_FILE = "ledger_head.json"
CANDIDATES_COPY = "candidates.json"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a run id is locked to.

    Attributes:
        version: Name of the published version.
        clock: The run's clock, ISO 8601 UTC.
        model_id: The trained model's folder, None for a run without one.
    """

    version: str
    clock: str
    model_id: str | None


def snapshot_dir(data_dir: Path, run_id: str) -> Path:
    """The folder of one run's snapshot."""
    return data_dir / "snapshots" / run_id


def read_lock(data_dir: Path, run_id: str) -> Lock | None:
    """What an earlier start of this run id was locked to, None for a new id.

    Raises:
        DataError: The snapshot's record is broken.
    """
    path = snapshot_dir(data_dir, run_id) / SNAPSHOT_FILE
    if not path.exists():
        return None
    facts = _read(path)
    return Lock(facts["version"], facts["clock"], facts["model_id"])


def take_snapshot(
    connection: duckdb.DuckDBPyConnection,
    data_dir: Path,
    run_id: str,
    version: lake.Version,
    lock: Lock,
    table_hashes: dict[str, str],
    candidates: bytes | None = None,
) -> dict[str, Any]:
    """Links the version's catalog and the data files of the hashed tables; returns the record.

    Args:
        connection: A connection on that version.
        data_dir: The data directory.
        run_id: Whose snapshot.
        version: What to link.
        lock: What the run id stays with from now on.
        table_hashes: Content hash by table; these tables' files are linked.
        candidates: The run's list of candidates, None where it has none; a copy is kept.
    """
    files = data_files(connection, data_dir, list(table_hashes))
    final = snapshot_dir(data_dir, run_id)
    working = final.with_name(f".{run_id}.tmp")
    if working.exists():
        shutil.rmtree(working)
    links = {
        "catalog.duckdb": version.catalog,
        "version.json": version.catalog.with_name(f"{version.name}.json"),
        **{f"data/{file['path']}": _data_root(data_dir) / file["path"] for file in files},
    }
    for name, target in links.items():
        _link(working / name, target, final / name)
    record = {
        "run_id": run_id,
        "as_of": version.as_of,
        **asdict(lock),
        "catalog_sha256": sha256_of_file(version.catalog),
        "candidates_sha256": None if candidates is None else sha256_of_bytes(candidates),
        "tables": table_hashes,
        "files": files,
    }
    if candidates is not None:
        write_atomic(working / CANDIDATES_COPY, candidates)
    write_atomic(working / SNAPSHOT_FILE, json.dumps(record, sort_keys=True, indent=1) + "\n")
    if final.exists():
        # A repeat that fails keeps the finished run, whose head this is.
        if (final / HEAD_FILE).is_file():
            shutil.copyfile(final / HEAD_FILE, working / HEAD_FILE)
        shutil.rmtree(final)
    replace_durably(working, final)
    return record


def record_head(data_dir: Path, run_id: str, head: str) -> None:
    """Keeps the hash that a finished run's ledger ends with, away from the ledger."""
    content = json.dumps({"run_id": run_id, "head": head}, sort_keys=True, indent=1) + "\n"
    write_atomic(snapshot_dir(data_dir, run_id) / HEAD_FILE, content)


def read_head(data_dir: Path, run_id: str) -> str | None:
    """The hash that the run's ledger must end with, None where it was not recorded."""
    try:
        text = (snapshot_dir(data_dir, run_id) / HEAD_FILE).read_text(encoding="utf-8")
        return str(json.loads(text)["head"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def changed_files(data_dir: Path, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which of the data files of a snapshot's record are gone or have another content."""
    root = _data_root(data_dir)
    return [
        file["path"]
        for file in files
        if not (root / file["path"]).is_file()
        or sha256_of_file(root / file["path"]) != file.get("sha256")
    ]


def drop_snapshot(data_dir: Path, run_id: str) -> None:
    """Gives a failed run's lock back, so that the next start may use a repaired version."""
    shutil.rmtree(snapshot_dir(data_dir, run_id), ignore_errors=True)


def data_files(
    connection: duckdb.DuckDBPyConnection, data_dir: Path, tables: Sequence[str]
) -> list[dict[str, Any]]:
    """The data and delete files behind tables and views, by path under the lake's data folder."""
    root = _data_root(data_dir)
    sizes = {}
    for table in sorted(base_tables(connection, tables)):
        schema, name = table.split(".")
        listed = connection.execute(
            "select data_file, data_file_size_bytes, delete_file, delete_file_size_bytes "
            f"from ducklake_list_files('lake', '{name}', schema => '{schema}')"
        ).fetchall()
        for data_file, data_size, delete_file, delete_size in listed:
            sizes[data_file] = data_size
            if delete_file:
                sizes[delete_file] = delete_size
    return [
        {
            "path": os.path.relpath(path, root),
            "size_bytes": size,
            "sha256": sha256_of_file(root / os.path.relpath(path, root)),
        }
        for path, size in sorted(sizes.items())
    ]


def base_tables(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> set[str]:
    """The tables that hold the rows of the named tables and views, views followed to their end."""
    tables = {
        f"{schema}.{name}"
        for schema, name in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'lake'"
        ).fetchall()
    }
    definitions = {
        f"{schema}.{name}": sql
        for schema, name, sql in connection.execute(
            "select schema_name, view_name, sql from duckdb_views() "
            "where database_name = 'lake' and not internal"
        ).fetchall()
    }
    visited: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        # DuckDB stores a view with its sources as lake.schema.table: look the names up.
        sql = definitions.get(name, "").replace('"', "")
        used = set(re.findall(r"\blake\.(\w+\.\w+)", sql))
        waiting.extend(sorted(used & (tables | set(definitions)) - visited))
    return visited & tables


def pinned_files(data_dir: Path) -> set[str]:
    """Data files that any run's snapshot needs, as paths under the lake's data folder."""
    pinned: set[str] = set()
    for path in sorted((data_dir / "snapshots").glob(f"*/{SNAPSHOT_FILE}")):
        pinned.update(file["path"] for file in _read(path)["files"])
    return pinned


def _data_root(data_dir: Path) -> Path:
    return lake.lakehouse_dir(data_dir) / "data"


def _link(path: Path, target: Path, final: Path) -> None:
    """A relative link that is right once the working folder has its final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, final.parent))


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {key: facts[key] for key in ("version", "clock", "model_id", "files")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"snapshot {path.parent.name} is broken ({error}): remove its folder and run again"
        ) from error
