"""A node is set up on the listing that its vendor was asked for, over loopback."""

import sys
from datetime import date

import pytest

import trademl.cli
from ingest.node.stage_file import Stage, read_stage
from simulator.replay.server import ReplayServer
from tests.support.markets import FIRST, MORNING_AFTER, listing, write
from tests.support.replays import run
from trademl.cli import setup as cli_setup


@pytest.fixture
def set_up(tmp_path, monkeypatch, capsys):
    """Lands a listing and sets a node up on it; gives its stage and what was said."""

    def set_up(rows):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(cli_setup, "log_to", lambda data_dir: None)
        market, data = tmp_path / "market", tmp_path / "data"
        market.mkdir()
        write(market, "listings", rows)
        with ReplayServer(market, MORNING_AFTER) as server:
            run(server, data, "alpaca", "assets")
        monkeypatch.setenv("TRADEML_CLOCK", "2020-03-24T13:00:00Z")
        monkeypatch.setattr(sys, "argv", ["trademl", "setup", "node", "--yes", "--data", str(data)])
        trademl.cli.main()
        return read_stage(data), capsys.readouterr().out

    return set_up


def test_stage_0_takes_the_active_names_of_the_landed_listing(set_up):
    live = [listing(symbol) for symbol in ("ZED", "BRK.B", "AAA")]
    stage, said = set_up([*live, listing("OLD", last_bar_date=FIRST)])
    assert stage == Stage(
        stage=0,
        end=date(2020, 3, 24),
        starts={"equities_bars_1d": date(2015, 3, 24), "equities_bars_1m": date(2019, 3, 24)},
        symbols=("AAA", "BRK.B", "ZED"),
    )
    # The vendor of the lake has nothing of 2015: 1544 days in windows of 30.
    assert f"queued {3 * (52 + 53)} BOOTSTRAP tasks" in said
    assert said.count("no vendor serves equities_bars_1d before 2016-01-01") == 1


def test_a_stage_takes_no_more_names_than_it_holds(set_up):
    stage, _ = set_up([listing(f"S{number:03}") for number in range(103)])
    assert stage.symbols == tuple(f"S{number:03}" for number in range(100))
