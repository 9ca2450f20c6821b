"""Landing throughput: ours against stdlib json + pyarrow and DuckDB's read_json, on the same pages.

Run it with ``python -m tests.bench.landing``. All contenders take turns in one run, from bodies on
disk to zstd Parquet on disk. Ours writes the nine envelope columns too, checks the shape, hashes
the bodies, fsyncs and verifies; the others write the vendor's nine columns and nothing else.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.endpoints import ENDPOINTS
from ingest.landing import Fetch, land
from ingest.payloads import Page
from ingest.vendors.alpaca import read_bars
from trademl.files import sha256_of_bytes

BARS = ENDPOINTS["alpaca/bars_1d"]
_PAGES, _ROWS, _ROUNDS = 100, 10_000, 3


def bench_landing(pages: int = _PAGES, rounds: int = _ROUNDS) -> list[dict[str, object]]:
    """Prints and returns one JSON line per contender, then the ratios of their medians.

    Args:
        pages: Bodies of 10,000 bars each.
        rounds: Turns of every contender.
    """
    with tempfile.TemporaryDirectory() as folder:
        bodies = _write_pages(Path(folder) / "pages", pages)
        seconds = _measured(_contenders(), bodies, Path(folder) / "out", rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    lines: list[dict[str, object]] = [
        {
            "bench": "landing",
            "contender": name,
            "bars": pages * _ROWS,
            "median_s": round(median, 3),
            "bars_per_s": round(pages * _ROWS / median),
        }
        for name, median in medians.items()
    ]
    ours = medians["trademl"]
    ratios = {f"x_{name}": round(other / ours, 2) for name, other in medians.items()}
    lines.append({"bench": "landing", "ratio_of": "trademl", "rounds": rounds, **ratios})
    for line in lines:
        print(json.dumps(line), flush=True)
    return lines


Contender = Callable[[list[Path], Path], None]


def _contenders() -> dict[str, Contender]:
    return {
        "trademl": _ours,
        "stdlib_json_pyarrow": _stdlib,
        "duckdb_read_json_1_thread": lambda bodies, out: _duckdb(bodies, out, threads=1),
        "duckdb_read_json_2_threads": lambda bodies, out: _duckdb(bodies, out, threads=2),
    }


def _measured(
    contenders: dict[str, Contender], bodies: list[Path], out: Path, rounds: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, contender in contenders.items():
            target = out / f"{name}-{turn}"
            target.mkdir(parents=True)
            began = time.perf_counter()
            contender(bodies, target)
            seconds[name].append(time.perf_counter() - began)
            assert _rows_in(target) == len(bodies) * _ROWS, f"{name} lost rows"
    return seconds


def _rows_in(folder: Path) -> int:
    found = duckdb.sql(f"select count(*) from read_parquet('{folder}/**/*.parquet')").fetchone()
    assert found is not None
    return int(found[0])


def _ours(bodies: list[Path], out: Path) -> None:
    fetch = Fetch(BARS, "equities_bars_1d", "bench", date(2000, 1, 1), date(2030, 1, 1))
    land(out, fetch, _pages(bodies), datetime(2030, 1, 1, tzinfo=UTC))


def _pages(bodies: list[Path]) -> Iterator[Page]:
    uri = "https://data.alpaca.markets/v2/stocks/bars?timeframe=1Day"
    for path in bodies:
        body = path.read_bytes()
        yield Page(read_bars(body).rows, sha256_of_bytes(body), uri, "bench")


def _stdlib(bodies: list[Path], out: Path) -> None:
    """What one writes without thinking of speed: json.loads, rows, columns, Parquet."""
    with pq.ParquetWriter(out / "bars.parquet", BARS.columns, compression="zstd") as writer:
        for path in bodies:
            answer = json.loads(path.read_bytes())["bars"].items()
            rows = [{"symbol": symbol, **bar} for symbol, bars in answer for bar in bars]
            columns = {name: [row[name] for row in rows] for name in BARS.columns.names}
            times = pa.array(columns.pop("t")).cast(BARS.columns.field("t").type)
            arrays = {
                name: pa.array(values, BARS.columns.field(name).type)
                for name, values in columns.items()
            }
            writer.write_table(pa.table({**arrays, "t": times}).select(BARS.columns.names))


def _duckdb(bodies: list[Path], out: Path, threads: int) -> None:
    """The fastest form known: one COPY over all bodies with a typed MAP."""
    bar = "struct(t varchar, o double, h double, l double, c double, v double, n bigint, vw double)"
    con = duckdb.connect()
    con.execute(f"set threads = {threads}")
    con.execute(f"""
        copy (
            select symbol, b.t::timestamptz as t, b.o, b.h, b.l, b.c, b.v, b.n, b.vw
            from (
                select unnest(map_keys(bars)) as symbol, unnest(map_values(bars)) as list_of_bars
                from read_json(
                    {[str(path) for path in bodies]},
                    columns = {{bars: 'map(varchar, {bar}[])', next_page_token: 'varchar'}},
                    maximum_object_size = 50000000
                )
            ), unnest(list_of_bars) as u(b)
        ) to '{out}/bars.parquet' (compression zstd)
    """)
    con.close()


def _write_pages(folder: Path, pages: int) -> list[Path]:
    """Bodies as Alpaca sends them: three or four symbols of some thirteen years in each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    begin = datetime(2007, 1, 3, 5, tzinfo=UTC)
    stamps = [f"{begin + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}" for day in range(3270)]
    paths = []
    for number in range(pages):
        sizes = [3270, 3270, 3270, 190]
        bars = {f"S{number:03d}{n}": _bars(rng, stamps[:size]) for n, size in enumerate(sizes)}
        path = folder / f"{number:03d}.json"
        path.write_bytes(orjson.dumps({"bars": bars, "next_page_token": f"token-{number}"}))
        paths.append(path)
    return paths


def _bars(rng: np.random.Generator, stamps: list[str]) -> list[dict[str, object]]:
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.02, len(stamps)))), 2)
    opened = np.round(close * (1 + rng.normal(0, 0.01, len(stamps))), 2)
    high, low = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    volume = rng.integers(1000, 9_000_000, len(stamps))
    vwap = ((high + low + close) / 3).round(6)
    numbers = [a.round(6).tolist() for a in (opened, high, low, close, volume, volume // 100, vwap)]
    names = ("t", "o", "h", "l", "c", "v", "n", "vw")
    return [dict(zip(names, row, strict=True)) for row in zip(stamps, *numbers, strict=True)]


if __name__ == "__main__":
    bench_landing()
