"""What the lake's integration tests share: small markets, nights, dbt builds, exact comparison."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from ingest.sync import run_ingest
from simulator.market.clocks import market_clock, previous_clock
from simulator.market.simulate import simulate_market
from tests.support.cache import made_once
from tests.support.dbt_server import parse_once, run_dbt
from trademl.cli.demo import datasets_of, replayed_vendors, symbols_of
from trademl.clock import iso
from trademl.lake import versions as lake

MARKET_START, MARKET_END = date(2020, 6, 1), date(2021, 12, 31)
LATE_DELISTING = date(2021, 12, 7)
"""Last bar of a seasoned company."""
RENAMED_DELISTING = date(2021, 8, 20)
"""Last bar of another one, that was renamed before."""
AWAY = (date(2021, 10, 4), date(2021, 10, 25))
"""A company trades under another symbol and takes its old one back."""
LONG_GAP = (date(2021, 2, 1), date(2021, 7, 15))
"""Longer than any look-back that is counted in calendar days."""
SECOND_VENDORS = (
    *(("massive", "universe_pit"), ("massive", "delistings"), ("sec_edgar", "company_tickers")),
    *(("massive", "corp_actions_splits"), ("massive", "corp_actions_dividends")),
)
NO_TESTS = ("--exclude-resource-type", "test")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake and how to compare it.

    Attributes:
        name: Schema and table.
        keys: The columns that name a row.
        known: Condition for "the build at $t has it": sessions and knowledge up to then.
        columns: Columns compared; all unless said.
    """

    name: str
    keys: str
    known: str = "session_date <= $t::date and known_at <= $t"
    columns: str = "*"

    def query(self, condition: str = "true") -> str:
        return f"select {self.columns} from {self.name} where {condition} order by {self.keys}"


BARS = "security_id, session_date"
LABELS = "t1 <= $t::date and known_at <= $t"
POINT_IN_TIME = (
    Table("curated.equities_bars_asof", f"{BARS}, symbol"),
    Table("curated.equities_ohlcv_adj", BARS),
    Table("curated.crypto_ohlcv", BARS),
    Table("features.feat_equities_xs", BARS),
    Table("features.feat_selection", f"asset_class, {BARS}"),
    Table("features.feat_complexity", BARS),
    Table("reference.universe", BARS),
    Table("reference.corp_actions", "security_id, event_type, ex_date", "known_at <= $t"),
    Table("reference.delistings", "security_id", "known_at <= $t"),
    Table(
        "reference.symbol_metadata",
        "asset_class, symbol, valid_from_at",
        "valid_from_at <= $t",
        "* replace (case when valid_to_at <= $t then valid_to_at end as valid_to_at)",
    ),
    Table(
        "quality.partition_status",
        "table_name, symbol, dt",
        """exists (
            select 1 from reference.calendars as calendars
            where calendars.exchange = case when table_name like '%crypto%' then 'UTC_24X7' else 'XNYS' end
            and calendars.session_date = dt and calendars.close_at <= $t
        )""",
        "table_name, symbol, dt, status, qc_code, row_count, expected_rows",
    ),
    Table("labels.label_horizon", f"horizon, {BARS}", LABELS),
    Table("labels.label_triple_barrier", BARS, LABELS),
    Table("matrices.returns_matrix", BARS),
    Table("matrices.features_matrix", BARS),
)


def eventful_market() -> Path:
    """A simulated market with more events: late delistings, a long gap, a rename and back."""
    return made_once("eventful-market", _eventful_market)


