"""A month of nights joined into one file: what was published, and what changed when, reads the same."""

import json
import time

import duckdb
import pytest
from duckdb_extensions import import_extension

NIGHTS, ROWS = 30, 2000


@pytest.fixture
def lake(tmp_path):
    con = attach(tmp_path, "catalog", ", data_inlining_row_limit 0")
    con.execute("create table lake.bars (symbol varchar, session_date date, close double)")
    for night in range(NIGHTS):
        # As an incremental model writes: the last session once more, and a new one.
        con.execute(
            f"""
            begin;
            delete from lake.bars where session_date >= date '2020-01-01' + {night - 1};
            insert into lake.bars
                select 'S' || i, date '2020-01-01' + day::int, i + day / 7
                from range({ROWS}) as names (i), range({max(0, night - 1)}, {night + 1}) as d (day);
            commit
            """
        )
        if night % 10 == 9:
            con.execute(f"attach '{tmp_path}/v{night}.duckdb' as copy")
            con.execute("copy from database __ducklake_metadata_lake to copy")
            con.execute("detach copy")
    return con


def attach(folder, catalog, options):
    con = duckdb.connect()
    import_extension("ducklake", con=con)
    con.execute("load ducklake")
    con.execute(
        f"attach 'ducklake:{folder}/{catalog}.duckdb' as lake (data_path '{folder}/files/'{options})"
    )
    return con


def compact(con):
    """What ``macros/engine/compact_tables.sql`` calls."""
    table = "'lake', 'bars', schema => 'main'"
    con.execute(f"call ducklake_rewrite_data_files({table}, delete_threshold => 0)")
    con.execute(f"call ducklake_merge_adjacent_files({table})")


def published(folder):
    """The rows of every published version."""
    return {
        night: attach(folder, f"v{night}", ", override_data_path true, read_only")
        .execute("select * from lake.bars order by all")
        .fetchall()
        for night in (9, 19, 29)
    }


def changes(con):
    """What the change feed tells of the last nights, and a table as it was in the middle."""
    feeds = [
        con.execute(
            f"select * from ducklake_table_{feed}('lake', 'main', 'bars', 15, {NIGHTS + 1})"
            " order by all"
        ).fetchall()
        for feed in ("insertions", "deletions")
    ]
    return feeds, con.execute("select count(*) from lake.bars at (version => 12)").fetchall()


def measured(con, folder):
    began = time.perf_counter()
    con.execute("select symbol, sum(close) from lake.bars group by all").fetchall()
    seconds = time.perf_counter() - began
    listed = con.execute("select count(*) from ducklake_list_files('lake', 'bars')").fetchone()[0]
    return {
        "files": listed,
        "on disk": sum(1 for _ in folder.rglob("files/**/*.parquet")),
        "scan_ms": round(seconds * 1e3, 1),
    }


def test_joined_files_change_no_version_and_no_feed(lake, tmp_path):
    before, versions, told = measured(lake, tmp_path), published(tmp_path), changes(lake)
    compact(lake)
    after = measured(lake, tmp_path)
    print(json.dumps({"before": before, "after": after}))
    assert published(tmp_path) == versions
    assert changes(lake) == told
    assert after["files"] < before["files"] / 5
    # What was joined stays on disk: published versions read it.
    assert after["on disk"] >= before["on disk"]
    newest = "select max(snapshot_id) from ducklake_snapshots('lake')"
    snapshot = lake.execute(newest).fetchall()
    compact(lake)
    # Nothing left to join is not a new version.
    assert lake.execute(newest).fetchall() == snapshot
