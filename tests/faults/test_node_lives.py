"""Nodes killed at random moments, and two nodes on one queue: nothing lost, nothing asked twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    landed_rows,
    leftovers,
    listing,
    small_market,
    trading_days,
    write,
)
from tests.support.paths import PROJECT_ROOT

SYMBOLS = [f"N{number:02}" for number in range(40)]
BARS = "alpaca/bars_1d"


def market_of(folder, symbols):
    small_market(folder)
    rows = [
        {
            "symbol": symbol,
            "date": day,
            **dict.fromkeys(("open", "high", "low", "close"), 10.0 + place),
            "volume": 1000 + place,
        }
        for place, symbol in enumerate(symbols)
        for day in trading_days()
    ]
    write(folder, "equities_daily", rows)
    write(folder, "listings", [listing(symbol) for symbol in symbols])
    return folder


def nursed(tmp_path, what, symbols, **plan):
    """What the nursery saw, and the calls that the vendors had."""
    with ReplayServer(market_of(tmp_path / "market", symbols), MORNING_AFTER) as server:
        given = {"what": what, "folder": str(tmp_path), "url": server.url, "symbols": symbols}
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.node_nursery", json.dumps(given | plan)],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), server.requests


def landed_once(data, symbols):
    """Every session of every symbol landed, exactly once, and nothing half written is left."""
    query = "select symbol, t::date, count(*) from landed group by all having count(*) <> 1"
    assert landed_rows(data, BARS, query) == []
    (found,) = landed_rows(data, BARS, "select count(*), min(t)::date, max(t)::date from landed")
    assert found == (len(symbols) * len(trading_days()), FIRST, LAST)
    assert [name for name in leftovers(data) if not name.endswith(".parquet")] == []


def sound(facts, tasks):
    assert (facts["integrity"], facts["overlapping"]) == ("ok", [])
    assert facts["statuses"] == {"DONE": tasks}


# A queue outlasts its kills: a task that its node is killed in five times is given up, and the last
# tasks of a queue are what every further life begins with.
LIVES = [(6, 6, 4), pytest.param(200, 25, 16, marks=pytest.mark.accept)]


@pytest.mark.parametrize(("kills", "most", "names"), LIVES)
def test_killed_nodes_lose_nothing_and_land_nothing_twice(kills, most, names, tmp_path):
    symbols = SYMBOLS[:names]
    found, _ = nursed(tmp_path, "killed", symbols, kills=kills, most=most, seed=5)
    print(json.dumps(found, indent=1))
    assert found["seen"]["kills"] == kills
    assert found["seen"]["with a lease"] >= kills / 4
    for facts in found["facts"]:
        landed_once(Path(facts["data"]), symbols)
        sound(facts, tasks=sum(facts["statuses"].values()))


def test_two_nodes_share_a_queue_and_the_second_takes_over(tmp_path):
    symbols = SYMBOLS[:10]
    found, _ = nursed(tmp_path, "paired", symbols)
    facts = found["facts"]
    assert sorted(facts["owners"]) == ["node-1", "node-1.1"]
    assert found["left"] > 0
    sound(facts, tasks=sum(facts["statuses"].values()))
    landed_once(tmp_path / "data", symbols)
