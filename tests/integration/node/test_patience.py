"""A vendor that says "too fast" in the middle of a fetch: what was paid for is not paid again."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import pytest

from ingest.control.budget import Verdict
from ingest.control.queue_store import LEASE_SECONDS
from ingest.control.tasks import Work
from ingest.node.daemon import work
from ingest.node.execution.call_meter import LONGEST_FREEZE, Allowance, Meter, Withheld
from ingest.transport.client import VendorClient
from simulator.replay.server import ReplayServer
from tests.support.markets import MORNING_AFTER, landed_files, small_market, write
from tests.support.nodes import PROBING, Steps, make_node, spent, tasks
from tests.support.replays import earnings_rows
from trademl.errors import RateLimited
from trademl.settings import Settings

FMP = Settings(fmp_key="hush-hush", _env_file=None)
PAGES = 15
"""Calls of FMP's earnings calendar for one file."""
FILES = 12
TODAY = MORNING_AFTER.date()


@pytest.fixture
def market(tmp_path):
    small_market(tmp_path / "market")
    write(tmp_path / "market", "earnings_dates", earnings_rows())
    return tmp_path / "market"


class Asked:
    """Opens clients that note what was answered."""

    def __init__(self):
        self.answered = Counter()

    def client(self, *args, **options):
        noted = self.answered

        class Noting(VendorClient):
            def get(self, path, params, *rest, **more):
                answer = super().get(path, params, *rest, **more)
                noted[path, *sorted(params.items())] += 1
                return answer

        return Noting(*args, **options)


def filled(node, steps):
    """Works the queue until nothing waits; how often it had to begin."""
    begun = 0
    while any(status != "DONE" for (status,) in tasks(node, "status")):
        begun += 1
        assert begun < 100, tasks(node)
        work(node)
        steps.wait(300)
    return begun


def test_a_page_that_was_answered_is_not_asked_again(market, tmp_path):
    calls, asked = 0, Asked()
    for seed in range(FILES):
        data, steps = tmp_path / f"data-{seed}", Steps()
        faults = f"fmp/429:0.05;seed={seed};retry_after=1"
        with ReplayServer(market, MORNING_AFTER, faults) as server:
            node = make_node(data, server, steps, make_client=asked.client, settings=FMP)
            with node.queue() as queue:
                queue.add([Work("earnings_calendar", TODAY, TODAY + timedelta(1), "FORWARD")])
            filled(node, steps)
            assert len(landed_files(data, "fmp/earnings")) == 1
            assert spent(node) == {"fmp": server.requests}
            calls += server.requests
    print(f"{calls / FILES:.1f} calls for a file of {PAGES} pages, one of 20 refused")
    assert len(asked.answered) == PAGES
    assert set(asked.answered.values()) == {FILES}
    # What is refused is paid as well, and nothing else.
    assert FILES * PAGES < calls < 1.15 * FILES * PAGES


def test_the_vendor_is_left_alone_for_its_seconds_in_the_middle_of_a_fetch(market, tmp_path):
    steps, at = Steps(), []

    class Timed(VendorClient):
        def _send(self, path, send):
            def noted():
                at.append(steps.steady)
                return send()

            return super()._send(path, noted)

    with ReplayServer(market, MORNING_AFTER, "fmp/429:0.2;seed=3;retry_after=90") as server:
        node = make_node(tmp_path / "data", server, steps, make_client=Timed, settings=FMP)
        with node.queue() as queue:
            queue.add([Work("earnings_calendar", TODAY, TODAY + timedelta(1), "FORWARD")])
        filled(node, steps)
    pauses = [later - before for before, later in pairwise(at)]
    refused = server.requests - PAGES
    assert refused > 1
    # Else it waits for tokens only.
    assert [seconds >= 60 for seconds in pauses if seconds > 1] == [True] * refused


def in_the_middle(node, queue):
    """The meter of a task whose first page is answered."""
    queue.add([Work("equities_bars_1d", date(2020, 3, 2), date(2020, 3, 7), "QC_PROBE", "AAA")])
    meter = Meter(node, queue, queue.lease_next("me", node.providers), Allowance())
    meter.pay()
    return meter


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def node(market, tmp_path, steps):
    with ReplayServer(market, MORNING_AFTER) as server:
        yield make_node(tmp_path / "data", server, steps, settings=PROBING)


def test_a_task_waits_out_the_freeze_of_another_and_keeps_its_lease(node, steps):
    rivals = []

    def wait(seconds):
        if seconds:
            with node.queue() as queue:
                rivals.append(queue.lease_next("another", node.providers))
        return Steps.wait(steps, seconds)

    with node.queue() as queue:
        meter = in_the_middle(node, queue)
        begun = steps.steady
        queue.budget.freeze("massive", 2 * LEASE_SECONDS)
        object.__setattr__(node, "wait", wait)
        meter.pay()
        assert steps.steady - begun == 2 * LEASE_SECONDS
        assert set(rivals) == {None}
        assert queue.charge(meter.lease) is Verdict.NO_TOKEN
    assert spent(node) == {"massive": 2}
    assert tasks(node, "status, attempts") == [("LEASED", 0)]


@pytest.mark.parametrize(
    ("seconds", "stop", "reason"),
    [(60, True, "stopped"), (LONGEST_FREEZE + 1, False, "no_capacity")],
)
def test_a_node_that_stops_and_a_long_freeze_are_not_waited_for(node, steps, seconds, stop, reason):
    with node.queue() as queue:
        meter = in_the_middle(node, queue)
        queue.budget.freeze("massive", seconds)
        begun, steps.stop = steps.steady, stop
        with pytest.raises(Withheld) as withheld:
            meter.pay()
        assert withheld.value.reason == reason
        assert steps.steady == begun
    assert spent(node) == {"massive": 1}


def test_a_first_call_that_is_refused_gives_the_task_back(node):
    with node.queue() as queue:
        meter = in_the_middle(node, queue)
        assert not meter.on_rate_limit(RateLimited("too fast", None))
        assert queue.budget.state("massive").frozen_seconds == node.limits.freeze("massive")
        meter.calls += 1
        assert meter.on_rate_limit(RateLimited("too fast", 200))
        assert queue.budget.state("massive").frozen_seconds == 200


def test_a_call_that_was_not_needed_is_given_back(market, tmp_path, steps):
    window = Work("equities_bars_1d", date(2020, 3, 2), date(2020, 3, 7), "BOOTSTRAP", "AAA")
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(tmp_path / "data", server, steps)
        for _ in range(3):
            with node.queue() as queue:
                assert queue.add([window]) == 1
            assert work(node).of("done") == 1
        assert server.requests == 1
    assert spent(node) == {"alpaca": 1}
