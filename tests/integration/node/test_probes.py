"""Which partitions a second vendor is asked about, and what counts as contradiction."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from ingest.control.tasks import Task
from ingest.node.planning import probes
from ingest.node.planning.probes import SAMPLE_SIZE, Verdict, compare, queue_probes
from tests.support.markets import FIRST, MORNING_AFTER, trading_days
from tests.support.nodes import PROBING, Steps, make_node, publish, tasks

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

NAMES = [f"N{number:02}" for number in range(20)]
"""The later, the more traded."""
EVENT = ("N03", date(2020, 3, 11))
DOUBT = ("N05", date(2020, 3, 5))


class Nowhere:
    url = "http://127.0.0.1:1"


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def node(data, steps):
    bars = [
        {"security_id": f"id-{name}", "session_date": day, "close": 2.0, "volume": 10.0**place}
        for place, name in enumerate(NAMES)
        for day in trading_days()
    ]
    actions = [{"security_id": f"id-{EVENT[0]}", "ex_date": EVENT[1]}]
    more = {
        "curated.equities_ohlcv_adj": pa.Table.from_pylist(bars),
        "reference.corp_actions": pa.Table.from_pylist(actions),
    }
    publish(data, {DOUBT: ("AMBER", "ROW_COUNT_LOW")}, NAMES, more=more)
    return make_node(data, Nowhere, steps, settings=PROBING)


def sampled(node):
    """Samples once more, and lands a verdict of each; the symbols and days."""
    before = len(tasks(node))
    assert queue_probes(node) == SAMPLE_SIZE
    found = [
        (symbol, date.fromisoformat(start))
        for symbol, start in tasks(node, "symbol, start_date")[before:]
    ]
    for symbol, day in found:
        probes._land(node, task_of(symbol, day), "massive", Verdict("OK", 0.0, 1.0))
    return found


def task_of(symbol, day):
    return Task(1, "equities_bars_1d", symbol, day, day + timedelta(days=1), "QC_PROBE", 2, 0)


def test_weeks_of_probes_ask_nothing_twice_and_many_names(node, steps):
    days = trading_days()
    most = len(NAMES) * sum(day >= MORNING_AFTER.date() - timedelta(days=31) for day in days) - 1
    rounds = [sampled(node) for _ in range(8)]
    everything = [one for found in rounds for one in found]
    assert len(set(everything)) == len(everything) == 8 * SAMPLE_SIZE < most
    assert len({symbol for symbol, _ in rounds[0]}) >= 5
    assert len({symbol for symbol, _ in everything}) >= len(NAMES) - 2
    assert DOUBT not in everything


def test_events_doubts_and_traded_value_weigh(node, steps):
    everything = [one for _ in range(8) for one in sampled(node)]

    def share(wanted):
        """How many of the partitions of a kind were asked about."""
        first = MORNING_AFTER.date() - timedelta(days=31)
        days = [day for day in trading_days() if day >= first]
        kind = [(name, day) for name in NAMES for day in days if wanted(name, day)]
        return sum(one in everything for one in kind) / len(kind)

    def is_near(name, day):
        after = name == DOUBT[0] and timedelta(0) < day - DOUBT[1] <= timedelta(days=10)
        return after or (name == EVENT[0] and abs(day - EVENT[1]) <= timedelta(days=5))

    few, many = (lambda name, day: name < "N10"), (lambda name, day: name >= "N10")
    assert share(is_near) > 1.5 * share(lambda name, day: few(name, day) and not is_near(name, day))
    assert share(many) > 1.5 * share(lambda name, day: few(name, day) and not is_near(name, day))


def test_a_pass_repeated_asks_for_nothing_more(node):
    assert queue_probes(node) == SAMPLE_SIZE
    assert queue_probes(node) == 0


@pytest.mark.parametrize(
    ("theirs", "word"),
    [
        ((10.0, 11.0, 9.0, 10.5, 1000.0), "OK"),
        ((10.0, 11.0, 9.0, 10.52, 1000.0), "OK"),
        ((10.0, 11.0, 9.0, 10.53, 1000.0), "CROSS_VENDOR_MISMATCH"),
        ((10.0, 11.0, 9.0, 10.5, 2000.0), "OK"),
        ((10.0, 11.0, 9.0, 10.5, 2001.0), "CROSS_VENDOR_MISMATCH"),
        ((10.0, 11.0, 9.0, 10.5, 499.0), "CROSS_VENDOR_MISMATCH"),
        ((10.0, 11.0, 9.0, 10.5, 0.0), "CROSS_VENDOR_MISMATCH"),
        (None, "NO_DATA"),
    ],
)
def test_prices_and_volume_are_judged(node, monkeypatch, theirs, word):
    ours = (10.0, 11.0, 9.0, 10.5, 1000.0)
    monkeypatch.setattr(
        probes, "_bar", lambda _node, vendor, *_key: ours if vendor == "alpaca" else theirs
    )
    assert compare(node, task_of("N01", FIRST), "massive").word == word


def test_a_bar_without_volume_is_judged_by_its_prices(node, monkeypatch):
    monkeypatch.setattr(probes, "_bar", lambda *_key: (10.0, 11.0, 9.0, 10.5, 0.0))
    verdict = compare(node, task_of("N01", FIRST), "massive")
    assert verdict == Verdict("OK", 0.0, None)
