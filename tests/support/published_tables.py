"""A published version made from Arrow tables, for tests that read a lake without building one."""

import json
from pathlib import Path

import pyarrow as pa

from trademl.lake import versions as lake


def publish_tables(data_dir: Path, tables: dict[str, pa.Table], as_of: str) -> lake.Version:
    """Writes ``{"schema.table": arrow table}`` into a lake and publishes the next version."""
    folder = lake.lakehouse_dir(data_dir)
    (folder / "published").mkdir(parents=True, exist_ok=True)
    lake.install_extensions()
    connection = lake.connect()
    connection.execute("load ducklake")
    connection.execute(
        f"attach 'ducklake:duckdb:{folder}/catalog.duckdb' as lake "
        f"(data_path '{folder}/data/', override_data_path true, data_inlining_row_limit 0)"
    )
    for name, table in tables.items():
        schema = name.split(".")[0]
        connection.execute(f"create schema if not exists lake.{schema}")
        connection.register("incoming", table)
        connection.execute(f"create or replace table lake.{name} as select * from incoming")
        connection.unregister("incoming")
    newest = connection.execute(
        "select max(snapshot_id) from ducklake_snapshots('lake')"
    ).fetchone()
    assert newest is not None
    version = f"v{newest[0]:06d}"
    connection.execute(f"attach '{folder}/published/{version}.duckdb' as published_copy")
    connection.execute("copy from database __ducklake_metadata_lake to published_copy")
    connection.execute("detach published_copy")
    connection.close()
    pointer = {"catalog": f"{version}.duckdb", "snapshot_id": newest[0], "as_of": as_of}
    (folder / "published" / f"{version}.json").write_text(json.dumps(pointer))
    return lake.find_version(data_dir, version)
