"""Forward ingest and the vendors' executors against the replay, over loopback."""

import sqlite3
from datetime import date, timedelta

import pytest

from ingest.control.limits import NodeLimits
from ingest.control.tasks import Work
from ingest.node.daemon import work
from ingest.node.execution.executor import WorkOptions, WorkSummary, work_all, work_lease
from ingest.node.planning.forward import ages, forward
from ingest.node.repair import backfill, repair
from ingest.node.stage_file import Stage, stage_path, write_stage
from ingest.sync import run_ingest
from ingest.vendors.binance import client as binance
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    landed_files,
    landed_rows,
    small_market,
    write,
)
from tests.support.nodes import KEYS, Steps, make_node, spent, tasks
from tests.support.weeks import minute_rows
from trademl.errors import ConfigError

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

BARS, COINS, ASSETS = "alpaca/bars_1d", "binance/klines_1d", "alpaca/assets"


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path / "market")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def steps():
    return Steps()


def test_forward_asks_what_is_behind_and_nothing_twice(market, data, steps):
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        assert forward(node) == 4
        assert forward(node) == 0
        # Bars are asked for as soon as the listings that name their symbols are there.
        assert work(node).of("done") == 6
        assert forward(node) == 0
        assert all(found.is_fresh for found in ages(node).values())
        assert sum(spent(node).values()) == server.requests
    assert landed_rows(
        data, BARS, "select symbol, max(t)::date from landed group by 1 order by 1"
    ) == [(symbol, LAST) for symbol in SYMBOLS]
    # The next evening's session is not expected before it is over.
    with ReplayServer(market, MORNING_AFTER) as server:
        later = make_node(data, server, Steps(MORNING_AFTER + timedelta(hours=8)))
        assert forward(later) == 0


def test_minutes_are_behind_until_every_name_of_the_stage_has_them(market, data, steps):
    write_stage(data, Stage(0, LAST, {}, ("AAA", "BBB")))
    write(market, "equities_minute", minute_rows())
    asked = {"data_dir": data, "clock": MORNING_AFTER, "settings": KEYS, "start": LAST}
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        for symbol, behind in (("AAA", True), ("BBB", False)):
            asked["symbols"] = [symbol]
            run_ingest("alpaca", "equities_bars_1m", base_url=server.url, **asked)
            assert ages(node)["equities_bars_1m"].is_fresh is not behind


def test_a_stuck_vendor_delays_no_other(market, data, steps):
    with ReplayServer(market, MORNING_AFTER, "alpaca/timeout:1;hang=30") as server:
        node = make_node(data, server, steps)
        forward(node)
        inflight = []

        def filled(lease):
            with node.queue() as queue:
                inflight.append((lease.vendor, queue.budget.state("alpaca").inflight))
            return ()

        summary = work_all(node, WorkOptions(filled=filled))
    # The other vendor's task was filled while alpaca's were still waiting for an answer.
    assert [vendor for vendor, _ in inflight] == ["binance"]
    assert inflight[0][1] >= 1
    assert summary.outcomes["alpaca", "unavailable"] >= 1
    assert ("crypto_filters", "", "FORWARD", "DONE") in tasks(node)


def test_too_fast_freezes_one_vendor_for_its_seconds(market, data, steps):
    with ReplayServer(market, MORNING_AFTER, "alpaca/429:1;retry_after=1") as server:
        node = make_node(data, server, steps)
        object.__setattr__(node, "limits", NodeLimits(1, freeze_seconds={"alpaca": 90}))
        forward(node)
        summary = work(node)
        assert dict(summary.outcomes) == {("alpaca", "rate_limited"): 1, ("binance", "done"): 2}
        assert spent(node) == {"alpaca": 1, "binance": 3}
        with node.queue() as queue:
            assert queue.budget.state("alpaca").is_frozen
            assert not queue.budget.state("binance").is_frozen
            steps.wait(80)
            assert queue.budget.state("alpaca").is_frozen
            steps.wait(10)
            assert not queue.budget.state("alpaca").is_frozen
        assert {row for row in tasks(node, "attempts, last_error") if row[1]} == {
            (0, "no_capacity")
        }
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        steps.wait(300)
        assert work(node).outcomes["alpaca", "done"] == 4


def test_an_outage_backs_off_and_the_task_is_filled_when_it_ends(market, data, steps):
    with ReplayServer(market, MORNING_AFTER, "alpaca/5xx:1") as server:
        node = make_node(data, server, steps)
        forward(node)
        work(node)
        failed = [row for row in tasks(node, "dataset, status, attempts") if row[2]]
        assert failed
        assert {row[1:] for row in failed} == {("PENDING", 1)}
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        steps.wait(121)
        work(node)
        assert {row[3] for row in tasks(node)} == {"DONE"}


