from datetime import date, timedelta
from unittest.mock import Mock

import pytest

from ingest.control.budget import Verdict
from ingest.control.clock import stamp
from ingest.control.dispatch import AT_ONCE
from ingest.control.limits import NodeLimits
from ingest.control.queue import LeaseLost
from tests.support.queues import MANY, NOON, Node, capability, work
from trademl.errors import ConfigError


def ids(leases):
    return [lease.task.symbol for lease in leases]


def test_lanes_come_in_order_and_age_decides_within_one(node):
    pieces = [
        work("forward", kind="FORWARD"),
        work("ancient", kind="BOOTSTRAP", in_stage_window=False),
        work("probe", kind="QC_PROBE"),
        work("old-gap", kind="GAP", in_stage_window=False),
        work("gap", kind="GAP"),
        work("first", kind="BOOTSTRAP"),
    ]
    for piece in pieces:
        node.queue.add([piece])
        node.time.passes(1)
    node.queue.add([work("second", kind="BOOTSTRAP")])
    assert node.rows("priority") == [(5,), (3,), (2,), (3,), (1,), (0,), (0,)]
    expected = ["first", "second", "gap", "probe", "ancient", "old-gap", "forward"]
    assert ids(node.leases()) == expected


def test_age_counts_before_number(node):
    node.queue.add([work("A")])
    node.time.passes(60)
    node.queue.add([work("B")])
    node.queue.complete(node.lease())
    node.time.passes(60)
    assert node.queue.add([work("A")]) == 1
    assert ids(node.leases()) == ["B", "A"]


def test_chunks_of_a_long_window_stay_in_their_lane(node):
    assert node.queue.add([work("A", 1, 101)]) == 4
    found = node.leases()
    assert {lease.task.priority for lease in found} == {0}
    assert [(lease.task.start.day, (lease.task.end - lease.task.start).days) for lease in found] == [
        (1, 30), (31, 30), (1, 30), (31, 10),
    ]  # fmt: skip


@pytest.mark.parametrize("symbol", [None, "", "A"])
def test_the_same_work_is_queued_once_with_and_without_a_symbol(node, symbol):
    piece = work(symbol, dataset="macros")
    assert node.queue.add([piece, piece]) == 1
    assert node.queue.add([piece]) == 0
    assert len(node.leases()) == 1


def test_an_empty_symbol_is_stored_as_text_and_shown_as_null(node):
    node.queue.add([work(None), work("A")])
    with node.control.transaction() as tx:
        shown = tx.con.execute("select symbol from backfill_tasks order by id").fetchall()
    assert (node.rows("symbol"), shown) == ([("",), ("A",)], [(None,), ("A",)])
    assert ids(node.leases()) == [None, "A"]


def test_what_waits_or_is_leased_is_not_queued_again_under_any_kind(node):
    node.queue.add([work("A", 5, 10, "GAP")])
    node.lease()
    node.queue.add([work("A", 15, 20, "BOOTSTRAP")])
    assert node.queue.add([work("A", 1, 25, "QC_PROBE")]) == 3
    assert node.queue.add([work("A", 1, 25, "GAP")]) == 0
    windows = node.rows("kind, substr(start_date, 9), substr(end_date, 9)")
    assert windows[2:] == [
        ("QC_PROBE", "01", "05"),
        ("QC_PROBE", "10", "15"),
        ("QC_PROBE", "20", "25"),
    ]


def test_windows_that_touch_do_not_overlap(node):
    node.queue.add([work("A", 5, 10)])
    assert node.queue.add([work("A", 1, 5), work("A", 10, 12), work("B", 5, 10)]) == 3


def test_live_data_does_not_wait_behind_a_backfill_of_the_same_day(node):
    node.queue.add([work("A", 1, 10, "BOOTSTRAP")])
    assert node.queue.add([work("A", 9, 10, "FORWARD")]) == 1
    assert node.queue.add([work("A", 9, 10, "FORWARD")]) == 0
    node.lease(kinds=["BOOTSTRAP"])
    assert node.queue.add([work("A", 8, 9, "FORWARD")]) == 0


