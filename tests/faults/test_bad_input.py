"""What goes wrong on the way in is one clear line and the right exit code, and loses nothing."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.market.clocks import market_clock
from simulator.replay.server import ReplayServer
from tests.support.alpha_lakes import CLOCK
from tests.support.commands import (
    PLANTED_KEY,
    assert_no_key,
    assert_one_line,
    command,
    environment,
    in_namespace,
    run,
)
from tests.support.lakes import differing_cells, open_newest
from tests.support.markets import fetch_records, landed_files
from tests.support.runs import publish, small_lake, tree_hashes
from trademl.clock import iso
from trademl.lake import versions as lake

BARS = ("ingest", "run", "--vendor", "alpaca", "--dataset", "equities_bars_1d")


@pytest.fixture
def clock(market: Path) -> str:
    return iso(market_clock(market))


@pytest.fixture
def data(two_nights: Path, tmp_path: Path) -> Iterator[Path]:
    """A lake to spoil; whatever a test does to it, the published version and raw stay."""
    copy = Path(shutil.copytree(two_nights, tmp_path / "data"))
    yield copy
    assert published_hashes(copy) == published_hashes(two_nights)


def published_hashes(data: Path) -> tuple[str, dict[str, str]]:
    """The first published version: its catalog, and every data file that it reads."""
    first = lake.list_versions(data)[0]
    folder = lake.lakehouse_dir(data)
    with lake.open_version(data, first) as connection:
        rows = connection.execute(
            "select path from __ducklake_metadata_lake.ducklake_data_file"
        ).fetchall()
    names = {Path(path).name for (path,) in rows}
    files = tree_hashes(folder / "data")
    kept = {path: digest for path, digest in files.items() if Path(path).name in names}
    assert len(kept) == len(names) > 0
    return tree_hashes(folder / "published")[first.catalog.name], kept


@pytest.mark.parametrize(
    ("faults", "code", "says"),
    [
        ("429:1;retry_after=0", 4, "answered HTTP 429"),
        ("5xx:1", 4, "answered HTTP 5"),
        ("malformed:1", 4, "alpaca"),
        ("cut:1", 4, "broke off"),
        ("wrong_symbol:1", 3, "symbol"),
    ],
)
def test_a_vendor_in_trouble(data, market, clock, faults, code, says):
    before = tree_hashes(data / "raw")
    spare = Path(shutil.copytree(data / "raw" / "alpaca", data / "spare"))
    shutil.rmtree(data / "raw" / "alpaca" / "bars_1d")
    with ReplayServer(market, market_clock(market), faults) as server:
        done = run(data, clock, *BARS, "--data", str(data), "--base-url", server.url)
    assert_one_line(done, code, says)
    assert landed_files(data, "alpaca/bars_1d") == []
    assert [one["outcome"] for one in fetch_records(data)] == ["failed"]
    shutil.rmtree(data / "raw" / "landing")
    shutil.copytree(spare, data / "raw" / "alpaca", dirs_exist_ok=True)
    assert tree_hashes(data / "raw") == before


def test_a_wrong_key(data, market, clock):
    shutil.rmtree(data / "raw" / "alpaca" / "bars_1d")
    keys = {"tester": "another-secret"}
    with ReplayServer(market, market_clock(market), keys=keys) as server:
        done = run(data, clock, *BARS, "--data", str(data), "--base-url", server.url)
    assert_one_line(done, 4, "HTTP 401", "check the alpaca keys")


def test_no_key(data, clock):
    shutil.rmtree(data / "raw" / "alpaca" / "assets")
    env = environment(data, clock) | {"APCA_API_KEY_ID": "", "APCA_API_SECRET_KEY": ""}
    argv = command("ingest", "run", "--vendor", "alpaca", "--dataset", "assets")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert_one_line(done, 2, "APCA_API_KEY_ID")


def test_nobody_answers(data, clock):
    shutil.rmtree(data / "raw" / "alpaca" / "assets")
    arguments = ("--vendor", "alpaca", "--dataset", "assets", "--base-url", "http://127.0.0.1:9")
    done = run(data, clock, "ingest", "run", *arguments, "--data", str(data))
    assert_one_line(done, 4, "broke off", "try later")


def test_an_unknown_symbol(data, market, clock):
    with ReplayServer(market, market_clock(market)) as server:
        arguments = (*BARS, "--data", str(data), "--base-url", server.url, "--symbols", "NOPE")
        done = run(data, clock, *arguments)
    assert_one_line(done, 3, "NOPE")


@pytest.mark.parametrize("day", ["0001-01-01", "1800-01-01", "9999-12-31"])
def test_a_year_nobody_has(data, market, clock, day):
    with ReplayServer(market, market_clock(market)) as server:
        arguments = (*BARS, "--data", str(data), "--base-url", server.url, "--start", day)
        done = run(data, clock, *arguments, "--end", day)
    assert_one_line(done, 2, day)


def test_an_empty_market(tmp_path, clock):
    (tmp_path / "market").mkdir()
    empty = ("--market", str(tmp_path / "market"))
    data = tmp_path / "data"
    assert_one_line(run(data, clock, "demo", *empty, "--data", str(data)), 3, "holds no market")
    nothing = pa.table({"symbol": pa.array([], pa.string()), "date": pa.array([], pa.date32())})
    pq.write_table(nothing, tmp_path / "market" / "equities_daily.parquet")
    assert_one_line(run(data, clock, "demo", *empty, "--data", str(data)), 3, "no bars")


def truncate(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize("name", ["equities_daily", "crypto_daily", "splits", "listings"])
def test_a_truncated_market_file(market, tmp_path, clock, name):
    broken = Path(shutil.copytree(market, tmp_path / "market"))
    truncate(broken / f"{name}.parquet")
    data = tmp_path / "data"
    demo = run(data, clock, "demo", "--market", str(broken), "--data", str(data))
    assert_one_line(demo, 3, f"{name}.parquet")
    replay = run(data, clock, "replay", "--market", str(broken), "--clock", clock)
    assert_one_line(replay, 3, f"{name}.parquet")


def test_a_market_without_a_column(market, tmp_path, clock):
    broken = Path(shutil.copytree(market, tmp_path / "market"))
    path = broken / "equities_daily.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["volume"]), path)
    done = run(tmp_path / "data", clock, "replay", "--market", str(broken), "--clock", clock)
    assert_one_line(done, 3, "volume")


def test_a_truncated_landed_file(data, market, clock):
    broken = truncate(landed_files(data, "alpaca/bars_1d")[-1])
    with ReplayServer(market, market_clock(market)) as server:
        again = run(data, clock, *BARS, "--data", str(data), "--base-url", server.url)
    assert_one_line(again, 3, broken.name, "cannot be read")
    done = run(data, clock, "build", "--data", str(data))
    assert_one_line(done, 3, "nothing was published")
    assert len(lake.list_versions(data)) == 1


def test_a_stranger_among_the_landed_files(data, market, clock):
    folder = landed_files(data, "alpaca/bars_1d")[-1].parent
    pq.write_table(pa.table({"symbol": ["AAA"]}), folder / "mine.parquet")
    with ReplayServer(market, market_clock(market)) as server:
        again = run(data, clock, *BARS, "--data", str(data), "--base-url", server.url)
    assert_one_line(again, 3, "mine.parquet", "was not landed by trademl")
    # The lake reads what was landed, and this was not.
    assert run(data, clock, "build", "--data", str(data)).returncode == 0
    with open_newest(data) as newest:
        query = "select count(*) from raw.raw_equities_bars where symbol = 'AAA'"
        assert newest.execute(query).fetchone() == (0,)


def test_a_broken_catalog(data, clock, tmp_path):
    (lake.lakehouse_dir(data) / "catalog.duckdb").write_bytes(b"not a database" * 1000)
    # However long the path, the line names the file.
    deep = data.rename(tmp_path / ("deep" * 30))
    done = run(deep, clock, "build", "--data", str(deep))
    deep.rename(data)
    assert_one_line(done, 3, "catalog.duckdb")


@pytest.mark.parametrize("text", ["a: [", "just text", "\x00\x01\x02", "profile: 7\nbeta: no"])
def test_a_garbage_profile(tmp_path, text):
    path = tmp_path / "garbage.yml"
    path.write_text(text)
    data = tmp_path / "data"
    publish(data, small_lake())
    profile = ("--profile", str(path), "--data", str(data))
    alpha = run(data, iso(CLOCK), "alpha", "--run-id", "R1", *profile)
    assert_one_line(alpha, 2, "garbage.yml")
    assert_one_line(run(data, iso(CLOCK), "train", "equities_xs", *profile), 2, "garbage.yml")
    assert not (data / "runs" / "R1").exists()


# A full disk and a read-only one, made in a mount namespace of the test's own.

FULL = """
    data=$1; room=$2; shift; shift
    cp -r "$data" "$data.aside"
    mount -t tmpfs -o size=$(($(du -sk "$data.aside" | cut -f1) + room))k tmpfs "$data"
    cp -r "$data.aside/." "$data"
    "$@"; code=$?
    # What the disk holds now goes back, for the test to look at.
    cp -r "$data" "$data.after"
    exit $code
