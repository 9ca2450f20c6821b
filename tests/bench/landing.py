"""Landing throughput of every bar format: ours beside stdlib json + pyarrow and DuckDB's read_json.

Run it with ``python -m tests.bench.landing``. All contenders take turns in one run, from the same
bodies to zstd Parquet on disk. Ours goes the connector's whole way (client, shape, hash, nine
envelope columns, fsync, read back); the others read files and write the vendor's columns only.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page
from ingest.transport.client import VendorClient
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.alphavantage import client as alphavantage
from ingest.vendors.binance import client as binance
from ingest.vendors.binance.schema import KLINES
from ingest.vendors.finnhub import client as finnhub
from ingest.vendors.fmp import client as fmp
from ingest.vendors.massive import bars as massive_bars
from ingest.vendors.massive.schema import MINUTES
from ingest.vendors.registry import ENDPOINTS

BARS, ROUNDS = 200_000, 3
FIRST, LAST = date(2000, 1, 1), date(2039, 12, 31)
NOW = datetime(2040, 1, 1, tzinfo=UTC)

Bar = dict[str, Any]
Said = tuple[str, dict[str, list[Any]]]
"""A symbol and its bars: t (time), o, h, l, c, v, n, vw."""


@dataclass(frozen=True, slots=True)
class Format:
    """A vendor's way to send bars.

    Attributes:
        endpoint: Where they land.
        symbols: Of one body.
        bars: Of one symbol in one body.
        step: Between two bars.
        body: Writes a body.
        ask: The connector's request for the symbols.
        rows: What stdlib json makes of a body, under the names of the columns.
        query: DuckDB's form, from the list of files ``{files}``.
    """

    endpoint: str
    symbols: int
    bars: int
    step: timedelta
    body: Callable[[list[Said]], Any]
    ask: Callable[[VendorClient, list[str]], Iterator[Page]]
    rows: Callable[[Any, str], Iterator[Bar]]
    query: str


def _days(bars: dict[str, list[Any]]) -> list[str]:
    return [f"{at:%Y-%m-%d}" for at in bars["t"]]


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _records(bars: dict[str, list[Any]], stamp: Callable[[datetime], Any]) -> list[Bar]:
    columns = {**bars, "t": [stamp(at) for at in bars["t"]]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _alpaca(said: list[Said]) -> Any:
    stamped = {name: _records(b, lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, b in said}
    return {"bars": stamped, "next_page_token": None}


def _grouped(said: list[Said]) -> Any:
    rows = [{"T": name, **row} for name, bars in said for row in _records(bars, _millis)]
    return {"adjusted": False, "resultsCount": len(rows), "status": "OK", "results": rows}


def _aggregates(said: list[Said]) -> Any:
    ((name, bars),) = said
    rows = _records(bars, _millis)
    head = {"ticker": name, "adjusted": False, "resultsCount": len(rows), "status": "OK"}
    return {**head, "results": rows}


def _candles(said: list[Said]) -> Any:
    ((_, bars),) = said
    times = [_millis(at) // 1000 for at in bars["t"]]
    return {**{name: bars[name] for name in "ohlcv"}, "t": times, "s": "ok"}


def _daily(said: list[Said]) -> Any:
    ((name, bars),) = said
    fields = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    values = zip(*(bars[letter] for letter in "ohlcv"), strict=True)
    series = {
        day: dict(zip(fields, map(str, row), strict=True))
        for day, row in zip(_days(bars), values, strict=True)
    }
    meta = {"2. Symbol": name, "4. Output Size": "Full size", "5. Time Zone": "US/Eastern"}
    return {"Meta Data": meta, "Time Series (Daily)": dict(reversed(series.items()))}


def _prices(said: list[Said]) -> Any:
    ((name, bars),) = said
    names = ("adjOpen", "adjHigh", "adjLow", "adjClose", "volume")
    values = zip(*(bars[letter] for letter in "ohlcv"), strict=True)
    return [
        {"symbol": name, "date": day, **dict(zip(names, row, strict=True))}
        for day, row in zip(_days(bars), values, strict=True)
    ][::-1]


def _klines(said: list[Said]) -> Any:
    ((_, bars),) = said
    day = 86_400_000
    return [
        [_millis(at), *map(str, prices), _millis(at) + day - 1, "5.5", n, "1.5", "2.5", "0"]
        for at, *prices, n in zip(*(bars[name] for name in "tohlcvn"), strict=True)
    ]


def _of_alpaca(said: Any, _name: str) -> Iterator[Bar]:
    for symbol, bars in said["bars"].items():
        yield from ({"symbol": symbol, **bar} for bar in bars)


def _of_daily(said: Any, _name: str) -> Iterator[Bar]:
    symbol = said["Meta Data"]["2. Symbol"]
    for day, row in said["Time Series (Daily)"].items():
        yield {"symbol": symbol, "date": day, **{name[3:]: value for name, value in row.items()}}


def _of_candles(said: Any, name: str) -> Iterator[Bar]:
    for row in zip(*(said[letter] for letter in "tohlcv"), strict=True):
        bar = dict(zip("tohlcv", row, strict=True))
        yield {"symbol": name, **bar, "t": bar["t"] * 1000}


_STRUCT = "struct(t {t}, o double, h double, l double, c double, v double, n bigint, vw double)"
_ALPACA_QUERY = f"""
    select symbol, b.t::timestamptz as t, b.* exclude (t) from (
        select unnest(map_keys(bars)) as symbol, unnest(map_values(bars)) as several
        from read_json({{files}}, maximum_object_size = 50000000,
            columns = {{{{bars: 'map(varchar, {_STRUCT.format(t="varchar")}[])'}}}})
    ), unnest(several) as u(b)
