"""SIGKILL at random moments of landing, build and alpha: nothing lost, doubled or half-visible."""

import json
import shutil
import sys
from datetime import date
from pathlib import Path

import pytest

from ingest.payloads.endpoint import ENVELOPE
from ingest.vendors.registry import ENDPOINTS
from optimize.sleeve.run import is_finished
from simulator.market.clocks import market_clock
from simulator.market.simulate import simulate_market
from simulator.replay.server import ReplayServer
from tests.support.alpha_lakes import CLOCK
from tests.support.cache import copied
from tests.support.commands import command, environment, moments, run, run_killed, seconds_of
from tests.support.lakes import assert_whole_lakes_agree, open_newest
from tests.support.markets import landed_files, landed_rows
from tests.support.runs import publish, small_lake, tree_hashes
from trademl.cli.demo import datasets_of
from trademl.clock import iso
from trademl.lake import versions as lake

HOW_OFTEN = [2, pytest.param(20, marks=pytest.mark.accept)]

LAND = """
import sys
from datetime import datetime
from pathlib import Path
from ingest.sync import run_ingest
from trademl.cli.demo import datasets_of, symbols_of
from trademl.settings import Settings

market, data, clock, url = sys.argv[1:]
settings = Settings().model_copy(update={"reference_dir": Path(market)})
for vendor, dataset in datasets_of(Path(market)):
    run_ingest(
        vendor, dataset, data_dir=Path(data), clock=datetime.fromisoformat(clock),
        settings=settings, symbols=symbols_of(Path(market), dataset),
        base_url=url if vendor in ("alpaca", "binance") else None,
    )
"""


def said_by_vendors(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """All landed rows without the envelope, per endpoint, ordered: what landing is about."""
    envelope = ", ".join(set(ENVELOPE.names) - {"extra"})
    query = f"select * exclude ({envelope}) from landed order by all"
    return {name: landed_rows(data, name, query) for name in ENDPOINTS if landed_files(data, name)}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A market of six years: its landing takes several pages and files."""
    folder = tmp_path_factory.mktemp("history") / "simulated"
    simulate_market(
        folder, seed=3, n_symbols=48, n_crypto=4, start=date(2016, 1, 4), end=date(2021, 12, 31)
    )
    return folder


@pytest.mark.parametrize("times", HOW_OFTEN)
def test_a_killed_landing(times, history, tmp_path):
    clock = market_clock(history)
    with ReplayServer(history, clock) as server:

        def landing(data):
            return [sys.executable, "-c", LAND, str(history), str(data), iso(clock), server.url]

        env = environment(tmp_path / "whole", iso(clock))
        whole = seconds_of(landing(tmp_path / "whole"), env)
        expected = said_by_vendors(tmp_path / "whole")
        assert len(expected) == len(datasets_of(history))
        killed = 0
        for number, moment in enumerate(moments(times, whole, first=0.3 * whole)):
            data = tmp_path / f"killed-{number}"
            killed += run_killed(landing(data), env, moment, whole_group=True)
            # Whatever is visible is whole, and true.
            for name, rows in said_by_vendors(data).items():
                assert set(rows) <= set(expected[name])
                assert len(set(rows)) == len(rows)
            seconds_of(landing(data), env)
            assert said_by_vendors(data) == expected
            shutil.rmtree(data)
        assert killed >= times - 1, f"only {killed} of {times} were still running when killed"


def content(data: Path, version: lake.Version) -> dict[str, tuple[object, ...] | None]:
    """Rows and a fingerprint of the tables that a reader would ask."""
    names = (
        "curated.equities_ohlcv_adj",
        "features.feat_selection",
        "labels.label_horizon",
        "matrices.returns_matrix",
        "quality.partition_status",
    )
    with lake.open_version(data, version) as connection:
        return {
            name: connection.execute(
                f"select count(*), bit_xor(hash(t)) from {name} as t"
            ).fetchone()
            for name in names
        }


def building(data: Path, clock: str) -> tuple[list[str], dict[str, str]]:
    return command("build", "--data", str(data)), environment(data, clock)


def assert_a_killed_build_is_healed(data: Path, clock: str, two_nights: Path, both: Path) -> None:
    """The first version is as it was; the next build gives what an undisturbed one gives."""
    first = lake.find_version(two_nights)
    before = content(two_nights, first)
    kept = lake.find_version(data, first.name)
    assert content(data, kept) == before
    assert run(data, clock, "build", "--data", str(data)).returncode == 0
    assert content(data, kept) == before
    with open_newest(data) as healed, open_newest(both) as expected:
        assert_whole_lakes_agree(healed, expected)


def test_a_build_killed_among_the_models(two_nights, both_published, market, tmp_path):
    """dbt outlives the command that started it."""
    clock, data = iso(market_clock(market)), copied(two_nights, tmp_path / "data")
    log = data / "logs" / "dbt.log"
    log.unlink()

    def is_among_the_models():
        return log.exists() and log.read_text().count("START sql") > 25

    argv, env = building(data, clock)
    assert run_killed(argv, env, 600, whole_group=False, reached=is_among_the_models)
    assert_a_killed_build_is_healed(data, clock, two_nights, both_published)


@pytest.mark.accept
def test_a_build_killed_at_any_moment(two_nights, both_published, market, tmp_path):
    clock = iso(market_clock(market))
    undisturbed = copied(two_nights, tmp_path / "undisturbed")
    whole = seconds_of(*building(undisturbed, clock))
    for number, moment in enumerate(moments(20, whole)):
        data = copied(two_nights, tmp_path / f"killed-{number}")
        # Every second time dbt outlives the command that started it.
        while not run_killed(*building(data, clock), moment, whole_group=number % 2 == 1):
            # The machine is faster than when the whole build was timed.
            moment *= 0.7
            shutil.rmtree(data)
            copied(two_nights, data)
        assert_a_killed_build_is_healed(data, clock, two_nights, both_published)
        shutil.rmtree(data)


@pytest.mark.parametrize("times", HOW_OFTEN)
def test_a_killed_alpha(times, tmp_path):
    data = tmp_path / "data"
    publish(data, small_lake())
    published = tree_hashes(data / "lakehouse")
    clock = iso(CLOCK)

    def alpha(run_id):
        arguments = ("alpha", "--run-id", run_id, "--model-id", "m1", "--data", str(data))
        return command(*arguments), environment(data, clock)

    whole = seconds_of(*alpha("whole"))
    expected = weights(data, "whole")
    killed = 0
    for number, moment in enumerate(moments(times, whole, first=0.2 * whole)):
        run_id = f"killed-{number}"
        killed += run_killed(*alpha(run_id), moment, whole_group=True)
        root = data / "runs" / run_id
        assert not root.exists() or is_finished(root)
        assert tree_hashes(data / "lakehouse") == published
        seconds_of(*alpha(run_id))
        assert weights(data, run_id) == expected
        assert run(data, clock, "validate", "--run-id", run_id, "--data", str(data)).returncode == 0
    assert not list((data / "runs").glob(".*.tmp"))
    assert tree_hashes(data / "lakehouse") == published
    assert killed >= times - 1, f"only {killed} of {times} were still running when killed"


def weights(data: Path, run_id: str) -> dict[str, object]:
    """The final weights of a run; its files carry the run's id besides."""
    path = data / "runs" / run_id / "data" / "portfolio_flattened.json"
    profiles: dict[str, object] = json.loads(path.read_text())["profiles"]
    return profiles
