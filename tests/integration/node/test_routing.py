"""Vendors are ordered by what is really spent and filled."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.control.tasks import Work
from simulator.replay.server import ReplayServer
from tests.support.markets import LAST, MORNING_AFTER, SYMBOLS, small_market
from tests.support.nodes import KEYS, Steps, make_node, publish
from trademl import api

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

TODAY = MORNING_AFTER.date()
BOTH = KEYS.model_copy(update={"finnhub_api_key": KEYS.alpaca_secret_key})


@pytest.fixture
def server(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as serving:
        yield serving


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def node(data, server, steps):
    return make_node(data, server, steps, settings=BOTH)


def spends(node, vendor, share):
    """Spends a share of a vendor's day."""
    calls = int(node.registry.limits(vendor).daily_cap * share)
    with node.queue() as queue, node.control() as control, control.transaction() as tx:
        state = queue.budget.look(tx, vendor)
        queue.budget.spend(tx, state, vendor, "options_chain", calls)


def test_a_vendor_with_little_left_goes_behind_its_equals(node, steps):
    work = Work("options_chain", TODAY, TODAY + timedelta(days=1), "FORWARD", "AAA")
    with node.queue() as queue:
        queue.add([work])
        task = queue.lease_next("me", node.providers).task
    assert node.providers(task) == ["alpaca", "finnhub"]
    spends(node, "alpaca", 0.9)
    steps.wait(61)
    assert node.providers(task) == ["finnhub", "alpaca"]
    # Another day, another budget.
    steps.wait(24 * 3600)
    today = steps.wall.date()
    again = replace(task, start=today, end=today + timedelta(days=1))
    assert node.providers(again) == ["alpaca", "finnhub"]


@pytest.fixture
def asked(data, monkeypatch):
    """The public route, as one asks on the morning after."""
    monkeypatch.setenv("TRADEML_DATA", str(data))
    monkeypatch.setenv("TRADEML_CLOCK", MORNING_AFTER.isoformat())
    return lambda *given: {one.vendor: one.score for one in api.route(*given)}


def test_the_public_route_knows_what_is_filled(asked, data):
    before = asked("equities_bars_1d", LAST, SYMBOLS)
    publish(data, {(SYMBOLS[0], LAST): ("RED", "NO_DATA")})
    after = asked("equities_bars_1d", LAST, SYMBOLS)
    filled = len(SYMBOLS) - 1
    assert after["alpaca"] == pytest.approx(before["alpaca"] - 2 * filled / len(SYMBOLS))
    assert {**after, "alpaca": 0} == {**before, "alpaca": 0}


def test_the_public_route_knows_what_is_spent(asked, node):
    before = asked("options_chain", TODAY, ["AAA"])
    spends(node, "alpaca", 0.9)
    after = asked("options_chain", TODAY, ["AAA"])
    assert after["alpaca"] == before["alpaca"] - 0.5
    assert list(before) != list(after)
