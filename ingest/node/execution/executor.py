"""Executors, one per vendor, so that a slow or frozen vendor delays no other."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from traceback import extract_tb

import structlog

from ingest.control.queue import LeaseLost, Queue
from ingest.control.tasks import KINDS, Kind, Lease, Work
from ingest.landing.job import IngestReport
from ingest.node.context import Node
from ingest.node.execution.call_meter import Allowance, Meter, Withheld, freeze_for
from ingest.node.execution.fulfil import fulfil
from ingest.node.providers import usable_vendors
from ingest.transport.client import Exhausted
from trademl.errors import (
    DataError,
    NotEntitled,
    RateLimited,
    StaleData,
    TradeMLError,
    Unavailable,
    WrongKey,
)

IDLE_SECONDS = 5.0
CYCLE_SIZE = 100
"""Leases until FORWARD comes first again."""

WRONG_KEY_SECONDS = 3600.0
"""A vendor that does not take the key is tried once an hour: somebody may mend it."""

log = structlog.get_logger()

Filled = Callable[[Lease], Sequence[Work]]
"""Hears of every task that was filled; the work that follows from it, for when the task is done."""


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What executors are to do.

    Attributes:
        kinds: Which kinds of work.
        is_done_when_idle: Whether they end when nothing may run any more.
        allowance: What the run may spend.
        filled: Hears of every task that was filled, in the executor's thread.
        ended: Ends all executors when it is set.
    """

    kinds: Collection[Kind] = KINDS
    is_done_when_idle: bool = True
    allowance: Allowance = field(default_factory=Allowance)
    filled: Filled | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def is_over(self, node: Node, vendor: str) -> bool:
        """Whether an executor of the vendor takes no further task."""
        return self.ended.is_set() or node.is_stopping() or self.allowance.is_spent(vendor)


@dataclass(slots=True)
class WorkSummary:
    """What came of tasks, by vendor and outcome; shared by all executors."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: int = 0
    calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, vendor: str, outcome: str, rows: int = 0, calls: int = 0) -> None:
        """Counts one lease."""
        with self._lock:
            self.outcomes[vendor, outcome] += 1
            self.rows += rows
            self.calls += calls

    def of(self, outcome: str) -> int:
        """Leases that ended so."""
        return sum(count for (_, ended), count in self.outcomes.items() if ended == outcome)


def work_all(node: Node, options: WorkOptions) -> WorkSummary:
    """Works the queue with as many threads per vendor as may be in flight at it.

    Args:
        node: The node.
        options: What to do; ends when the node is told to stop, or when nothing may run.

    Raises:
        Exception: Trouble with the control file ends all executors; a connector's ends its task.
    """
    summary = WorkSummary()
    slots = [
        vendor
        for vendor in usable_vendors(node.registry, node.settings)
        for _ in range(node.limits.inflight(vendor))
    ]
    if not slots:
        return summary
    with ThreadPoolExecutor(len(slots), thread_name_prefix="vendor") as pool:
        running = [pool.submit(work_vendor, node, vendor, options, summary) for vendor in slots]
        try:
            for done in wait(running, return_when=FIRST_EXCEPTION).done:
                done.result()
        finally:
            options.ended.set()
    return summary


def work_vendor(node: Node, vendor: str, options: WorkOptions, summary: WorkSummary) -> None:
    """One thread's work at one vendor."""
    idle = 0
    with node.queue() as queue:
        while not options.is_over(node, vendor):
            if _cycle(node, queue, vendor, options, summary):
                idle = 0
                continue
            pause = _pause(node, queue, vendor, options)
            # A token may have come between the look at the queue and the one at the budget.
            idle += pause is None
            if idle == 2:
                return
            node.wait(pause or 0.0)


def _cycle(
    node: Node, queue: Queue, vendor: str, options: WorkOptions, summary: WorkSummary
) -> bool:
    """The leases of one cycle; whether there was one."""
    worked = False
    for lease in queue.cycle(
        node.owner,
        node.providers,
        forward_quota=node.settings.forward_quota,
        size=CYCLE_SIZE,
        kinds=options.kinds,
        vendors=(vendor,),
    ):
        worked = True
        work_lease(node, queue, lease, options, summary)
        if options.is_over(node, vendor):
            break
    return worked


