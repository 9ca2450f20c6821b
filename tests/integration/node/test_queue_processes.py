"""Several processes on one queue, some of them killed: nothing twice, nothing lost, nothing minted."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from ingest.control.clock import NodeClock, machine_clock
from ingest.control.database import Control
from ingest.control.queue import Queue
from tests.support.paths import PROJECT_ROOT
from tests.support.queue_worker import ROWS, providers
from tests.support.queues import MANY, work

TASKS = 600


def now():
    return datetime.now(UTC)


def queue_at(path, clock=None):
    return Queue(Control(path, clock or machine_clock(now), durable=False), ROWS, MANY)


def start(path, log, *options):
    command = [sys.executable, "-m", "tests.support.queue_worker", str(path), str(log)]
    return subprocess.Popen([*command, *options], cwd=PROJECT_ROOT)


def finish(workers):
    for worker in workers:
        assert worker.wait(timeout=120) == 0


def said(logs, word):
    """Lease ids, tasks and vendors of the whole lines that begin with a word."""
    lines = [line for log in logs if log.exists() for line in log.read_text().split("\n")[:-1]]
    return [tuple(line.split()[1:]) for line in lines if line.startswith(word)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control" / "node.sqlite"


def test_processes_that_open_a_new_file_together_make_one(path, tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(4)]
    finish([start(path, log) for log in logs])
    assert queue_at(path).counts() == {}


def test_no_task_is_leased_twice_and_none_is_lost(path, tmp_path):
    queue = queue_at(path)
    assert queue.add([work(f"S{number}") for number in range(TASKS)]) == TASKS
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    workers = [start(path, log) for log in logs]
    finish(workers)
    leased, done = said(logs, "leased"), said(logs, "done")
    assert len(leased) == len(done) == TASKS
    assert max(Counter(task for _, task, _ in leased).values()) == 1
    assert len({lease for lease, _, _ in leased}) == TASKS
    assert queue.counts() == {("BOOTSTRAP", "DONE"): TASKS}
    assert queue.budget.state("fast").spent_today == TASKS
    assert sum(log.read_text() != "" for log in logs) >= 2


def test_processes_together_spend_no_more_than_one(path, tmp_path):
    queue = queue_at(path)
    queue.add([work(f"S{number}", dataset="macros") for number in range(120)])
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    finish([start(path, log) for log in logs])
    assert len(said(logs, "leased")) == 85
    state = queue.budget.state("capped")
    assert (state.spent_today, state.inflight) == (85, 0)
    assert queue.counts() == {("BOOTSTRAP", "DONE"): 85, ("BOOTSTRAP", "PENDING"): 35}


def test_killed_holders_lose_their_task_to_others_after_the_lease(path, tmp_path):
    queue = queue_at(path)
    queue.add([work(f"S{number}") for number in range(50)])
    held = [tmp_path / f"held-{number}.log" for number in range(3)]
    holders = [start(path, log, "--hold-first") for log in held]
    wait_for(lambda: len(said(held, "leased")) == 3)
    for holder in holders:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    worker_log = tmp_path / "worker.log"
    finish([start(path, worker_log)])
    assert queue.counts() == {("BOOTSTRAP", "DONE"): 47, ("BOOTSTRAP", "LEASED"): 3}
    assert {task for _, task, _ in said(held, "leased")}.isdisjoint(
        task for _, task, _ in said([worker_log], "done")
    )
    later = clock_ahead(301)
    heir = queue_at(path, later)
    inherited = drained(heir, 3)
    assert {str(lease.task.id) for lease in inherited} == {t for _, t, _ in said(held, "leased")}


def test_workers_killed_at_any_moment_leave_a_file_in_which_nothing_is_lost(path, tmp_path):
    queue = queue_at(path)
    queue.add([work(f"S{number}") for number in range(TASKS)])
    logs = []
    for round_ in range(6):
        logs.append(tmp_path / f"{round_}.log")
        worker = start(path, logs[-1])
        wait_for(lambda enough=7 * round_ + 1: len(said(logs[-1:], "done")) >= enough)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        with closing(sqlite3.connect(path)) as con:
            assert con.execute("pragma integrity_check").fetchone() == ("ok",)
    logs.append(tmp_path / "last.log")
    finish([start(path, logs[-1])])
    counts = Counter(queue.counts())
    assert counts.total() == TASKS
    abandoned = counts["BOOTSTRAP", "LEASED"]
    assert abandoned <= 6
    leases = said(logs, "leased")
    assert max(Counter(task for _, task, _ in leases).values()) == 1
    # Every lease was paid for, once; one whose holder died before its line may be missing there.
    spent = queue.budget.state("fast").spent_today
    assert spent == counts["BOOTSTRAP", "DONE"] + abandoned == TASKS
    heir = queue_at(path, clock_ahead(301))
    for lease in drained(heir, abandoned):
        heir.complete(lease)
    assert heir.counts() == {("BOOTSTRAP", "DONE"): TASKS}


def drained(queue, count):
    """So many leases; a bucket that rested for 300 s starts with one token, 1 ms for the next."""
    found = []

    def lease():
        found.extend(filter(None, [queue.lease_next("heir", providers)]))
        return len(found) >= count

    wait_for(lambda: count == 0 or lease())
    assert queue.lease_next("heir", providers) is None
    return found


def clock_ahead(seconds):
    """This machine's clocks after some time more has really passed."""
    real = machine_clock(now)
    return NodeClock(
        lambda: real.wall() + timedelta(seconds=seconds),
        lambda: real.steady() + seconds,
        real.boot,
    )


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the workers do not get on"
        time.sleep(0.005)