def _eventful_market(folder: Path) -> None:
    simulate_market(folder, seed=7, n_symbols=28, n_crypto=6, start=MARKET_START, end=MARKET_END)
    leaver, sleeper, renamed = clean_symbols(folder)[:3]
    last_bar = (
        f"case symbol when '{leaver}' then date '{LATE_DELISTING}' "
        f"when '{defect(folder, 'rename-1')[0]}' then date '{RENAMED_DELISTING}' end"
    )
    edit(
        folder,
        "equities_daily",
        f"""select * replace (
            case when symbol = '{renamed}' and date >= '{AWAY[0]}' and date < '{AWAY[1]}'
            then 'BACK' else symbol end as symbol
        ) from this
        where coalesce(date <= {last_bar}, true)
        and not (symbol = '{sleeper}' and date between '{LONG_GAP[0]}' and '{LONG_GAP[1]}')
        order by symbol, date""",
    )
    edit(
        folder,
        "listings",
        f"""select * replace (coalesce({last_bar}, last_bar_date) as last_bar_date) from this
        union all by name
        select * replace ('BACK' as symbol, date '{AWAY[0]}' as first_bar_date)
        from this where symbol = '{renamed}'""",
    )
    edit(
        folder,
        "renames",
        f"""from this union all by name
        from (values ('{renamed}', 'BACK', date '{AWAY[0]}'), ('BACK', '{renamed}', date '{AWAY[1]}'))
        as renames (old_symbol, new_symbol, effective_date)""",
    )
    _also_planted(folder, late_delisting=(leaver, LATE_DELISTING), long_gap=(sleeper, LONG_GAP[0]))
    _also_planted(folder, rename_and_back=(renamed, AWAY[0]))


def year_market() -> Path:
    """A small simulated market of thirteen months."""
    return made_once("year-market", _year_market)


def _year_market(folder: Path) -> None:
    span = {"start": date(2020, 12, 1), "end": date(2021, 12, 31)}
    simulate_market(folder, seed=3, n_symbols=24, n_crypto=2, **span)


def one_night() -> Path:
    """A data directory on the small market: the night before the last landed and published."""
    return made_once("one-night", _one_night)


def _one_night(data: Path) -> None:
    market = year_market()
    land_night(market, data, previous_clock(market))
    publish(data, previous_clock(market))
    parse_once(data)


def two_nights() -> Path:
    """The same, and the last night landed."""
    return made_once("two-nights", _two_nights)


def _two_nights(data: Path) -> None:
    market = year_market()
    shutil.copytree(one_night(), data, dirs_exist_ok=True)
    land_night(market, data, market_clock(market))


def two_nights_published() -> Path:
    """The same, and both nights published."""
    return made_once("two-nights-published", _two_nights_published)


def _two_nights_published(data: Path) -> None:
    shutil.copytree(two_nights(), data, dirs_exist_ok=True)
    publish(data, market_clock(year_market()))


def _also_planted(market: Path, **events: tuple[str, date]) -> None:
    path = market / "defects.json"
    planted = json.loads(path.read_text())
    for kind, (symbol, day) in events.items():
        planted.append(
            {"id": f"{kind}-1", "kind": kind, "symbol": symbol, "session_date": day.isoformat()}
        )
    path.write_text(json.dumps(planted))


def clean_symbols(market: Path) -> list[str]:
    """Symbols with bars from the first day to the last that nothing was planted on."""
    touched = [row["symbol"] for row in json.loads((market / "defects.json").read_text())]
    rows = duckdb.execute(
        f"""select symbol from '{market}/equities_daily.parquet'
        where symbol <> all($touched) group by symbol
        having min(date) = (select min(date) from '{market}/equities_daily.parquet')
        and max(date) = (select max(date) from '{market}/equities_daily.parquet')
        order by symbol""",
        {"touched": [symbol or "" for symbol in touched]},
    ).fetchall()
    return [symbol for (symbol,) in rows]


def defect(market: Path, identity: str) -> tuple[str, date]:
    """Symbol and day of a planted defect."""
    rows = {row["id"]: row for row in json.loads((market / "defects.json").read_text())}
    return rows[identity]["symbol"], date.fromisoformat(rows[identity]["session_date"])


def edit(market: Path, table: str, query: str) -> None:
    """Replaces a market file by a query over it, in which it is called ``this``."""
    path = market / f"{table}.parquet"
    connection = duckdb.connect()
    connection.register("this", connection.read_parquet(str(path)).to_arrow_table())
    connection.execute(f"copy ({query}) to '{path}.new' (format parquet)")
    connection.close()
    Path(f"{path}.new").replace(path)


