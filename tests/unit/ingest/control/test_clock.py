"""Jumps of the wall clock, reboots, and files that are not the node's."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.control.budget import Verdict
from ingest.control.clock import NodeClock, machine_clock, moment_of, shifted, stamp
from ingest.control.database import Control
from tests.support.queues import NOON, FakeTime, Node, capability, work
from trademl.errors import ConfigError, DataError

BARS = "equities_bars_1d"
HOUR, YEAR = 3600, 365 * 86_400
JUMPS = [2, HOUR, -HOUR, 3 * 86_400, -3 * 86_400, 9 * YEAR, -9 * YEAR]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lease_lasts_as_long_as_before_a_jump(jump):
    node = Node()
    node.queue.add([work()])
    lease = node.lease()
    node.time.passes(100)
    node.time.jumps(jump)
    node.time.passes(199)
    assert node.lease("other") is None
    node.time.passes(1)
    assert node.lease("other").task.id == lease.task.id


@pytest.mark.parametrize("jump", JUMPS)
def test_a_wait_lasts_as_long_as_before_a_jump(jump):
    node = Node()
    node.queue.add([work()])
    node.queue.fail(node.lease(), "no")
    node.time.passes(20)
    node.time.jumps(jump)
    node.time.passes(99)
    assert node.lease() is None
    node.time.passes(1)
    assert node.lease() is not None


@pytest.mark.parametrize("jump", JUMPS)
def test_freezes_and_rests_last_as_long_as_before_a_jump(jump):
    node = Node(capability(), capability("b"))
    node.queue.add([work()])
    node.queue.not_entitled(node.lease(), node.providers)
    node.queue.budget.freeze("b", 100)
    node.time.jumps(jump)
    node.time.passes(99)
    assert node.lease() is None
    node.time.passes(1)
    assert node.lease().vendor == "b"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_fills_no_bucket_and_begins_no_new_day(jump):
    node = Node(capability(hard_rpm=60, soft_daily_cap=100))
    take = node.queue.budget.take
    assert [take("acme", BARS, "GAP") for _ in range(60)] == [Verdict.GRANTED] * 60
    node.time.jumps(jump)
    assert take("acme", BARS, "GAP") is Verdict.NO_TOKEN
    node.wait(60)
    assert sum(take("acme", BARS, "GAP") is Verdict.GRANTED for _ in range(60)) == 25


def test_a_clock_that_swings_mints_nothing():
    node = Node(capability(hard_rpm=60, soft_daily_cap=100))
    granted = 0
    for number in range(400):
        node.time.jumps(40 * HOUR if number % 2 else -40 * HOUR)
        node.time.passes(1)
        granted += node.queue.budget.take("acme", BARS, "FORWARD") is Verdict.GRANTED
    assert granted == 100


def test_a_clock_that_creeps_ahead_mints_nothing():
    node = Node(capability(hard_rpm=60, burst_limit=1))
    node.queue.budget.take("acme", BARS, "FORWARD")
    for _ in range(1000):
        node.time.jumps(0.9)
        assert node.queue.budget.take("acme", BARS, "FORWARD") is Verdict.NO_TOKEN


def test_a_day_that_the_clock_only_visited_is_not_spent_when_it_comes():
    node = Node(capability(soft_daily_cap=10))
    take = node.queue.budget.take
    assert take("acme", BARS, "FORWARD", 4) is Verdict.GRANTED
    node.time.jumps(86_400)
    assert take("acme", BARS, "FORWARD", 6) is Verdict.GRANTED
    assert take("acme", BARS, "FORWARD") is Verdict.DAY_SPENT
    node.time.jumps(-86_400)
    assert take("acme", BARS, "FORWARD") is Verdict.DAY_SPENT
    node.wait(86_400)
    assert take("acme", BARS, "FORWARD", 10) is Verdict.GRANTED


def test_order_of_arrival_survives_a_clock_that_goes_back():
    node = Node()
    for name, jump in (("A", 0), ("B", 5 * YEAR), ("C", -5 * YEAR), ("D", -HOUR)):
        node.time.jumps(jump)
        node.queue.add([work(name)])
    assert [lease.task.symbol for lease in node.leases()] == ["A", "B", "C", "D"]


def test_after_a_restart_of_the_machine_waits_go_on_and_the_dead_lose_their_leases(tmp_path):
    node = Node(path=tmp_path / "node.sqlite")
    node.queue.add([work("A"), work("B")])
    node.lease()
    node.queue.fail(node.lease(), "no")
    node.time.reboots(100)
    node.restart()
    assert node.lease() is None
    node.time.passes(20)
    assert node.lease().task.symbol == "B"
    node.time.passes(180)
    assert node.lease().task.symbol == "A"


def test_a_machine_that_wakes_in_the_past_loses_and_mints_nothing(tmp_path):
    node = Node(capability(hard_rpm=60, soft_daily_cap=1000), path=tmp_path / "node.sqlite")
    node.queue.add([work("A"), work("B")])
    node.lease()
    node.queue.fail(node.lease(), "no")
    while node.queue.budget.take("acme", BARS, "FORWARD") is Verdict.GRANTED:
        pass
    assert node.queue.budget.state("acme").spent_today == 60
    node.time.reboots(100, wall_jump=-30 * 86_400)
    node.restart()
    assert node.queue.budget.state("acme").tokens == 0
    assert node.queue.budget.state("acme").spent_today == 60
    node.time.passes(120)
    assert [lease.task.symbol for lease in node.leases()] == ["B"]
    node.time.passes(180)
    assert [lease.task.symbol for lease in node.leases()] == ["A"]
    assert node.queue.budget.state("acme").spent_today == 62


def test_processes_agree_on_the_time_before_and_after_a_jump(tmp_path):
    one = Node(path=tmp_path / "node.sqlite")
    two = Node(path=tmp_path / "node.sqlite", time=one.time)
    one.queue.add([work("A"), work("B")])
    leases = [one.lease("one"), two.lease("two")]
    one.time.jumps(-YEAR)
    assert (two.lease("two"), one.lease("one")) == (None, None)
    assert [one.queue.renew(lease).expires_at for lease in leases] == [
        one.time.wall + timedelta(seconds=300)
    ] * 2


def test_without_a_steady_clock_time_is_what_the_wall_says():
    time = FakeTime()
    clock = NodeClock(lambda: time.wall)
    with Control(Path(":memory:"), clock) as control:
        seen = []
        for jump in (0, 10, -5):
            time.jumps(jump)
            with control.transaction() as tx:
                seen.append((tx.now - NOON).total_seconds())
    assert seen == [0, 10, 5]


def test_a_time_without_a_zone_is_refused():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the case
    with (
        Control(Path(":memory:"), NodeClock(lambda: naive)) as control,
        pytest.raises(ConfigError, match="without a zone"),
        control.transaction(),
    ):
        pass


def test_this_machine_has_a_steady_clock():
    first, second = (machine_clock(lambda: datetime.now(UTC)).read() for _ in range(2))
    assert 0 < first.steady <= second.steady
    assert abs(second.started_at - first.started_at) < timedelta(seconds=1)


def test_stamps_sort_as_time_does():
    times = [NOON + timedelta(microseconds=n) for n in (0, 1, 999_999, 1_000_000, 10**12)]
    stamps = [stamp(moment) for moment in times]
    assert sorted(stamps) == stamps
    assert {len(text) for text in stamps} == {27}
    assert [moment_of(text) for text in stamps] == times
    assert (shifted(stamps[0], 0.5), shifted(None, 1)) == ("2026-03-02T12:00:00.500000Z", None)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path):
    path = tmp_path / "node.sqlite"
    path.write_text("not a database, and long enough to be taken for one" * 100)
    with pytest.raises(DataError, match="file is not a database") as caught:
        Control(path, FakeTime().clock())
    assert "\n" not in str(caught.value)


def test_a_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / "node.sqlite"
    with sqlite3.connect(path) as con:
        con.execute("pragma user_version = 99")
    con.close()
    with pytest.raises(ConfigError, match="schema 99"):
        Control(path, FakeTime().clock())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "control").write_text("")
    with pytest.raises(DataError, match="cannot be used"):
        Control(tmp_path / "control" / "node.sqlite", FakeTime().clock())


def test_a_full_disk_is_one_line_and_loses_nothing(node):
    node.queue.add([work("A")])
    with node.control.transaction() as tx:
        (pages,) = tx.con.execute("pragma page_count").fetchone()
        tx.con.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(DataError, match="full; make room"):
        node.queue.add([work(f"{number:0500}") for number in range(500)])
    assert node.status() == ["PENDING"]
    assert node.lease().task.symbol == "A"
