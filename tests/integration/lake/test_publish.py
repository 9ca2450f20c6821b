"""What becomes a version, what does not, and what readers notice of it: nothing."""

import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from simulator.market.clocks import market_clock, previous_clock
from tests.support import lakes
from tests.support.cache import copied
from tests.support.lakes import (
    assert_whole_lakes_agree,
    dbt,
    dbt_environment,
    land_night,
    open_live,
    open_newest,
    publish,
)
from trademl.errors import ConfigError, GateFailed
from trademl.lake import versions as lake
from trademl.lake.build import build_lake

READ = """
    select count(*), sum(hash(security_id, session_date, close, ret))
    from curated.equities_ohlcv_adj
"""


@pytest.fixture(scope="session")
def market():
    return lakes.year_market()


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A lake with one version, built in one place and moved to another; nobody may change it."""
    return copied(lakes.one_night(), tmp_path_factory.mktemp("moved") / "data")


@pytest.fixture
def data(published, tmp_path):
    """A copy to spoil."""
    return copied(published, tmp_path / "data")


def names(data: Path) -> list[str]:
    return [version.name for version in lake.list_versions(data)]


def test_a_moved_lake_opens(published):
    with open_newest(published) as connection:
        rows, _ = connection.execute(READ).fetchone()
        assert rows > 4000
        paths = connection.execute(
            "select path from __ducklake_metadata_lake.ducklake_data_file where not path_is_relative"
        ).fetchall()
        assert paths == []


def test_a_version_holds_nothing_that_reads_the_landed_files_of_today(published):
    with open_newest(published) as connection:
        views = connection.execute(
            "select schema_name from duckdb_views() where database_name = 'lake'"
        ).fetchall()
    assert views
    assert ("staging",) not in views


def test_a_lake_is_not_built_back_into_the_past(data, market):
    built = names(data)
    with pytest.raises(ConfigError, match=r"later than 2021-06-01T13:00:00Z.*--full-refresh"):
        build_lake(data, datetime(2021, 6, 1, 13, tzinfo=UTC))
    refused = dbt(data, datetime(2021, 6, 1, 13, tzinfo=UTC))
    assert refused.returncode != 0
    assert "--full-refresh" in refused.stdout + refused.stderr
    assert names(data) == built


def test_a_failing_test_publishes_nothing_and_nothing_is_built_behind_it(data, market):
    """A toxic row in curated fails the build, though no rule of ours would let it in."""
    catalog = lake.Version("live", "", 0, lake.lakehouse_dir(data) / "catalog.duckdb")
    statement = lake.attach_statement(data, catalog).replace("read_only, ", "")
    with lake.connect() as connection:
        connection.execute("load ducklake")
        connection.execute(statement)
        connection.execute(
            "update lake.curated.equities_ohlcv_adj set ret = 6.0 where session_date = "
            "(select min(session_date) from lake.curated.equities_ohlcv_adj where ret is not null)"
        )
    before = names(data)
    with pytest.raises(GateFailed, match=r"not_toxic_equities_ohlcv_adj.*nothing was published"):
        build_lake(data, previous_clock(market))
    assert names(data) == before
    status = statuses(data)
    assert status["model.trademl.equities_ohlcv_adj"] == "success"
    behind = ("universe", "feat_equities_xs", "feat_selection", "label_horizon", "returns_matrix")
    assert {status[f"model.trademl.{name}"] for name in behind} == {"skipped"}


def statuses(data: Path) -> dict[str, str]:
    results = json.loads((data / "logs" / "dbt" / "run_results.json").read_text())["results"]
    return {result["unique_id"]: result["status"] for result in results}


def test_what_a_failed_build_leaves_behind_is_healed_by_the_next_good_one(data, market):
    """Half of the tables are built anew as of months ago, then the build stops."""
    before = names(data)
    long_ago = previous_clock(market) - timedelta(days=90)
    half = dbt(data, long_ago, "--full-refresh", selected="+equities_bars_asof")
    assert half.returncode == 0, half.stdout[-3000:]
    assert names(data) == before
    with open_live(data) as live, open_newest(data) as version:
        assert live.execute("select count(*) from curated.equities_bars_asof").fetchone() != (
            version.execute("select count(*) from curated.equities_bars_asof").fetchone()
        ), "the failed build left nothing to heal"
    build_lake(data, previous_clock(market))
    assert len(names(data)) == 2
    first, second = (lake.find_version(data, name) for name in names(data))
    with lake.open_version(data, first) as one, lake.open_version(data, second) as other:
        assert_whole_lakes_agree(one, other)


@pytest.mark.parametrize("selected", ["flow_data.reference", "equities_ohlcv_adj"])
def test_building_a_part_publishes_nothing(data, market, selected):
    before = names(data)
    done = dbt(data, previous_clock(market), selected=selected)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "not published: 0 failed" in done.stdout
    assert names(data) == before


def test_readers_are_not_disturbed_by_a_build(tmp_path, market):
    """One reader stays, another comes and goes all the time, while a night is built."""
    clock = market_clock(market)
    data = copied(lakes.two_nights(), tmp_path / "data")
    first = lake.find_version(data)
    with lake.open_version(data, first) as staying:
        seen = staying.execute(READ).fetchone()
        builder = subprocess.Popen(
            [sys.executable, "-m", "trademl.cli", "build", "--data", str(data)],
            cwd=lake.PROJECT_ROOT,
            env=dbt_environment(data, clock),
            stdout=subprocess.DEVNULL,
        )
        rounds = 0
        while builder.poll() is None:
            assert staying.execute(READ).fetchone() == seen
            with lake.open_version(data, lake.find_version(data)) as passing:
                found = passing.execute(READ).fetchone()
            if lake.find_version(data) == first:
                assert found == seen
            rounds += 1
            time.sleep(0.2)
        assert builder.returncode == 0
        assert rounds > 5
        assert staying.execute(READ).fetchone() == seen
    with open_newest(data) as newest, lake.open_version(data, first) as older:
        assert older.execute(READ).fetchone() == seen
        assert newest.execute(READ).fetchone()[0] > seen[0]
        # Most lakes of the tests are built by forks of one dbt process, this one by its own.
        with open_newest(lakes.two_nights_published()) as forked:
            assert_whole_lakes_agree(newest, forked)


PRICE_FLOOR = "min_price_usd"


def copied_project(folder: Path) -> Path:
    """A copy of what dbt reads, to edit registries in."""
    for name in ("dbt_project", "macros", "seeds", "snapshots", "tests/data"):
        shutil.copytree(lake.PROJECT_ROOT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(lake.PROJECT_ROOT / name, folder)
    return folder


def set_thresholds(project: Path, thresholds: dict[str, float | None]) -> tuple[str, ...]:
    """Gives thresholds other values, or none at all, and returns dbt's arguments for the project."""
    original = lake.PROJECT_ROOT / "seeds" / "flow_data" / "qc_thresholds.csv"
    rows = [line.split(",", 2) for line in original.read_text().splitlines()]
    assert {name for name, *_ in rows} >= thresholds.keys()
    kept = [
        [name, thresholds.get(name, value), rest]
        for name, value, rest in rows
        if thresholds.get(name, value) is not None
    ]
    lines = [",".join(map(str, row)) for row in kept]
    (project / "seeds" / "flow_data" / original.name).write_text("\n".join(lines) + "\n")
    return "--project-dir", str(project), "--profiles-dir", str(project)


