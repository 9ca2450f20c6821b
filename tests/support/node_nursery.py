"""Nodes forked from a warm process: a life and its end cost a fraction of a second.

A process of its own that has no threads, because a fork copies only one. It is run as
``python -m tests.support.node_nursery PLAN``; PLAN is JSON, see ``killed`` and ``paired``, and what
was seen is JSON on stdout.
"""

import ctypes
import itertools
import json
import mmap
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.clock import NodeClock
from ingest.control.database import Control, control_path
from ingest.control.limits import NodeLimits
from ingest.control.pipeline_runs import finish_run, start_run
from ingest.control.queue import Queue
from ingest.control.tasks import Work
from ingest.node import daemon as node
from ingest.node.context import open_node
from ingest.node.execution import executor
from ingest.node.instances import HEAVY, MAINTENANCE
from tests.support.markets import FIRST, LAST, MORNING_AFTER, trading_days
from tests.support.nodes import QUICK
from trademl.log import log_to
from trademl.sessions import sessions_between
from trademl.settings import Settings

DATASET = "equities_bars_1d"
ALPACA = Settings(alpaca_key_id="test-key", alpaca_secret_key="hush-hush", _env_file=None)
PAUSE = 120.0
"""Seconds that the node's clocks go on between two lives, as a service manager waits."""
LEASE_LOG = """
create table lease_log (
    seq integer primary key autoincrement, event text not null, lease_id integer not null,
    task_id integer not null, owner text
);
create trigger lease_begins after insert on leases begin
    insert into lease_log (event, lease_id, task_id, owner) values (
        'begin', new.id, new.task_id,
        (select lease_owner from backfill_queue where id = new.task_id)
    );
end;
create trigger lease_ends after delete on leases begin
    insert into lease_log (event, lease_id, task_id) values ('end', old.id, old.task_id);
end;
"""


class Marks:
    """What a life says of itself in memory that outlives it."""

    def __init__(self):
        self._memory = mmap.mmap(-1, 4096)
        self._numbers, self._own = itertools.count(16), threading.local()

    def done(self):
        return int.from_bytes(self._memory[0:8], "little")

    def count(self, number):
        self._memory[0:8] = number.to_bytes(8, "little")

    def is_held(self):
        return any(self._memory[1024:2048])

    def is_writing(self):
        return any(self._memory[16:1024])

    @contextmanager
    def marked(self, offset=0):
        if not hasattr(self._own, "place"):
            self._own.place = next(self._numbers)
        self._memory[offset + self._own.place] = 1
        try:
            yield
        finally:
            self._memory[offset + self._own.place] = 0


@dataclass
class Nursery:
    """A data directory and the nodes that live in it."""

    data: Path
    url: str
    ahead: float = 0.0

    def clock(self):
        begun, ahead = time.monotonic(), self.ahead

        def seconds():
            return time.monotonic() - begun + ahead

        return NodeClock(
            lambda: MORNING_AFTER + timedelta(seconds=seconds()), lambda: 1000 + seconds(), "boot"
        )

    def node(self, wait):
        made = open_node(self.data, ALPACA, self.clock(), wait, no_build, self.url)
        rows = [
            replace(row, hard_rpm=60_000, burst_limit=1000, soft_daily_cap=1_000_000)
            for row in read_capabilities()
        ]
        return replace(
            made,
            registry=Registry.of(rows),
            limits=NodeLimits(max_inflight_default=1, max_inflight={"alpaca": 3}),
            make_client=QUICK,
            durable=False,
        )

    def begin(self, works):
        """Live data landed, the nightly work done, history queued, leases watched."""
        self.live(until_idle=True)
        with Control(control_path(self.data), self.clock(), durable=False) as control:
            Queue(control, Registry.of(read_capabilities())).add(works)
        with closing(sqlite3.connect(control_path(self.data))) as con:
            con.executescript(LEASE_LOG)

    def live(self, marks=None, until_idle=False):
        """Forks a node; its process id, or waits for its end."""
        child = os.fork()
        if child:
            if until_idle:
                assert os.waitpid(child, 0)[1] == 0
            return child
        die_with_parent()
        code = 1
        try:
            self._life(marks, until_idle)
            code = 0
        finally:
            os._exit(code)

    def _life(self, marks, until_idle):
        log_to(self.data)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        # Looks often: of two nodes, one alone may have all the leases that the vendor's limit gives.
        node.TICK_SECONDS, executor.IDLE_SECONDS = 0.1, 0.02
        made = self.node(stop.wait)
        if until_idle:
            with made.control() as control:
                for name in (HEAVY, MAINTENANCE):
                    finish_run(control, start_run(control, name, {}), "SUCCEEDED")
            node.forward(made)
            node.work(made)
            return
        watch(marks)
        node.run_node(made)

    def rows(self, query):
        with closing(sqlite3.connect(control_path(self.data), timeout=30)) as con:
            return con.execute(query).fetchall()

    def statuses(self):
        return dict(self.rows("select status, count(*) from backfill_queue group by 1"))

    def is_done(self):
        return not {"PENDING", "LEASED"} & self.statuses().keys()

    def facts(self):
        """What the control file says at the end."""
        log = self.rows("select task_id, event, lease_id, owner from lease_log order by seq")
        return {
            "integrity": self.rows("pragma integrity_check")[0][0],
            "statuses": self.statuses(),
            "overlapping": overlapping(log),
            "owners": dict(Counter(owner for _, event, _, owner in log if event == "begin")),
            "most_attempts": self.rows("select max(attempts) from backfill_queue")[0][0],
        }