"""
_FIELDS = KLINES.columns.names[1:]

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
FORMATS = (
    Format(
        "alpaca/bars_1d", 4, 2500, DAY, _alpaca,
        lambda client, names: alpaca.bars(client, names, FIRST, LAST), _of_alpaca, _ALPACA_QUERY,
    ),
    Format(
        "alpaca/bars_1m", 4, 2500, MINUTE, _alpaca,
        lambda client, names: alpaca.minutes(client, names, FIRST, LAST), _of_alpaca, _ALPACA_QUERY,
    ),
    Format(
        "massive/grouped_1d", 10_000, 1, DAY, _grouped,
        lambda client, _names: iter([massive_bars.grouped(client, FIRST)]),
        lambda said, _name: ({**row, "ticker": row["T"], "date": FIRST} for row in said["results"]),
        # A map: to DuckDB the fields T and t of a struct have one name.
        """
        select date '2000-01-01' as date, b['T'] as ticker,
            make_timestamptz(b['t']::bigint * 1000) as t, b['o']::double as o, b['h']::double as h,
            b['l']::double as l, b['c']::double as c, b['v']::double as v, b['vw']::double as vw,
            b['n']::bigint as n
        from (select unnest(results) as b from read_json({files},
            maximum_object_size = 50000000, columns = {{results: 'map(varchar, varchar)[]'}}))
        """,
    ),
    Format(
        "massive/aggs_1m", 1, 50_000, MINUTE, _aggregates,
        lambda client, names: massive_bars.aggregates(
            client, MINUTES, names, FIRST, LAST
        ),
        lambda said, _name: ({"ticker": said["ticker"], **row} for row in said["results"]),
        f"""
        select ticker, make_timestamptz(b.t * 1000) as t, b.o, b.h, b.l, b.c, b.v, b.vw, b.n
        from (select * from read_json({{files}}, maximum_object_size = 50000000,
            columns = {{{{ticker: 'varchar', results: '{_STRUCT.format(t="bigint")}[]'}}}})),
            unnest(results) as u(b)
        """,
    ),
    Format(
        "finnhub/candles_1d_split_adjusted", 1, 5000, DAY, _candles,
        lambda client, names: finnhub.candles(client, names, FIRST, LAST, NOW), _of_candles,
        """
        select split_part(filename, '/', -1) as symbol, make_timestamptz(unnest(t) * 1000000) as t,
            unnest(o) as o, unnest(h) as h, unnest(l) as l, unnest(c) as c, unnest(v) as v
        from read_json({files}, filename = true, columns = {{t: 'bigint[]', o: 'double[]',
            h: 'double[]', l: 'double[]', c: 'double[]', v: 'double[]'}})
        """,
    ),
    Format(
        "alphavantage/time_series_daily", 1, 5000, DAY, _daily,
        lambda client, names: alphavantage.daily(client, names, FIRST, LAST, NOW), _of_daily,
        """
        select m['2. Symbol'] as symbol, e.key::date as date, e.value['1. open'] as open,
            e.value['2. high'] as high, e.value['3. low'] as low, e.value['4. close'] as close,
            e.value['5. volume'] as volume
        from (select "Meta Data" as m, "Time Series (Daily)" as series from read_json({files},
            columns = {{'Meta Data': 'map(varchar, varchar)',
                'Time Series (Daily)': 'map(varchar, map(varchar, varchar))'}})),
            unnest(map_entries(series)) as u(e)
        """,
    ),
    Format(
        "fmp/eod_non_split_adjusted", 1, 4900, DAY, _prices,
        lambda client, names: fmp.prices(client, names, FIRST, LAST, NOW),
        lambda said, _name: iter(said),
        """
        select * from read_json({files}, format = 'array', columns = {{symbol: 'varchar',
            date: 'date', adjOpen: 'double', adjHigh: 'double', adjLow: 'double',
            adjClose: 'double', volume: 'double'}})
        """,
    ),
    Format(
        "binance/klines_1d", 1, 999, DAY, _klines,
        lambda client, names: binance.klines(client, names, FIRST, LAST, NOW),
        lambda said, name: ({"symbol": name, **dict(zip(_FIELDS, r, strict=False))} for r in said),
        """
        select split_part(filename, '/', -1) as symbol, json[1]::bigint as open_time,
            json[2] as open, json[3] as high, json[4] as low, json[5] as close, json[6] as volume,
            json[7]::bigint as close_time, json[8] as quote_volume, json[9]::bigint as trades,
            json[10] as taker_buy_base_volume, json[11] as taker_buy_quote_volume
        from read_json({files}, filename = true, format = 'array', records = false,
            columns = {{json: 'varchar[]'}})
        """,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bodies:
    """The bodies of one format on disk, and the symbols of each."""

    format: Format
    paths: list[Path]
    symbols: list[list[str]]

    @property
    def asks(self) -> list[list[str]]:
        """The symbols of one request each; a body of one symbol is one of a longer request's."""
        one = [name for names in self.symbols for name in names]
        return [one] if self.format.symbols == 1 else self.symbols

    @property
    def bars(self) -> int:
        """Bars in all bodies."""
        return len(self.paths) * self.format.symbols * self.format.bars