def test_a_spent_day_waits_for_the_next(market, data, steps):
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        rows = tuple(
            type(row)(
                **{name: getattr(row, name) for name in row.__slots__} | {"soft_daily_cap": 4}
            )
            if row.vendor == "alpaca"
            else row
            for row in node.registry.rows
        )
        object.__setattr__(node, "registry", type(node.registry)(rows))
        with node.queue() as queue:
            queue.add(
                [
                    Work(
                        "equities_bars_1d",
                        date(2020, 2, day),
                        date(2020, 2, day + 1),
                        "GAP",
                        symbol,
                    )
                    for day in (24, 25)
                    for symbol in SYMBOLS
                ]
            )
        work(node)
        # 85 % of 4 calls are 3.
        assert spent(node)["alpaca"] == 3 == server.requests
        assert sorted(row[3] for row in tasks(node)) == ["DONE"] * 3 + ["PENDING"] * 3
        steps.wait(11 * 3600)
        work(node)
        assert sorted(row[3] for row in tasks(node)) == ["DONE"] * 6


def test_a_gap_is_asked_again_although_it_is_landed_but_not_twice_in_a_night(market, data, steps):
    gap = Work("equities_bars_1d", date(2020, 3, 2), date(2020, 3, 4), "GAP", "AAA")
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        for hours, files in ((0, 1), (1, 1), (12, 2)):
            steps.wait(hours * 3600)
            with node.queue() as queue:
                assert queue.add([gap]) == 1
            assert work(node).of("done") == 1
            assert len(landed_files(data, BARS)) == files


def test_a_node_that_stops_gives_its_task_back_at_once(market, data, steps):
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        forward(node)
        with node.queue() as queue:
            lease = queue.lease_next(node.owner, node.providers, vendors=("alpaca",))
            assert lease is not None
            steps.stop = True
            work_lease(node, queue, lease, WorkOptions(), WorkSummary())
        assert server.requests == 0
        assert {row[3] for row in tasks(node)} == {"PENDING"}
        steps.stop = False
        assert work(node).of("done") == 6


def test_where_backfill_is_disabled_only_new_data_is_fetched(market, data, steps):
    settings = KEYS.model_copy(update={"backfill_enabled": False})
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps, settings=settings)
        window = (date(2020, 2, 24), date(2020, 3, 7))
        with node.queue() as queue:
            queue.add([Work("equities_bars_1d", *window, "BOOTSTRAP", "AAA")])
        assert forward(node) == 4
        assert work(node).of("done") == 6
        waiting = tasks(node, "kind, status")
        assert ("BOOTSTRAP", "PENDING") in waiting
        assert {status for kind, status in waiting if kind == "FORWARD"} == {"DONE"}
        with pytest.raises(ConfigError, match="backfill_enabled is false"):
            backfill(node)
        with pytest.raises(ConfigError, match="backfill_enabled is false"):
            repair(node, "R1")


def test_the_stage_names_the_symbols(market, data, steps):
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        assert node.universe() is None
        write_stage(data, Stage(0, LAST, {}, ("AAA",)))
        assert node.universe() == ("AAA",)
        stage_path(data).write_text("symbols: 7")
        with pytest.raises(ConfigError, match=r"stage\.yml"):
            node.universe()


@pytest.mark.parametrize("fault", [ValueError("hush-hush"), RecursionError(), KeyError("bars")])
def test_a_connector_that_breaks_spoils_its_own_task_only(market, data, steps, monkeypatch, fault):
    def broken(*_args):
        raise fault

    monkeypatch.setattr(binance, "_rows", broken)
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        with node.queue() as queue:
            queue.add(
                [
                    Work(f"{kind}_bars_1d", LAST, LAST + timedelta(days=1), "BOOTSTRAP", symbol)
                    for kind, symbol in (("crypto", "BTCUSDT"), ("equities", "AAA"))
                ]
            )
        assert work(node).outcomes == {("binance", "failed"): 1, ("alpaca", "done"): 1}
    ((reason,),) = [row for row in tasks(node, "last_error") if row[0]]
    assert f"met a fault of TradeML, {type(fault).__name__} at ingest/" in reason
    assert "hush" not in reason


def test_a_control_file_that_fails_ends_the_node(market, data, steps, monkeypatch):
    def failing(*_args):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(binance, "_rows", failing)
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        with node.queue() as queue:
            queue.add(
                [Work("crypto_bars_1d", LAST, LAST + timedelta(days=1), "BOOTSTRAP", "BTCUSDT")]
            )
        with pytest.raises(sqlite3.OperationalError):
            work(node)


@pytest.mark.parametrize(
    "budget",
    [
        {"alpaca": "3"},
        {"alpaca": 2.5},
        {"alpaca": True},
        {"alpaca": -1},
        {"tea": 1},
        {3: 1},
        "3",
        -1,
    ],
)
def test_a_budget_that_is_none_is_one_clear_error(market, data, steps, budget):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(ConfigError, match="give 0 or more calls of: alpaca"):
            backfill(make_node(data, server, steps), budget)
        assert server.requests == 0


@pytest.mark.parametrize(
    ("budget", "done"),
    [({"alpaca": 0}, 0), ({"Alpaca": 1, "av": 1}, 1), (2, 2), (None, 3), ({}, 3)],
)
def test_a_budget_holds_under_any_name_of_a_vendor(market, data, steps, budget, done):
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        days = (FIRST, FIRST + timedelta(days=1))
        with node.queue() as queue:
            queue.add([Work("equities_bars_1d", *days, "GAP", name) for name in SYMBOLS])
        assert backfill(node, budget).of("done") == done