"""
READ_ONLY = """
    data=$1; shift; shift
    mount --bind "$data" "$data"
    mount -o remount,ro,bind "$data"
    "$@"
"""


def starved(
    how: str, data: Path, clock: str, *arguments: str, room: int = 0
) -> subprocess.CompletedProcess[str]:
    env = [f"{name}={value}" for name, value in environment(data, clock).items()]
    return in_namespace("set +e\n" + how, data, room, "env", *env, *command(*arguments))


ACCEPT = pytest.mark.accept


@pytest.mark.parametrize(
    "room", [pytest.param(200, marks=ACCEPT), 2000, pytest.param(6000, marks=ACCEPT)]
)
def test_a_build_on_a_full_disk(data, both_published, clock, room):
    done = starved(FULL, data, clock, "build", "--data", str(data), room=room)
    after = data.with_name("data.after")
    assert_no_key(after, done)
    assert_one_line(done, 3, "No space left on device")
    assert published_hashes(after) == published_hashes(data)
    (after / "build.lock").unlink(missing_ok=True)
    assert run(after, clock, "build", "--data", str(after)).returncode == 0
    with open_newest(after) as healed, open_newest(both_published) as expected:
        query = "select * from curated.equities_ohlcv_adj order by all"
        one, other = (side.execute(query).to_arrow_table() for side in (healed, expected))
        assert one.num_rows > 4000
        assert differing_cells(one, other) == {}


def test_a_build_on_a_read_only_disk(data, clock):
    done = starved(READ_ONLY, data, clock, "build", "--data", str(data))
    assert_one_line(done, 3, "Read-only file system")


def test_landing_on_a_read_only_disk(data, market, clock):
    arguments = ("ingest", "run", "--vendor", "exchange_calendars", "--dataset", "sessions")
    window = ("--start", "1995-01-01", "--end", "1996-01-01")
    done = starved(READ_ONLY, data, clock, *arguments, *window, "--data", str(data))
    assert_one_line(done, 3, "Read-only file system")


@pytest.mark.parametrize(("how", "says"), [(FULL, "No space left"), (READ_ONLY, "Read-only")])
def test_alpha_on_a_starved_disk(tmp_path, how, says):
    data = tmp_path / "data"
    publish(data, small_lake())
    arguments = ("alpha", "--run-id", "R1", "--model-id", "m1", "--data", str(data))
    done = starved(how, data, iso(CLOCK), *arguments, room=100)
    assert_one_line(done, 3, says)
    assert not (tmp_path / "data.after" / "runs" / "R1").exists()
    assert run(data, iso(CLOCK), *arguments).returncode == 0


def test_the_planted_key_would_be_seen(tmp_path):
    (tmp_path / "leak.json").write_text(f'{{"secret": "{PLANTED_KEY}"}}')
    silent = subprocess.CompletedProcess([], 0, "", "")
    with pytest.raises(AssertionError):
        assert_no_key(tmp_path, silent)
