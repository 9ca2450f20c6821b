"""Raw and lake layouts: what a day costs to append, and what joining a month's files is worth.

Run it with ``python -m tests.bench.layouts``. The bound is a Parquet file of the same rows: plain for
the append, a single sorted one for the reads.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb_extensions import import_extension

from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page, table_of_columns
from ingest.vendors.registry import ENDPOINTS

SYMBOLS, SESSIONS, TURNS = 800, 252, 5
FIRST = date(2024, 1, 1)
DAYS = [FIRST + timedelta(days=day) for day in range(SESSIONS)]
GROUPED = ENDPOINTS["massive/grouped_1d"]
READS = {
    "one_date": f"select sum(c) from {{bars}} where date = date '{DAYS[-2]}'",
    "one_symbol": "select sum(c) from {bars} where ticker = 'S0400'",
    "full_scan": "select sum(c), max(v), count(ticker) from {bars}",
}


def lines() -> Iterator[dict[str, Any]]:
    """A line for the append of a day, and one for the reads before and after compaction."""
    rng = np.random.default_rng(5)
    days = [_rows(rng, day) for day in DAYS]
    with tempfile.TemporaryDirectory() as folder:
        raw, lake = _append_raw(Path(folder), days), _lake(Path(folder))
        appends = [_seconds(lambda day=day: _insert(lake, day)) for day in days]
        bound = _bound(Path(folder), days)
        yield {
            "bench": "append_day",
            "symbols": SYMBOLS,
            "raw_ms": _ms(raw["land"]),
            "raw_x_parquet_and_fsync": _ratio(raw["land"], raw["bound"]),
            "lake_ms": _ms(appends[-20:]),
            "lake_last_20_over_first_20_days": _ratio(appends[-20:], appends[:20]),
        }
        before = _reads(lake, "lake.bars")
        compaction = _seconds(lambda: _compact(lake))
        after, one_file = _reads(lake, "lake.bars"), _reads(lake, f"'{bound}'")
        for name in READS:
            yield {
                "bench": f"lake_{name}",
                "files": SESSIONS,
                "daily_files_ms": _ms(before[name]),
                "compacted_ms": _ms(after[name]),
                "compacted_x_daily_files": _ratio(before[name], after[name]),
                "one_parquet_x_compacted": _ratio(after[name], one_file[name]),
            }
        yield {"bench": "lake_compaction", "files": SESSIONS, "ms": _ms([compaction])}


def _rows(rng: np.random.Generator, day: date) -> pa.Table:
    closes = np.round(rng.uniform(5, 500, SYMBOLS), 2)
    opened = datetime(day.year, day.month, day.day, 21, tzinfo=UTC)
    columns = {
        "ticker": [f"S{number:04d}" for number in range(SYMBOLS)],
        "date": [day.isoformat()] * SYMBOLS,
        "t": pa.repeat(pa.scalar(opened, pa.timestamp("us", "UTC")), SYMBOLS),
        **{name: closes.tolist() for name in ("o", "h", "l", "c", "vw")},
        "v": rng.integers(1_000, 9_000_000, SYMBOLS).astype(float).tolist(),
        "n": rng.integers(1, 9_000, SYMBOLS).tolist(),
    }
    return table_of_columns(GROUPED, columns)


def _append_raw(folder: Path, days: list[pa.Table]) -> dict[str, list[float]]:
    """Seconds of landing a day with its evidence, and of a plain durable Parquet file."""
    seconds: dict[str, list[float]] = {"land": [], "bound": []}
    for number, rows in enumerate(days[:50]):
        clock = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        fetch = Fetch(GROUPED, "bench", f"request-{number}", DAYS[number], DAYS[number])
        page = Page(rows, "0" * 64, "https://bench.invalid/day", "0" * 64)

        def landed(fetch: Fetch = fetch, page: Page = page, clock: datetime = clock) -> None:
            land(folder / "data", fetch, [page], clock)

        seconds["land"].append(_seconds(landed))
        path = folder / f"plain-{number}.parquet"
        seconds["bound"].append(_seconds(lambda path=path, rows=rows: _durable(path, rows)))
    return seconds


def _durable(path: Path, rows: pa.Table) -> None:
    with open(path, "wb") as handle:
        pq.write_table(rows, handle, compression="zstd")
        handle.flush()
        os.fsync(handle.fileno())


def _lake(folder: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    import_extension("ducklake", con=con)
    con.execute("load ducklake")
    con.execute(
        f"attach 'ducklake:duckdb:{folder}/catalog.duckdb' as lake "
        f"(data_path '{folder}/files/', data_inlining_row_limit 0)"
    )
    con.execute(
        "create table lake.bars "
        "(ticker varchar, date date, o double, h double, l double, c double, v double, vw double)"
    )
    return con


def _insert(lake: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    lake.register("day", rows)
    lake.execute("insert into lake.bars select ticker, date, o, h, l, c, v, vw from day")
    lake.unregister("day")


def _compact(lake: duckdb.DuckDBPyConnection) -> None:
    """What ``macros/engine/compact_tables.sql`` calls."""
    lake.execute("call ducklake_merge_adjacent_files('lake', 'bars')")


def _bound(folder: Path, days: list[pa.Table]) -> Path:
    path = folder / "one.parquet"
    table = pa.concat_tables(days).select(["ticker", "date", "o", "h", "l", "c", "v", "vw"])
    pq.write_table(table, path, compression="zstd")
    return path


def _reads(lake: duckdb.DuckDBPyConnection, bars: str) -> dict[str, list[float]]:
    return {
        name: [_seconds(lambda query=query: _fetch(lake, query, bars)) for _ in range(TURNS)]
        for name, query in READS.items()
    }


def _fetch(lake: duckdb.DuckDBPyConnection, query: str, bars: str) -> None:
    lake.execute(query.format(bars=bars)).fetchall()


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _ms(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1000, 1)


def _ratio(seconds: list[float], beside: list[float]) -> float:
    return round(statistics.median(seconds) / statistics.median(beside), 2)


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line), flush=True)
