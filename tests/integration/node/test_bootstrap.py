"""History of a whole market is fetched by the node, killed in the middle and resumed.

What is landed is not asked again: the requests are counted where they arrive.
"""

import json
import multiprocessing
import os
import re
import signal
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from functools import partial

import duckdb
import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.tasks import Work
from ingest.node.daemon import alone, work
from ingest.node.execution.executor import WorkSummary
from ingest.sync import run_ingest
from ingest.transport.client import VendorClient
from simulator.market.clocks import market_clock
from simulator.replay.server import ReplayServer
from tests.support.markets import FIRST, MORNING_AFTER, landed_files, small_market
from tests.support.nodes import Steps, make_node, no_build, tasks
from trademl.lake import versions as lake

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

MARKET_US = lake.PROJECT_ROOT.parent / "shared" / "data" / "market_us"
BARS = "alpaca/bars_1d"
PATIENT = partial(VendorClient, timeout=60, tries=1)
YEARS_PER_TASK = 10
"""The replay has no limits of history and the tasks are long: landing is seen, not the queue."""


class CountingServer(ReplayServer):
    """Notes every request for bars: symbol, window and page."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.asked = Counter()
        serve = self._desk.serve

        def noted(request, now):
            query = request.query
            if "/v2/stocks/bars" in request.path:
                page = query.get("page_token", "")
                self.asked[query["symbols"], query["start"], query["end"], page] += 1
            return serve(request, now)

        self._desk.serve = noted


class Url:
    """A server that runs elsewhere."""

    def __init__(self, url):
        self.url = url


def deep_node(data, server, clock):
    """A node whose registry lets Alpaca serve all of history in long tasks."""
    rows = [
        replace(row, history_from=None, max_days_per_task=366 * YEARS_PER_TASK)
        if row.dataset == "equities_bars_1d"
        else row
        for row in read_capabilities()
    ]
    node = make_node(data, server, Steps(clock), no_build, PATIENT)
    return replace(node, registry=Registry.of(rows))


def work_until_killed(data, url, clock):
    node = deep_node(data, Url(url), clock)
    with alone(node):
        work_all_of(node)


def work_all_of(node):
    """The queue until nothing is left; a vendor that is frozen is waited for."""
    summary = WorkSummary()
    while any(status in ("PENDING", "LEASED") for (status,) in tasks(node, "status")):
        found = work(node)
        summary.outcomes += found.outcomes
        node.wait(300)
    return summary


def bootstrap(market, data, symbols, window, clock, stop_at):
    """Seeds the tasks, kills the node's process when so many files are there, resumes it."""
    with CountingServer(market, clock) as server:
        node = deep_node(data, server, clock)
        land_listing(node)
        with node.queue() as queue:
            queue.add(Work("equities_bars_1d", *window, "BOOTSTRAP", name) for name in symbols)
        begun = time.monotonic()
        child = multiprocessing.get_context("fork").Process(
            target=work_until_killed, args=(data, server.url, clock)
        )
        child.start()
        while len(landed_files(data, BARS)) < stop_at:
            assert child.is_alive()
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        in_flight = [row for row in tasks(node, "symbol, status") if row[1] == "LEASED"]
        before, files = Counter(server.asked), len(landed_files(data, BARS))
        node = deep_node(data, server, clock)
        with alone(node):
            summary = work_all_of(node)
        seconds = time.monotonic() - begun
    again = {what: times for what, times in server.asked.items() if times > 1}
    figures = {
        "symbols": len(symbols),
        "tasks": len(tasks(node)),
        "killed after": f"{sum(before.values())} calls, {files} files",
        "calls": sum(server.asked.values()),
        "asked twice": len(again),
        "in flight when it was killed": len(in_flight),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(figures))
    assert summary.outcomes.total() == summary.of("done")
    assert {status for (status,) in tasks(node, "status")} == {"DONE"}
    # Only the tasks whose answers were not landed yet are asked once more, and only once.
    assert {symbols for symbols, *_ in again} <= {symbol for symbol, _ in in_flight}
    assert set(again.values()) <= {2}
    return figures


def land_listing(node):
    """A listed symbol without bars in a window was not traded then."""
    run_ingest(
        "alpaca",
        "assets",
        data_dir=node.data_dir,
        clock=node.now(),
        settings=node.settings,
        base_url=node.base_url,
        make_client=node.make_client,
    )


def differing_bars(market, data, window):
    """Bars of the market that are not landed exactly once as they are, and the other way round."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    return con.execute(
        f"""
        with landed as (
            select symbol, timezone('America/New_York', t)::date as date, o, h, l, c,
                v::bigint as v
            from read_parquet('{data}/raw/{BARS}/*/*.parquet', hive_partitioning = false)
        ),
        said as (
            select symbol, date, open, high, low, close, volume::bigint as volume
            from '{market}/equities_daily.parquet' where date >= $first and date < $after
        )
        select
            (select count(*) from said), (select count(*) from landed),
            (select count(*) from (from said except all from landed)),
            (select count(*) from (from landed except all from said))
        """,
        {"first": window[0], "after": window[1]},
    ).fetchone()


def test_a_killed_bootstrap_goes_on(tmp_path):
    market, data = small_market(tmp_path / "market"), tmp_path / "data"
    window = (FIRST, date(2020, 3, 21))
    names = ["AAA", "BBB", "BRK.B"]
    bootstrap(market, data, names, window, MORNING_AFTER, stop_at=1)
    bars, landed, missing, strange = differing_bars(market, data, window)
    assert bars == landed == 60
    assert (missing, strange) == (0, 0)


@pytest.mark.accept
@pytest.mark.market_data
@pytest.mark.skipif(
    not MARKET_US.is_dir(), reason="the market data folder is not beside the checkout"
)
def test_a_killed_bootstrap_of_the_real_market_goes_on(tmp_path):
    data, window = tmp_path / "data", (date(2000, 1, 1), date(2017, 12, 30))
    found = duckdb.execute(f"select distinct symbol from '{MARKET_US}/equities_daily.parquet'")
    names = sorted(name for (name,) in found.fetchall() if re.fullmatch(r"[A-Z.]+", name))
    figures = bootstrap(MARKET_US, data, names, window, market_clock(MARKET_US), stop_at=250)
    bars, landed, missing, strange = differing_bars(MARKET_US, data, window)
    print(json.dumps(figures | {"bars": bars, "landed": landed}))
    assert len(names) == 502
    assert bars == landed
    assert (missing, strange) == (0, 0)
