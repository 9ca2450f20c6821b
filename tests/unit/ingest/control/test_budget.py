import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.budget import Verdict
from ingest.control.limits import NodeLimits, limits_from
from ingest.control.queue import LeaseLost
from tests.support.queues import Node, capability, work
from trademl.errors import ConfigError
from trademl.settings import Settings

BARS = "equities_bars_1d"
VENDORS = Registry.of(read_capabilities()).vendors


def spent(node, kind, dataset=BARS, vendor="acme"):
    """How many calls a kind of work may still spend today."""
    count = 0
    while node.queue.budget.take(vendor, dataset, kind) is Verdict.GRANTED:
        count += 1
    return count


@pytest.mark.parametrize(
    ("cap", "backfill", "probe", "forward"), [(100, 85, 90, 100), (25, 21, 22, 25), (1, 0, 0, 1)]
)
def test_each_kind_may_spend_its_share_of_the_day(cap, backfill, probe, forward):
    node = Node(capability(soft_daily_cap=cap))
    assert spent(node, "BOOTSTRAP") == backfill
    assert spent(node, "GAP") == 0
    assert spent(node, "QC_PROBE") == probe - backfill
    assert spent(node, "FORWARD") == forward - probe
    assert node.queue.budget.take("acme", BARS, "FORWARD") is Verdict.DAY_SPENT


def test_leases_spend_the_same_shares():
    node = Node(capability(soft_daily_cap=100))
    for kind in ("BOOTSTRAP", "QC_PROBE", "FORWARD"):
        node.queue.add([work(f"{kind}{n}", kind=kind) for n in range(120)])
    kinds = [lease.task.kind for lease in node.leases()]
    counted = [kinds.count(kind) for kind in ("BOOTSTRAP", "QC_PROBE", "FORWARD")]
    assert counted == [85, 5, 10]


def test_an_endpoint_has_its_own_day_within_its_vendors():
    node = Node(capability(soft_daily_cap=100), capability(dataset="macros", soft_daily_cap=20))
    assert spent(node, "GAP", "macros") == 17
    assert spent(node, "GAP", BARS) == 68
    assert spent(node, "FORWARD", "macros") == 3
    assert node.queue.budget.state("acme").spent_today == 88


def test_the_day_begins_at_midnight_utc():
    node = Node(capability(soft_daily_cap=10))
    assert spent(node, "FORWARD") == 10
    node.wait(12 * 3600 - 0.001)
    assert spent(node, "FORWARD") == 0
    node.time.passes(0.001)
    assert spent(node, "FORWARD") == 10


@pytest.mark.parametrize(("rpm", "burst"), [(5, 1), (60, 10), (200, None), (7, 7)])
def test_a_minute_never_has_more_calls_than_its_rate_and_one_burst(rpm, burst):
    node = Node(capability(hard_rpm=rpm, burst_limit=burst))
    times = []
    for _ in range(1200):
        node.time.passes(0.25)
        if node.queue.budget.take("acme", BARS, "FORWARD") is Verdict.GRANTED:
            times.append(node.time.steady)
    most = max(sum(begin <= t < begin + 60 for t in times) for begin in times)
    assert most <= rpm + (burst or rpm)
    assert len(times) >= 5 * rpm - 1


def test_a_bucket_refills_by_its_rate_and_holds_one_burst():
    node = Node(capability(hard_rpm=120, burst_limit=4))
    assert spent(node, "FORWARD") == 4
    node.time.passes(0.499)
    assert spent(node, "FORWARD") == 0
    node.time.passes(0.001)
    assert spent(node, "FORWARD") == 1
    node.time.passes(100)
    assert node.queue.budget.state("acme").tokens == 4


def test_a_new_or_stale_bucket_starts_with_one_token(tmp_path):
    node = Node(capability(hard_rpm=60), path=tmp_path / "node.sqlite")
    node.time.passes(240)
    node.restart()
    assert node.queue.budget.state("acme").tokens == 60
    assert spent(node, "FORWARD") == 60
    node.time.passes(301)
    node.restart()
    assert spent(node, "FORWARD") == 1
    node.time.passes(2)
    assert spent(node, "FORWARD") == 2


def test_a_restart_forgets_nothing(tmp_path):
    node = Node(capability(hard_rpm=600, soft_daily_cap=100), path=tmp_path / "node.sqlite")
    assert spent(node, "GAP") == 85
    node.restart()
    assert spent(node, "GAP") == 0
    assert spent(node, "FORWARD") == 15
    assert node.queue.budget.state("acme").tokens == 600 - 100


def test_a_call_on_a_heavier_endpoint_costs_more_tokens():
    node = Node(
        capability(hard_rpm=3000, burst_limit=20),
        capability(dataset="macros", hard_rpm=300, burst_limit=2),
    )
    assert spent(node, "FORWARD", "macros") == 2
    assert spent(node, "FORWARD", BARS) == 0
    node.time.passes(0.2)
    assert spent(node, "FORWARD", BARS) == 10


