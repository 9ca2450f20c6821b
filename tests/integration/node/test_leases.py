"""A task that takes longer than a lease lasts keeps it, call by call, and loses it in silence."""

from datetime import date

import pytest

from ingest.control.queue import LeaseLost
from ingest.control.queue_store import LEASE_SECONDS
from ingest.control.tasks import Work
from ingest.node.execution.call_meter import RENEW_SECONDS, Allowance, Meter
from ingest.node.execution.executor import WorkOptions, work_all
from ingest.transport.client import VendorClient
from simulator.replay.server import ReplayServer
from tests.support.markets import MORNING_AFTER, landed_rows, small_market
from tests.support.nodes import PROBING, Steps, make_node, tasks

WINDOW = (date(2020, 3, 2), date(2020, 3, 7))
"""Five sessions, of which the second vendor is asked one by one."""
SLOW = 0.9 * RENEW_SECONDS


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def server(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as serving:
        yield serving


def queue_probe(node):
    with node.queue() as queue:
        queue.add([Work("equities_bars_1d", *WINDOW, "QC_PROBE", "AAA")])


def taken_by_another(node):
    with node.queue() as queue:
        return queue.lease_next("another", node.providers)


def test_a_slow_task_is_done_once_by_whoever_began_it(tmp_path, server, steps):
    rivals = []

    class SlowClient(VendorClient):
        def get(self, *args, **options):
            steps.wait(SLOW)
            rivals.append(taken_by_another(node))
            return super().get(*args, **options)

    node = make_node(tmp_path / "data", server, steps, make_client=SlowClient, settings=PROBING)
    queue_probe(node)
    begun = steps.steady
    assert work_all(node, WorkOptions()).outcomes == {("massive", "done"): 1}
    assert steps.steady - begun > LEASE_SECONDS
    assert rivals == [None] * 5
    assert tasks(node, "status, attempts") == [("DONE", 0)]
    rows = landed_rows(
        tmp_path / "data", "massive/grouped_1d", "select count(*), count(distinct date) from landed"
    )
    assert rows == [(15, 5)]


def test_each_call_renews_a_lease_that_has_lasted_for_a_while(tmp_path, server, steps):
    node = make_node(tmp_path / "data", server, steps, settings=PROBING)
    queue_probe(node)
    with node.queue() as queue:
        meter = Meter(node, queue, queue.lease_next("me", node.providers), Allowance())
        first = meter.lease.expires_at
        steps.wait(RENEW_SECONDS - 1)
        meter.pay()
        assert meter.lease.expires_at == first
        for _ in range(8):
            steps.wait(SLOW)
            meter.pay()
            assert taken_by_another(node) is None
        left = (meter.lease.expires_at - node.now()).total_seconds()
        assert LEASE_SECONDS - 2 * RENEW_SECONDS < left <= LEASE_SECONDS


def test_a_call_after_the_lease_was_lost_is_not_made(tmp_path, server, steps):
    node = make_node(tmp_path / "data", server, steps, settings=PROBING)
    queue_probe(node)
    with node.queue() as queue:
        meter = Meter(node, queue, queue.lease_next("me", node.providers), Allowance())
        meter.pay()
        steps.wait(LEASE_SECONDS + 60)
        assert taken_by_another(node) is not None
        with pytest.raises(LeaseLost):
            meter.pay()
        assert meter.calls == 1