def test_done_work_opens_again_and_failed_work_does_not(node):
    node.queue.add([work("A"), work("B")])
    node.queue.complete(node.lease())
    for _ in range(5):
        node.time.passes(3600)
        node.queue.fail(node.lease(), "no")
    assert node.status() == ["DONE", "FAILED"]
    assert node.queue.add([work("A"), work("B")]) == 1
    assert node.status() == ["PENDING", "FAILED"]
    assert node.queue.add([work("B", 2, 3)]) == 0
    assert node.queue.add([work("B", 2, 3, "GAP")]) == 1


def test_a_waiting_task_moves_to_a_better_lane_and_never_to_a_worse(node):
    node.queue.add([work("A", in_stage_window=False)])
    node.queue.add([work("A")])
    assert node.rows("priority") == [(0,)]
    node.queue.add([work("A", in_stage_window=False)])
    assert node.rows("priority") == [(0,)]


def test_a_lease_holds_for_its_time_and_then_the_task_waits_again(node):
    node.queue.add([work()])
    lease = node.lease("first")
    assert lease.expires_at == NOON + timedelta(seconds=300)
    node.time.passes(299.999999)
    assert node.lease("second") is None
    node.time.passes(0.000001)
    second = node.lease("second")
    assert (second.task.id, second.task.attempts) == (lease.task.id, 1)
    for report in (node.queue.complete, node.queue.renew, node.queue.charge):
        with pytest.raises(LeaseLost, match="has ended"):
            report(lease)
    with pytest.raises(LeaseLost):
        node.queue.fail(lease, "late")
    assert node.rows("status, lease_owner, attempts") == [("LEASED", "second", 1)]


def test_the_same_owner_cannot_report_on_a_lease_it_had_before(node):
    node.queue.add([work()])
    old = node.lease("me")
    node.time.passes(300)
    new = node.lease("me")
    with pytest.raises(LeaseLost):
        node.queue.complete(old)
    node.queue.complete(new)


def test_a_renewed_lease_holds_for_its_full_time_again(node):
    node.queue.add([work()])
    lease = node.lease()
    node.time.passes(250)
    lease = node.queue.renew(lease)
    node.time.passes(299)
    assert node.lease("other") is None
    node.queue.complete(lease)
    with pytest.raises(LeaseLost):
        node.queue.complete(lease)