def die_with_parent():
    """No node outlives a nursery that failed, where the system knows how."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def watch(marks):
    """Has transactions and leases leave their marks."""
    transaction, work_lease, done = Control.transaction, executor.work_lease, itertools.count(1)

    @contextmanager
    def marked_transaction(self):
        with ExitStack() as marked, transaction(self) as tx:
            marked.enter_context(marks.marked())
            yield tx

    def marked_lease(*args):
        with marks.marked(1024):
            work_lease(*args)
        marks.count(next(done))

    Control.transaction, executor.work_lease = marked_transaction, marked_lease


def overlapping(log):
    """Leases that began while their task was leased already."""
    held, found = {}, []
    for task, event, lease, _ in log:
        if event == "begin" and task in held:
            found.append(lease)
        held.pop(task, None)
        if event == "begin":
            held[task] = lease
    return found


def history(symbols, before=LAST - timedelta(days=7)):
    """A task for each session of each symbol before the days that live data cover."""
    return [
        Work(DATASET, day, day + timedelta(days=1), "BOOTSTRAP", symbol)
        for day in trading_days()
        if FIRST <= day < before
        for symbol in symbols
    ]


def killed(plan):
    """Kills nodes at random moments; the last one of a data directory finishes its queue.

    Args:
        plan: ``folder``, ``url``, ``symbols``, ``kills``, of these at most ``most`` in one data
            directory, and ``seed``.
    """
    draw = random.Random(plan["seed"])
    seen = Counter()
    facts = []
    while seen["kills"] < plan["kills"]:
        nursery = Nursery(Path(plan["folder"]) / f"data-{len(facts)}", plan["url"])
        nursery.begin(history(plan["symbols"]))
        enough = min(seen["kills"] + plan["most"], plan["kills"])
        while seen["kills"] < enough and not nursery.is_done():
            seen.update(one_kill(nursery, draw))
        facts.append(finished(nursery))
    return {"seen": seen, "facts": facts}


def one_kill(nursery, draw):
    """Kills a life at a random moment; what it was doing then.

    Half of the moments are counted from the life's beginning, half lie within a lease.
    """
    marks = Marks()
    nursery.ahead += PAUSE
    begun, child = time.monotonic(), nursery.live(marks)
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0.0, 0.5))
    else:
        enough = draw.randint(0, 5)
        while time.monotonic() < begun + 10 and marks.done() < enough and not nursery.is_done():
            time.sleep(0.002)
        while time.monotonic() < begun + 10 and not marks.is_held() and not nursery.is_done():
            pass
        time.sleep(draw.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    leased = nursery.statuses().get("LEASED", 0)
    return {
        "kills": int(os.WIFSIGNALED(status)),
        "with a lease": int(leased > 0),
        "leases held": leased,
        "in a transaction": int(marks.is_writing()),
        "with a file half written": int(any((nursery.data / "raw" / ".staging").glob("*.part"))),
        "before the first lease": int(marks.done() == 0 and leased == 0),
    }


def finished(nursery):
    """Lets nodes finish the queue and end politely, until nothing waits."""
    while not nursery.is_done():
        # Long for tasks that were given back, short for buckets: they stay as full as they are.
        nursery.ahead += 250
        begun, marks = time.monotonic(), Marks()
        child = nursery.live(marks)
        while time.monotonic() < begun + 30 and not nursery.is_done():
            time.sleep(0.02)
        os.kill(child, signal.SIGTERM)
        assert os.waitpid(child, 0)[1] == 0
    return {**nursery.facts(), "data": str(nursery.data)}


def paired(plan):
    """Two nodes on one queue; the first is killed in the middle, the second takes over.

    Args:
        plan: ``folder``, ``url`` and ``symbols``.
    """
    nursery = Nursery(Path(plan["folder"]) / "data", plan["url"])
    works = history(plan["symbols"])
    nursery.begin(works)
    marks = Marks(), Marks()
    first = nursery.live(marks[0])
    until(lambda: marks[0].done() > 0)
    second = nursery.live(marks[1])
    until(lambda: marks[1].done() > 2)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    left = sum(nursery.statuses().get(status, 0) for status in ("PENDING", "LEASED"))
    until(nursery.is_done)
    until(lambda: any("lead" in line for line in logged(nursery)))
    os.kill(second, signal.SIGTERM)
    assert os.waitpid(second, 0)[1] == 0
    return {"facts": nursery.facts(), "left": left, "by second": marks[1].done()}


def logged(nursery):
    path = nursery.data / "logs" / "trademl.jsonl"
    return [json.loads(line).get("event", "") for line in path.read_text().splitlines()]


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the nodes do not get on"
        time.sleep(0.005)


def no_build(_data, _clock):
    raise AssertionError("nothing is to be built")


if __name__ == "__main__":
    sessions_between(FIRST, LAST)
    given = json.loads(sys.argv[1])
    print(json.dumps({"killed": killed, "paired": paired}[given["what"]](given)))