def test_a_version_tells_by_which_rules_it_was_judged(data, market, tmp_path):
    """A threshold is changed between two nights; either version knows both rules that it can."""
    first = lake.find_version(data)
    with lake.open_version(data, first) as connection:
        (floor,) = connection.execute(
            "select round(median(close)) from curated.equities_ohlcv_adj"
        ).fetchone()
    changed = set_thresholds(copied_project(tmp_path / "project"), {PRICE_FLOOR: floor})
    done = dbt(data, market_clock(market), *changed)
    assert done.returncode == 0, done.stdout[-3000:]
    second = lake.find_version(data)
    assert second != first
    at = """
        select value from history.qc_thresholds_history
        where name = ? and dbt_valid_from <= ? and coalesce(dbt_valid_to > ?, true)
    """
    with lake.open_version(data, first) as older, lake.open_version(data, second) as newer:
        for version, rule in ((first, 1.0), (second, floor)):
            asked = [PRICE_FLOOR, version.as_of, version.as_of]
            assert newer.execute(at, asked).fetchall() == [(rule,)]
        assert older.execute(at, [PRICE_FLOOR, first.as_of, first.as_of]).fetchall() == [(1.0,)]
        current = "select value from history.qc_thresholds_history where name = ? and dbt_valid_to is null"
        assert older.execute(current, [PRICE_FLOOR]).fetchall() == [(1.0,)]
        assert newer.execute(current, [PRICE_FLOOR]).fetchall() == [(floor,)]
        assert newer.execute(
            "select count(*) from history.qc_thresholds_history where dbt_valid_to is not null"
        ).fetchone() == (1,)
        # And the versions were judged by them, in every session.
        cheap = """
            select count(*), count(*) filter (where universe.has_price)
            from reference.universe as universe
            inner join curated.equities_ohlcv_adj as bars using (security_id, session_date)
            where bars.close < ?
        """
        bars, admitted = older.execute(cheap, [floor]).fetchone()
        assert bars == admitted > 0
        bars, admitted = newer.execute(cheap, [floor]).fetchone()
        assert bars > admitted == 0