def test_a_task_is_done_with_what_follows_from_it_or_not_at_all(node, monkeypatch):
    """A worker that is killed between the two would lose the gap that a probe found."""
    node.queue.add([work(kind="QC_PROBE")])
    lease = node.lease()
    with monkeypatch.context() as killed:
        killed.setattr("ingest.control.queue.add_all", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            node.queue.complete(lease, [work(kind="GAP")])
    assert node.status() == ["LEASED"]
    node.queue.complete(lease, [work(kind="GAP")])
    assert node.status() == ["DONE", "PENDING"]


def test_a_lease_that_ended_but_nobody_took_may_still_report(node):
    node.queue.add([work()])
    lease = node.lease()
    node.time.passes(1000)
    node.queue.complete(lease)
    assert node.status() == ["DONE"]


def test_failures_wait_twice_as_long_each_time_and_the_fifth_is_the_last(node):
    node.queue.add([work()])
    waits = []
    for attempt in range(1, 6):
        node.queue.fail(node.lease(), f"trouble\nnumber {attempt}")
        ((status, attempts, not_before, error),) = node.rows()
        assert (attempts, error) == (attempt, f"trouble number {attempt}")
        if status == "FAILED":
            break
        wait = next(
            s for s in range(4000) if stamp(node.time.wall + timedelta(seconds=s)) == not_before
        )
        waits.append(wait)
        node.time.passes(wait - 0.001)
        assert node.lease() is None
        node.time.passes(0.001)
    assert waits == [120, 240, 480, 960]
    assert (status, not_before) == ("FAILED", None)
    node.time.passes(10_000)
    assert node.lease() is None


@pytest.mark.parametrize("kind", ["BOOTSTRAP", "GAP", "FORWARD"])
def test_a_failed_task_is_queued_again_the_next_day_or_by_hand(node, monkeypatch, kind):
    """A vendor that was down for an evening leaves no hole, and is not asked more than once a day."""
    monkeypatch.setattr("ingest.control.queue_store.MAX_ATTEMPTS", 1)
    task = work(kind=kind)
    node.queue.add([task])
    node.queue.fail(node.lease(), "down")
    assert node.status() == ["FAILED"]
    assert node.queue.add([task]) == 0
    assert node.queue.add([task], retry=True) == 1
    node.queue.fail(node.lease(), "down")
    assert node.queue.add([task]) == 0
    node.time.passes(86_400)
    assert node.queue.add([task]) == 1


def test_the_wait_after_a_failure_is_at_most_an_hour(node, monkeypatch):
    monkeypatch.setattr("ingest.control.queue_store.MAX_ATTEMPTS", 9)
    node.queue.add([work()])
    for _ in range(8):
        node.time.passes(3600)
        node.queue.fail(node.lease(), "no")
    assert node.rows("next_not_before") == [(stamp(node.time.wall + timedelta(seconds=3600)),)]


def test_a_task_without_capacity_waits_five_minutes_and_that_is_no_attempt(node):
    node.queue.add([work()])
    node.queue.defer(node.lease(), "no_capacity")
    assert node.rows() == [("PENDING", 0, stamp(NOON + timedelta(minutes=5)), "no_capacity")]


def test_a_task_without_budget_waits_for_the_next_utc_day_and_that_is_no_attempt(node):
    node.queue.add([work()])
    node.queue.defer(node.lease(), "budget")
    assert node.rows() == [("PENDING", 0, "2026-03-03T00:00:00.000000Z", "budget")]
    node.time.passes(12 * 3600 - 1)
    assert node.lease() is None
    node.time.passes(1)
    assert node.lease() is not None


def test_tasks_whose_vendors_spent_their_day_wait_for_the_next(node):
    node = Node(capability(soft_daily_cap=10), capability("b", soft_daily_cap=2))
    node.queue.add([work(str(number)) for number in range(20)])
    assert [lease.vendor for lease in node.leases()] == ["acme"] * 8 + ["b"]
    waiting = node.rows()[9:]
    assert waiting == [("PENDING", 0, "2026-03-03T00:00:00.000000Z", "budget")] * 11
    node.wait(12 * 3600)
    assert len(node.leases()) == 9


def test_a_vendor_that_lacks_a_token_is_passed_over_and_its_tasks_stay_first():
    slow = capability(hard_rpm=60, burst_limit=1)
    node = Node(slow, capability("b", "macros"))
    node.queue.add([work("A"), work("B"), work(None, dataset="macros")])
    assert [(lease.vendor, lease.task.symbol) for lease in node.leases()] == [
        ("acme", "A"),
        ("b", None),
    ]
    assert node.rows()[1] == ("PENDING", 0, None, None)
    node.time.passes(1)
    assert node.lease().task.symbol == "B"


def test_many_tasks_of_a_busy_vendor_do_not_hide_those_of_another():
    node = Node(capability(hard_rpm=1, burst_limit=1), capability("b"))
    names = [f"{number:04}" for number in range(3 * AT_ONCE)]
    node.queue.add([work(name) for name in names] + [work("last")])
    node.queue.budget.freeze("acme", 1000)

    def providers(task):
        return ["b"] if task.symbol == "last" else ["acme"]

    found = [node.queue.lease_next("me", providers) for _ in range(5)]
    assert [lease.task.symbol for lease in found if lease] == ["last"]
    put_off = {row[2] for row in node.rows() if row[3] == "no_capacity"}
    assert put_off == {stamp(NOON + timedelta(minutes=5))}


def test_a_vendor_that_is_not_entitled_rests_for_a_day_for_this_symbol_only():
    node = Node(capability(), capability("b"))
    node.queue.add([work("A"), work("B")])
    node.queue.not_entitled(node.lease(), node.providers)
    assert node.rows()[0][:3] == ("PENDING", 0, stamp(NOON + timedelta(seconds=10)))
    assert (node.lease().task.symbol, node.lease()) == ("B", None)
    node.time.passes(10)
    again = node.lease()
    assert (again.task.symbol, again.vendor) == ("A", "b")
    node.queue.complete(again)
    node.time.passes(24 * 3600 - 10)
    node.queue.add([work("A")])
    assert node.lease().vendor == "acme"


def test_a_task_fails_when_no_vendor_is_entitled():
    node = Node(capability(), capability("b"))
    node.queue.add([work("A")])
    node.queue.not_entitled(node.lease(), node.providers)
    node.time.passes(10)
    node.queue.not_entitled(node.lease(), node.providers)
    assert node.rows() == [("FAILED", 0, None, "not entitled at acme, b")]


def test_work_that_comes_while_all_vendors_rest_waits_for_the_first(node):
    node.queue.add([work("A")])
    node.queue.not_entitled(node.lease(), node.providers)
    node.time.passes(60)
    node.queue.add([work("A", 10, 12)])
    assert node.lease() is None
    assert node.rows()[1][:3] == ("PENDING", 0, stamp(NOON + timedelta(days=1)))


def test_work_that_nobody_serves_fails_instead_of_being_tried_for_ever(node):
    node.queue.add([work("A"), work("B")])
    found = node.queue.lease_next("me", lambda task: ["acme"] if task.symbol == "B" else [])
    assert found.task.symbol == "B"
    assert node.rows()[0] == ("FAILED", 0, None, "no vendor serves this dataset and window")


def test_a_vendors_runner_gets_only_what_is_its_turn():
    node = Node(capability(), capability("b"), capability("b", "macros"))
    node.queue.add([work("A"), work(None, dataset="macros")])
    assert node.lease(vendors=["b"]).task.dataset == "macros"
    node.queue.budget.freeze("acme", 60)
    assert node.lease(vendors=["b"]).task.symbol == "A"


def test_tasks_are_forgotten_some_days_after_they_ended(node):
    node.queue.add([work("A"), work("B"), work("C")])
    node.queue.complete(node.lease())
    node.queue.not_entitled(node.lease(), node.providers)
    node.time.passes(7 * 86_400 - 1)
    assert node.queue.prune(7, 8) == 0
    node.time.passes(1)
    assert node.queue.prune(7, 8) == 1
    assert node.status() == ["DONE", "PENDING"]
    assert node.queue.add([work("B")]) == 1
    node.time.passes(86_400)
    assert node.queue.prune(7, 8) == 1
    assert node.status() == ["PENDING", "PENDING"]
    assert node.queue.add([work("A")]) == 1


def test_a_task_whose_lease_ends_five_times_fails(node):
    node.queue.add([work("A")])
    for _ in range(5):
        assert node.lease() is not None
        node.time.passes(300)
    assert node.lease() is None
    assert node.rows() == [("FAILED", 5, None, "lease of me expired")]


def test_a_task_that_kills_its_worker_fails_and_those_beside_it_do_not(node):
    node.queue.add([work("A"), work("poison"), *(work(f"Z{number}") for number in range(9))])
    deaths = 0
    for _ in range(40):
        held = [lease for lease in (node.lease(), node.lease()) if lease]
        if any(lease.task.symbol == "poison" for lease in held):
            deaths += 1
            assert node.queue.abandon("me") == len(held)
            continue
        for lease in held:
            node.queue.complete(lease)
        node.wait(60)
    assert deaths == 5
    assert node.rows("symbol, status, attempts, last_error")[1] == (
        *("poison", "FAILED", 5, "interrupted"),
    )
    others = [row for row in node.rows("symbol, status, attempts") if row[0] != "poison"]
    assert {status for _, status, _ in others} == {"DONE"}
    assert max(attempts for *_, attempts in others) <= 2


def test_a_killed_nodes_tasks_go_again_at_once_the_first_time(node):
    node.queue.add([work("A"), work("B")])
    node.leases()
    assert node.queue.abandon("you") == 0
    assert node.queue.abandon("me") == 2
    assert node.rows() == [("PENDING", 1, None, "interrupted")] * 2
    node.leases()
    node.queue.abandon("me")
    soon = stamp(NOON + timedelta(seconds=60))
    assert node.rows() == [
        ("PENDING", 2, None, "interrupted"),
        ("PENDING", 2, soon, "interrupted"),
    ]


def test_each_cycle_serves_live_data_first_up_to_its_quota(node):
    node.queue.add([work(f"b{number}") for number in range(10)])
    node.queue.add([work(f"f{number}", kind="FORWARD") for number in range(5)])
    node.queue.add([work("gap", kind="GAP")])
    cycle = node.queue.cycle("me", node.providers, forward_quota=2, size=4)
    assert ids(cycle) == ["f0", "f1", "b0", "b1"]
    rest = node.queue.cycle("me", node.providers, forward_quota=9, size=99)
    assert ids(rest) == ["f2", "f3", "f4", *(f"b{number}" for number in range(2, 10)), "gap"]


def test_further_pages_are_charged_to_the_lease():
    node = Node(capability(soft_daily_cap=10))
    node.queue.add([work("A")])
    lease = node.lease()
    verdicts = [node.queue.charge(lease, 3) for _ in range(3)]
    assert verdicts == [Verdict.GRANTED, Verdict.GRANTED, Verdict.DAY_SPENT]
    assert node.queue.budget.state("acme").spent_today == 7


def test_at_most_so_many_tasks_are_leased_at_a_vendor():
    node = Node(capability(), limits=NodeLimits(max_inflight={"acme": 2}))
    node.queue.add([work(name) for name in "ABCD"])
    first, _second = node.leases()
    node.queue.complete(first)
    assert ids(node.leases()) == ["C"]
    node.wait(300)
    assert len(node.leases()) == 2


def test_a_refused_lease_leaves_no_trace(node):
    node.queue.add([work("A")])
    with pytest.raises(ZeroDivisionError):
        node.queue.lease_next("me", lambda task: 1 / 0)
    assert node.rows() == [("PENDING", 0, None, None)]
    assert node.queue.budget.state("acme").spent_today == 0


def test_a_lease_that_cannot_be_written_spends_nothing(node, monkeypatch):
    node.queue.add([work("A")])
    monkeypatch.setattr("ingest.control.queue.lease_task", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        node.lease()
    assert node.queue.budget.state("acme").spent_today == 0


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (work("A", 5, 5), "holds no day"),
        (work("A", kind="LATER"), "no kind of work 'LATER'"),
        (work("A", dataset="tea"), "'tea' is not a dataset of the registry"),
    ],
)
def test_work_that_makes_no_sense_is_refused_whole(node, piece, message):
    with pytest.raises(ConfigError, match=message):
        node.queue.add([work("B"), piece])
    assert node.rows() == []