def write_market(folder: Path, **tables: pa.Table) -> Path:
    """A market directory of the given tables."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        duckdb.connect().from_arrow(table).to_parquet(str(folder / f"{name}.parquet"))
    return folder


def land_night(
    market: Path,
    data_dir: Path,
    clock: datetime,
    *,
    without: Sequence[str] = (),
    only: Sequence[str] = (),
) -> None:
    """Lands what the replayed vendors know at a clock, but not the symbols named.

    All datasets, or only those that are named.
    """
    with replayed_vendors(market, clock, "") as (url, settings):
        for vendor, dataset in datasets_of(market):
            if only and dataset not in only:
                continue
            symbols = symbols_of(market, dataset)
            if without and dataset in ("equities_bars_1d", "crypto_bars_1d"):
                symbols = _all_symbols(market, dataset, clock, without)
            run_ingest(
                vendor,
                dataset,
                data_dir=data_dir,
                clock=clock,
                settings=settings,
                base_url=url if vendor in ("alpaca", "binance") else None,
                symbols=symbols,
            )


def land_second_vendors(market: Path, data_dir: Path, clock: datetime) -> None:
    """Lands what vendors say that feed no table of bars: listings, splits and dividends."""
    with replayed_vendors(market, clock, "") as (url, settings):
        key = SecretStr("key")
        settings = settings.model_copy(
            update={"massive_api_key": key, "sec_user_agent": "lake a@b.example"}
        )
        for vendor, dataset in SECOND_VENDORS:
            run_ingest(
                vendor, dataset, data_dir=data_dir, clock=clock, settings=settings, base_url=url
            )


def _all_symbols(market: Path, dataset: str, clock: datetime, without: Sequence[str]) -> list[str]:
    file = "equities_daily" if dataset == "equities_bars_1d" else "crypto_daily"
    rows = duckdb.execute(
        f"select distinct symbol from '{market}/{file}.parquet' where date < $day order by symbol",
        {"day": clock.date()},
    ).fetchall()
    return [symbol for (symbol,) in rows if symbol not in without]


def share_raw(source: Path, target: Path) -> Path:
    """A new data directory with the same landed files (hard links: nothing may change them)."""
    shutil.copytree(source / "raw", target / "raw", copy_function=os.link)
    return target


def dbt(
    data_dir: Path,
    clock: datetime,
    *arguments: str,
    command: str = "build",
    selected: str = "flow_data",
) -> subprocess.CompletedProcess[str]:
    """Runs dbt as its user would, on the models of a selection."""
    logs = data_dir / "logs"
    # DuckLake makes neither folder by itself; `trademl build` has the same effect through its log.
    logs.mkdir(parents=True, exist_ok=True)
    return run_dbt(
        [
            *(command, "--select", selected, *arguments),
            *("--target-path", str(logs / "dbt"), "--log-path", str(logs)),
            # Writing the thousands of lines for debugging takes a tenth of a build.
            *("--log-level-file", "info"),
        ],
        dbt_environment(data_dir, clock),
    )


def dbt_environment(data_dir: Path, clock: datetime) -> dict[str, str]:
    given = {"TRADEML_DATA": str(data_dir), "TRADEML_CLOCK": iso(clock)}
    return {**os.environ, **given}


def publish(data_dir: Path, clock: datetime, *arguments: str) -> lake.Version:
    """Builds all models with their tests and publishes a version, as ``trademl build`` does."""
    done = dbt(data_dir, clock, *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    return lake.find_version(data_dir)


def build_models(data_dir: Path, clock: datetime, *arguments: str) -> Path:
    """Builds all models without their tests, which publishes nothing; read it with ``open_live``."""
    done = dbt(data_dir, clock, *NO_TESTS, *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    return data_dir


@contextmanager
def open_live(data_dir: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The live lake, read-only; nobody may be building."""
    live = lake.Version("live", "", 0, lake.lakehouse_dir(data_dir) / "catalog.duckdb")
    with lake.open_version(data_dir, live) as connection:
        yield connection