def _pause(node: Node, queue: Queue, vendor: str, options: WorkOptions) -> float | None:
    """How long to wait for work; none where there will be none."""
    if not options.is_done_when_idle:
        return IDLE_SECONDS
    limits, state = node.registry.limits(vendor), queue.budget.state(vendor)
    missing = limits.start - state.tokens
    if missing <= 0 or state.is_frozen or not queue.has_due(options.kinds):
        return None
    return max(missing * 60 / limits.rpm, 0.001)


def work_lease(
    node: Node, queue: Queue, lease: Lease, options: WorkOptions, summary: WorkSummary
) -> None:
    """Fills one task and reports to the queue what came of it."""
    meter = Meter(node, queue, lease, options.allowance)
    report = IngestReport()
    try:
        try:
            report = _filled(node, lease, meter)
            following = options.filled(lease) if options.filled else ()
            queue.complete(lease, following)
            outcome, error = "done", ""
        except LeaseLost:
            raise
        except TradeMLError as failure:
            outcome, error = _report(node, queue, lease, failure), str(failure)
    except LeaseLost as lost:
        outcome, error = "lost", str(lost)
    summary.add(lease.vendor, outcome, report.rows, meter.calls)
    task = lease.task
    log.info(
        "task",
        outcome=outcome,
        vendor=lease.vendor,
        dataset=task.dataset,
        symbol=task.symbol,
        start=task.start.isoformat(),
        end=task.end.isoformat(),
        kind=task.kind,
        rows=report.rows,
        calls=meter.calls,
        error=error,
    )


def _filled(node: Node, lease: Lease, meter: Meter) -> IngestReport:
    try:
        return fulfil(
            lease.task,
            lease.vendor,
            data_dir=node.data_dir,
            clock=node.now(),
            settings=node.settings,
            universe=node.universe(),
            base_url=node.base_url,
            make_client=meter.client,
        )
    except (TradeMLError, sqlite3.Error):
        raise
    except Exception as fault:
        # No text of it: who raised it did not think of keys.
        raise DataError(
            f"{lease.vendor} {lease.task.dataset} met a fault of TradeML, {type(fault).__name__} "
            f"{_location(fault)}: the task is put off, all others go on; please report it"
        ) from None
    finally:
        meter.settle()


def _location(fault: Exception) -> str:
    """The last line of the package's own code on the way to a fault."""
    package_root = Path(__file__).parents[2]
    frames = [
        frame
        for frame in extract_tb(fault.__traceback__)
        if package_root in Path(frame.filename).parents
    ]
    last = frames[-1]
    return f"at {Path(last.filename).relative_to(package_root.parent)}:{last.lineno}"


def _report(node: Node, queue: Queue, lease: Lease, failure: TradeMLError) -> str:
    """Tells the queue why a task was not filled; the outcome in one word."""
    match failure:
        case Withheld():
            queue.defer(lease, failure.reason)
            return "withheld"
        case Exhausted():
            queue.budget.freeze(lease.vendor, _until_midnight(node.now()))
            queue.defer(lease, "budget")
            return "exhausted"
        case RateLimited():
            freeze_for(node, queue, lease.vendor, failure)
            queue.defer(lease, "no_capacity")
            return "rate_limited"
        case WrongKey():
            queue.budget.freeze(lease.vendor, WRONG_KEY_SECONDS)
            queue.defer(lease, "key", str(failure))
            return "wrong_key"
        case NotEntitled():
            queue.not_entitled(lease, node.providers)
            return "not_entitled"
        case StaleData():
            queue.late(lease, str(failure))
            return "late"
        case Unavailable():
            queue.budget.freeze(lease.vendor)
            queue.fail(lease, str(failure), failure.code)
            return "unavailable"
    queue.fail(lease, str(failure), failure.code)
    return "failed"


def _until_midnight(now: datetime) -> float:
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (midnight - now).total_seconds()