def test_the_history_of_the_registries_follows_the_clock(tmp_path):
    """A second build at one clock replaces what the first wrote; an earlier one knows of no later."""
    project, data = copied_project(tmp_path / "project"), tmp_path / "data"
    first, second = (datetime(2021, 6, day, 13, tzinfo=UTC) for day in (1, 2))
    between = datetime(2021, 6, 1, 20, tzinfo=UTC)

    def build_registry(clock, thresholds, *arguments):
        # Cautious: no test that reads another table too, which is not there.
        given = (
            *set_thresholds(project, thresholds),
            "--indirect-selection",
            "cautious",
            *arguments,
        )
        done = dbt(data, clock, *given, selected="qc_thresholds qc_thresholds_history")
        assert done.returncode == 0, done.stdout[-3000:]
        with open_live(data) as connection:
            return connection.execute(
                """select name, value, dbt_valid_from, dbt_valid_to
                from history.qc_thresholds_history where name in ($a, $b) order by all""",
                {"a": PRICE_FLOOR, "b": "seasoned_sessions"},
            ).fetchall()

    kept = ("seasoned_sessions", 252.0, first, None)
    found = build_registry(first, {PRICE_FLOOR: 1})
    assert found == [(PRICE_FLOOR, 1.0, first, None), kept]
    assert build_registry(second, {PRICE_FLOOR: 2, "seasoned_sessions": None}) == [
        (PRICE_FLOOR, 1.0, first, second),
        (PRICE_FLOOR, 2.0, second, None),
        (*kept[:3], second),
    ]
    assert build_registry(second, {PRICE_FLOOR: 3}) == [
        (PRICE_FLOOR, 1.0, first, second),
        (PRICE_FLOOR, 3.0, second, None),
        kept,
    ]
    assert build_registry(between, {PRICE_FLOOR: 1}, "--full-refresh") == found


def test_a_catalog_without_a_pointer_is_no_version(data):
    """What a kill between the copy of the catalog and its pointer leaves."""
    folder = lake.lakehouse_dir(data) / "published"
    catalog = next(folder.glob("*.duckdb"))
    shutil.copy(catalog, folder / "v999999-deadbeef.duckdb")
    (folder / "tmp_v999999.json").write_text('{"catalog": "v9999')
    assert lake.find_version(data).catalog == catalog


def rows_of(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return {
        name: connection.execute(f"select count(*) from {name}").fetchone()[0]
        for name in (
            "curated.equities_ohlcv_adj",
            "curated.crypto_ohlcv",
            "reference.corp_actions",
            "features.feat_selection",
            "matrices.returns_matrix",
            "quality.partition_status",
        )
    }


def test_an_empty_lake_builds_and_says_that_it_is_empty(tmp_path, market):
    publish(tmp_path / "data", market_clock(market))
    with open_newest(tmp_path / "data") as connection:
        assert set(rows_of(connection).values()) == {0}


@pytest.mark.parametrize("kept", ["equities_daily", "crypto_daily"])
def test_a_market_of_one_file_is_enough(tmp_path, market, kept):
    folder = tmp_path / "market"
    folder.mkdir()
    shutil.copy(market / f"{kept}.parquet", folder)
    clock = market_clock(folder)
    land_night(folder, tmp_path / "data", clock)
    publish(tmp_path / "data", clock)
    with open_newest(tmp_path / "data") as connection:
        rows = rows_of(connection)
        absent = (
            "curated.crypto_ohlcv" if kept == "equities_daily" else "curated.equities_ohlcv_adj"
        )
        assert rows.pop(absent) == 0
        assert rows.pop("reference.corp_actions") == 0
        assert all(rows.values()), rows
        green = connection.execute(
            "select count(*) filter (where status = 'GREEN') / count(*) from quality.partition_status "
            "where table_name like 'curated/%'"
        ).fetchone()
        # Without a listing file the delisted name stays expected, and RED, after its last bar.
        assert green[0] > 0.9