@contextmanager
def open_newest(data_dir: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The newest published version."""
    with lake.open_version(data_dir, lake.find_version(data_dir)) as connection:
        yield connection


def relations(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every table and view of the lake that holds data, as ``schema.table``.

    But not the registries' history: it tells when builds saw a rule, so it hangs on which builds
    there were, and two lakes of the same data may differ in it (ADR 20).
    """
    rows = connection.execute(
        """select table_schema || '.' || table_name from information_schema.tables
        where table_catalog = 'lake' and table_schema not in ('main', 'staging', 'history') order by 1"""
    ).fetchall()
    return [name for (name,) in rows]


def fetch(connection: duckdb.DuckDBPyConnection, query: str, t: datetime | None = None) -> pa.Table:
    """The result of a query, which may ask for the moment ``$t``."""
    asked = {"t": t} if t is not None and "$t" in query else {}
    return connection.execute(query, asked).to_arrow_table()


def differing_cells(left: pa.Table, right: pa.Table) -> dict[str, int]:
    """Per column, how many cells differ bit for bit; row counts under ``rows`` where they differ.

    Both tables must be in the order of their keys. NaN equals NaN of the same bits; -0.0 and 0.0
    differ.
    """
    if left.schema != right.schema:
        return {"schema": 1}
    if left.num_rows != right.num_rows:
        return {"rows": abs(left.num_rows - right.num_rows)}
    found = {}
    for name in left.column_names:
        count = _differences(left.column(name), right.column(name))
        if count:
            found[name] = count
    return found


def _differences(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    if pa.types.is_floating(left.type):
        return int(np.count_nonzero(_bits(left) != _bits(right)))
    if left.equals(right):
        return 0
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return sum(one != other for one, other in pairs)


def _bits(column: pa.ChunkedArray) -> np.ndarray:
    """Raw bits as integers, beside them whether the value is there."""
    array = column.combine_chunks()
    width = np.int32 if array.type == pa.float32() else np.int64
    values = array.fill_null(0).to_numpy(zero_copy_only=False).view(width).astype(np.int64)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    # No double has all bits set and is a number of ours: it marks a missing value.
    return np.where(missing, np.int64(-1), values)


def assert_same(
    left: duckdb.DuckDBPyConnection,
    right: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    t: datetime,
    *,
    must_have_rows: bool = True,
) -> None:
    """Both lakes agree to the bit on what was known at ``t``; tables without rows prove nothing."""
    differences = {}
    for table in tables:
        query = table.query(table.known)
        one, other = fetch(left, query, t), fetch(right, query, t)
        if must_have_rows:
            assert one.num_rows, f"{table.name} has no rows at {t}"
        found = differing_cells(one, other)
        if found:
            differences[table.name] = found | {"example": _example(one, other, table)}
    assert not differences, differences


def _example(one: pa.Table, other: pa.Table, table: Table) -> str:
    """The first row that only one side has, for the message of a failed test."""
    query = (
        "(select 'left' as side, * from (from one except from other) limit 1) "
        "union all (select 'right', * from (from other except from one) limit 1)"
    )
    if one.schema != other.schema:
        return f"{one.schema} / {other.schema}"
    connection = duckdb.connect()
    connection.register("one", one)
    connection.register("other", other)
    rows = connection.execute(query).fetchall()
    names = ["side", *one.column_names]
    if len(rows) == 2:
        keys = [key.strip() for key in table.keys.split(",")]
        kept = [i for i, name in enumerate(names) if name in keys or rows[0][i] != rows[1][i]]
        return str([{names[i]: row[i] for i in kept} for row in rows])
    return str([dict(zip(names, row, strict=True)) for row in rows])


# It only says where the last build began, so it is not the same after another way to the same data.
_NOT_DATA = ("features.int_complexity_window",)


def assert_whole_lakes_agree(
    left: duckdb.DuckDBPyConnection, right: duckdb.DuckDBPyConnection
) -> None:
    """Both lakes have the same tables with the same rows, to the bit."""
    assert relations(left) == relations(right)
    names = [name for name in relations(left) if name not in _NOT_DATA]
    differences = {}
    for name in names:
        query = f"select * from {name} order by all"
        one, other = fetch(left, query), fetch(right, query)
        found = differing_cells(one, other)
        if found:
            differences[name] = found | {"example": _example(one, other, Table(name, ""))}
    assert not differences, differences


def newest_snapshot(connection: duckdb.DuckDBPyConnection) -> int:
    """The lake's newest snapshot."""
    row = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    assert row is not None
    return int(row[0])