def test_the_node_may_shorten_windows():
    node = Node(limits=NodeLimits(max_days_per_task=10))
    assert node.queue.add([work("A", 1, 26)]) == 3


def test_a_queue_survives_a_restart(tmp_path):
    node = Node(path=tmp_path / "control" / "node.sqlite", limits=MANY)
    node.queue.add([work("A"), work("B")])
    lease = node.lease()
    node.restart()
    assert node.lease().task.symbol == "B"
    node.queue.complete(lease)
    assert node.queue.counts() == {("BOOTSTRAP", "DONE"): 1, ("BOOTSTRAP", "LEASED"): 1}
    assert date.fromisoformat(node.rows("start_date")[0][0]) == date(2020, 1, 1)


def test_work_that_opens_again_has_all_its_attempts(node):
    node.queue.add([work()])
    node.queue.fail(node.lease(), "no")
    node.time.passes(120)
    node.queue.complete(node.lease())
    node.queue.add([work()])
    assert node.rows() == [("PENDING", 0, None, None)]


def test_a_vendor_that_rests_has_no_budget_to_wait_for():
    node = Node(capability(), capability("b", soft_daily_cap=1))
    node.queue.add([work("A")])
    node.queue.not_entitled(node.lease(), node.providers)
    node.time.passes(10)
    assert node.lease() is None
    assert node.rows()[0][2:] == ("2026-03-03T00:00:00.000000Z", "budget")


@pytest.mark.parametrize(("hour", "tries"), [(0, [0, 1, 3, 7, 15]), (21, [21, 22])])
def test_a_late_task_fails_after_five_tries_or_with_its_day(node, hour, tries):
    node.time.passes((12 + hour) * 3600)
    node.queue.add([work()])
    tried = []
    for moment in range(hour, 24):
        if lease := node.lease():
            tried.append(moment)
            node.queue.late(lease, "no bars yet")
        node.time.passes(3600)
    assert tried == tries
    assert node.rows("status, last_error") == [("FAILED", "no bars yet")]
    assert node.queue.add([work()]) == 1