def test_a_heavy_endpoint_can_be_called_after_a_long_rest():
    registry = Registry.of(read_capabilities())
    binance = [row for row in registry.rows if row.vendor == "binance"]
    node = Node(*binance)
    for _ in range(3):
        node.time.passes(86_400)
        take = node.queue.budget.take("binance", "crypto_filters", "FORWARD")
        assert take is Verdict.GRANTED


def test_more_calls_than_a_bucket_holds_are_refused_in_words():
    node = Node(capability(hard_rpm=60, burst_limit=5))
    with pytest.raises(ConfigError, match="bucket holds 5 tokens and one call costs 1"):
        node.queue.budget.take("acme", BARS, "GAP", 6)


def test_a_freeze_stops_one_vendor_for_its_time():
    limits = NodeLimits(max_inflight_default=99, freeze_seconds={"acme": 30})
    node = Node(capability(), capability("b"), limits=limits)
    budget = node.queue.budget
    budget.freeze("acme")
    assert budget.take("acme", BARS, "FORWARD") is Verdict.FROZEN
    assert budget.take("b", BARS, "FORWARD") is Verdict.GRANTED
    node.time.passes(29.9)
    assert budget.state("acme").is_frozen
    node.time.passes(0.1)
    assert budget.take("acme", BARS, "FORWARD") is Verdict.GRANTED


def test_a_short_freeze_does_not_end_a_long_one():
    node = Node()
    node.queue.budget.freeze("acme", 100)
    node.queue.budget.freeze("acme", 10)
    node.time.passes(50)
    assert node.queue.budget.state("acme").is_frozen
    node.time.passes(50)
    assert not node.queue.budget.state("acme").is_frozen


def test_a_freeze_gives_no_tokens():
    node = Node(capability(hard_rpm=60, burst_limit=3))
    assert spent(node, "FORWARD") == 3
    node.queue.budget.freeze("acme", 1)
    node.queue.budget.freeze("acme", 1)
    assert node.queue.budget.state("acme").tokens == 0


def test_the_environment_sets_limits_under_any_name_of_a_vendor(monkeypatch):
    monkeypatch.setenv("NODE_MAX_INFLIGHT_DEFAULT", "3")
    monkeypatch.setenv("NODE_MAX_INFLIGHT_POLYGON", "7")
    monkeypatch.setenv("VENDOR_FREEZE_SECONDS_ALPHA_VANTAGE", "600")
    monkeypatch.setenv("BACKFILL_MAX_DAYS_PER_TASK", "10")
    found = limits_from(Settings(_env_file=None), VENDORS)
    assert (found.inflight("alpaca"), found.inflight("massive")) == (3, 7)
    assert (found.freeze("alphavantage"), found.freeze("alpaca")) == (600, 60)
    assert (found.freeze("sec_edgar"), found.inflight("fred")) == (600, 1)
    assert found.max_days_per_task == 10


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NODE_MAX_INFLIGHT_ALPACCA", "3", "alpacca; there are"),
        ("NODE_MAX_INFLIGHT_ALPACA", "0", "max_inflight.alpaca"),
        ("VENDOR_FREEZE_SECONDS_DEFAULT", "soon", "freeze_seconds.default"),
        ("BACKFILL_MAX_DAYS_PER_TASK", "", "max_days_per_task"),
    ],
)
def test_a_limit_that_would_not_hold_is_refused(name, value, message, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        limits_from(Settings(_env_file=None), VENDORS)


@pytest.mark.parametrize(("vendor", "dataset"), [("tea", BARS), ("acme", "tea")])
def test_an_unknown_vendor_or_dataset_is_refused_and_never_free(vendor, dataset):
    with pytest.raises(ConfigError, match="registry"):
        Node().queue.budget.take(vendor, dataset, "FORWARD")


def test_the_longest_wait_for_a_token_is_the_inverse_of_the_rate():
    node = Node(capability(hard_rpm=5, burst_limit=1))
    assert spent(node, "FORWARD") == 1
    node.time.passes(11.99)
    assert spent(node, "FORWARD") == 0
    node.time.passes(0.01)
    assert spent(node, "FORWARD") == 1


def test_a_call_given_back_is_one_of_the_day_it_was_paid_on():
    node = Node(capability(soft_daily_cap=10, hard_rpm=60, burst_limit=2))
    node.queue.add([work("A"), work("B")])
    budget = node.queue.budget
    before = budget.state("acme").tokens
    node.queue.refund(node.lease())
    assert (budget.state("acme").spent_today, budget.state("acme").tokens) == (0, before)
    node.wait(12 * 3600 - 1)
    late = node.lease()
    assert budget.state("acme").spent_today == 1
    node.time.passes(2)
    assert budget.take("acme", BARS, "FORWARD") is Verdict.GRANTED
    node.queue.refund(late)
    assert budget.state("acme").spent_today == 1
    node.queue.complete(late)
    with pytest.raises(LeaseLost):
        node.queue.refund(late)