def bench_landing(bars: int = BARS, rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Prints and returns one JSON line per format: bars a second of ours, the others' times.

    Args:
        bars: About so many of every format.
        rounds: Turns of every contender.
    """
    lines = []
    for format_ in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            bodies = _write_bodies(format_, Path(folder), bars)
            seconds = _measured(bodies, Path(folder) / "out", rounds)
        ours, stdlib, duck = (_medians(times) for times in seconds.values())
        lines.append(
            {
                "bench": "landing",
                "format": format_.endpoint,
                "bars": bodies.bars,
                "bars_per_s": round(bodies.bars / ours[0]),
                "x_stdlib_json_pyarrow": round(stdlib[0] / ours[0], 2),
                "x_duckdb_read_json": round(duck[0] / ours[0], 2),
                "cpu_x_stdlib_json_pyarrow": round(stdlib[1] / ours[1], 2),
                "cpu_x_duckdb_read_json": round(duck[1] / ours[1], 2),
                "goals": "1.5 and 1.0",
                "rounds": rounds,
            }
        )
        print(json.dumps(lines[-1]), flush=True)
    return lines


Seconds = tuple[float, float]
"""Of the wall, and of all threads; the second says more on a busy machine."""


def _medians(times: list[Seconds]) -> Seconds:
    walls, cpus = zip(*times, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _measured(bodies: Bodies, out: Path, rounds: int) -> dict[str, list[Seconds]]:
    contenders = {"trademl": _ours, "stdlib": _stdlib, "duckdb": _duckdb}
    seconds: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, contender in contenders.items():
            target = out / f"{name}-{turn}"
            target.mkdir(parents=True)
            wall, cpu = time.perf_counter(), time.process_time()
            contender(bodies, target)
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            assert _rows_in(target) == bodies.bars, f"{name} lost rows"
    return seconds


def _rows_in(folder: Path) -> int:
    found = duckdb.sql(f"select count(*) from read_parquet('{folder}/**/*.parquet')").fetchone()
    assert found is not None
    return int(found[0])


def _ours(bodies: Bodies, out: Path) -> None:
    paths = iter(bodies.paths)
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=next(paths).read_bytes()))
    endpoint = ENDPOINTS[bodies.format.endpoint]
    fetch = Fetch(endpoint, "bench", "bench", FIRST, LAST)
    with VendorClient("bench", "http://bench.invalid", transport=answer) as client:
        pages = (page for names in bodies.asks for page in bodies.format.ask(client, names))
        land(out, fetch, pages, NOW)


def _stdlib(bodies: Bodies, out: Path) -> None:
    """What one writes without thinking of speed: json.loads, rows, columns, Parquet."""
    columns = ENDPOINTS[bodies.format.endpoint].columns
    with pq.ParquetWriter(out / "bars.parquet", columns, compression="zstd") as writer:
        for path, names in zip(bodies.paths, bodies.symbols, strict=True):
            rows = list(bodies.format.rows(json.loads(path.read_bytes()), names[0]))
            arrays = [_column([row.get(f.name) for row in rows], f.type) for f in columns]
            writer.write_table(pa.table(arrays, schema=columns))


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(values[0], str):
        return pa.array(values, pa.string()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.timestamp("ms", "UTC")).cast(kind)
    return pa.array(values, kind)


def _duckdb(bodies: Bodies, out: Path) -> None:
    """The fastest form known: one COPY over all bodies with declared types."""
    con = duckdb.connect()
    con.execute("set threads = 2")
    query = bodies.format.query.format(files=[str(path) for path in bodies.paths])
    con.execute(f"copy ({query}) to '{out}/bars.parquet' (compression zstd)")
    con.close()


def _write_bodies(format_: Format, folder: Path, bars: int) -> Bodies:
    rng = np.random.default_rng(7)
    count = max(1, bars // (format_.symbols * format_.bars))
    paths, symbols = [], []
    for number in range(count):
        names = [f"S{number:03d}X{place}" for place in range(format_.symbols)]
        said = [(name, _draw(rng, format_)) for name in names]
        path = folder / names[0]
        path.write_bytes(orjson.dumps(format_.body(said)))
        paths.append(path)
        symbols.append(names)
    return Bodies(format_, paths, symbols)


def _draw(rng: np.random.Generator, format_: Format) -> dict[str, list[Any]]:
    begin = datetime(2007, 1, 3, 14, 30, tzinfo=UTC)
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.001, format_.bars))), 2)
    opened = np.round(close * (1 + rng.normal(0, 0.005, format_.bars)), 2)
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    volume = rng.integers(1000, 9_000_000, format_.bars)
    numbers = {"o": opened, "h": high.round(2), "l": low.round(2), "c": close, "v": volume}
    more = {"n": volume // 100, "vw": ((high + low + close) / 3).round(4)}
    times = [begin + number * format_.step for number in range(format_.bars)]
    return {"t": times, **{name: array.tolist() for name, array in (numbers | more).items()}}


if __name__ == "__main__":
    bench_landing()
