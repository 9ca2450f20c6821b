"""The unified ingest queue: what to fetch next, leased to one worker at a time.

Every method is one transaction of the control file, so any number of threads and processes may
work one queue, each through a ``Control`` of its own. A worker that dies loses its lease when the
lease ends; a worker that outlives its lease finds out when it reports.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from ingest.catalog.capabilities import Registry
from ingest.control.budget import Budget, Verdict
from ingest.control.clock import moment_of, stamp
from ingest.control.database import Control, Transaction
from ingest.control.dispatch import Candidates
from ingest.control.limits import NodeLimits
from ingest.control.queue_store import (
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    NO_CAPACITY_SECONDS,
    LeaseLost,
    add_all,
    cooldowns,
    hold,
    interrupted,
    lease_task,
    next_midnight,
    put_off,
    release,
    revert_expired,
    step_aside,
    tried,
    try_again,
)
from ingest.control.tasks import KINDS, Kind, Lease, Task, Work
from trademl.errors import NotEntitled, StaleData, WrongKey

__all__ = ["LeaseLost", "Providers", "Queue", "Reason"]

BACKOFF_SECONDS, BACKOFF_CAP_SECONDS = 60, 3600
NOT_ENTITLED_SECONDS = 24 * 3600
OTHER_VENDOR_SECONDS = 10
LATE_SECONDS = 3600
"""A vendor whose data are late is asked again after an hour, then after twice as long each time."""
_FORWARD: tuple[Kind, ...] = ("FORWARD",)

Providers = Callable[[Task], Sequence[str]]
"""The vendors that may serve a task, best first (see ``ingest.catalog.routing``)."""
Reason = Literal["no_capacity", "budget", "key", "stopped"]

_WAITS: Mapping[Reason, float] = {
    "no_capacity": NO_CAPACITY_SECONDS,
    "key": 0,
    "stopped": 0,
}


class Queue:
    """The queue in a control file.

    Args:
        control: The control file.
        registry: Which vendors serve which datasets, and the longest window of a task.
        limits: What this node allows itself.
    """

    def __init__(
        self, control: Control, registry: Registry, limits: NodeLimits | None = None
    ) -> None:
        self._control = control
        self._registry = registry
        self._limits = limits or NodeLimits()
        self.budget = Budget(control, registry, self._limits)

    def add(self, work_items: Iterable[Work], *, retry: bool = False) -> int:
        """Queues work, cut to the longest window of its dataset, where it is not queued already.

        Windows that waiting or leased tasks of the symbol already hold are left out, whatever
        their kind; only FORWARD does not wait behind a backfill that may not spend what is
        reserved for FORWARD. Done tasks are opened again (their partition is missing again);
        failed ones stay failed until the UTC day ends, so that an outage heals by itself and costs
        a task's five attempts a day at most. A waiting task whose lane became more important moves
        to it.

        Args:
            work_items: What is to be fetched.
            retry: Whether tasks that failed today are opened too: somebody mended the cause.

        Returns:
            How many tasks are waiting that were not before.

        Raises:
            ConfigError: An empty window, an unknown kind, or a dataset that nobody serves.
        """
        work_items = tuple(work_items)
        with self._control.transaction() as tx:
            return add_all(tx, work_items, self.longest, retry=retry)

    def lease_next(
        self,
        owner: str,
        providers: Providers,
        *,
        kinds: Collection[Kind] = KINDS,
        vendors: Collection[str] | None = None,
    ) -> Lease | None:
        """Leases the first task that may run now, and spends its first call.

        Tasks come by lane, then by age. The vendor is the first one of ``providers`` with
        capacity. Tasks whose vendors have all spent their day wait for the next UTC midnight;
        tasks whose vendors lack a token, are frozen or busy are passed over and stay first in
        line, unless they are so many that they hide those behind them: then they wait for five
        minutes. Tasks that nobody serves fail.

        Args:
            owner: Who asks, e.g. the node's id.
            providers: The vendors of a task, best first.
            kinds: Which kinds of work.
            vendors: Only tasks whose turn it is at one of these vendors; none for all.

        Returns:
            The lease, or none when nothing may run now.
        """
        with self._control.transaction() as tx:
            revert_expired(tx)
            candidates = Candidates(tx, self._registry, self.budget)
            passed: list[Task] = []
            for task in candidates.in_order(kinds, vendors):
                vendor = self._vendor_for(tx, task, providers(task), candidates, passed)
                if vendor is not None and (vendors is None or vendor in vendors):
                    state = candidates.state(vendor)
                    self.budget.spend(tx, state, vendor, task.dataset, 1)
                    return lease_task(tx, task, vendor, owner)
            step_aside(tx, passed)
        return None

    def cycle(
        self,
        owner: str,
        providers: Providers,
        *,
        forward_quota: int,
        size: int,
        kinds: Collection[Kind] = KINDS,
        vendors: Collection[str] | None = None,
    ) -> Iterator[Lease]:
        """One worker's cycle: first up to ``forward_quota`` FORWARD tasks, then the lanes.

        FORWARD is the last lane, and behind a long backfill its turn would never come.

        Args:
            owner: Who asks.
            providers: The vendors of a task, best first.
            forward_quota: FORWARD tasks that go before the lanes.
            size: Leases of the whole cycle.
            kinds: Which kinds of work.
            vendors: Only tasks whose turn it is at one of these vendors; none for all.
        """
        given = 0
        quota = forward_quota if "FORWARD" in kinds else 0
        while given < min(quota, size):
            lease = self.lease_next(owner, providers, kinds=_FORWARD, vendors=vendors)
            if lease is None:
                break
            given += 1
            yield lease
        while given < size:
            lease = self.lease_next(owner, providers, kinds=kinds, vendors=vendors)
            if lease is None:
                break
            given += 1
            yield lease

    def charge(self, lease: Lease, calls: int = 1) -> Verdict:
        """Spends further calls of a leased task, e.g. one a page.

        Returns:
            ``GRANTED`` when they were spent, else why nothing was.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        task = lease.task
        with self._control.transaction() as tx:
            hold(tx, lease)
            state = self.budget.look(tx, lease.vendor)
            verdict = self.budget.judge(state, lease.vendor, task.dataset, task.kind, calls)
            if verdict is Verdict.GRANTED:
                self.budget.spend(tx, state, lease.vendor, task.dataset, calls)
        return verdict

    def refund(self, lease: Lease) -> None:
        """Gives back the first call of a lease, which turned out not to be needed.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        with self._control.transaction() as tx:
            hold(tx, lease)
            self.budget.refund(tx, lease.vendor, lease.task.dataset, lease.paid_on)

    def renew(self, lease: Lease) -> Lease:
        """The lease with its full time before it again.

        Raises:
            LeaseLost: The task is somebody else's by now; stop working on it.
        """
        with self._control.transaction() as tx:
            hold(tx, lease)
            expires_at = tx.later(LEASE_SECONDS)
            tx.con.execute(
                "update backfill_queue set lease_expires_at = ?, updated_at = ? where id = ?",
                (expires_at, tx.at, lease.task.id),
            )
        return replace(lease, expires_at=moment_of(expires_at))

    def complete(self, lease: Lease, following: Iterable[Work] = ()) -> None:
        """The task is done, and what follows from it is queued, or neither.

        Raises:
            LeaseLost: The task is somebody else's by now; what was landed stays landed.
            ConfigError: As for ``add``.
        """
        following = tuple(following)
        with self._control.transaction() as tx:
            hold(tx, lease)
            release(tx, lease, "DONE", None)
            # Not before: work on a window that a leased task holds is left out.
            add_all(tx, following, self.longest)

    def fail(self, lease: Lease, error: str, code: str = "ERROR") -> None:
        """The task failed: it waits 60 * 2^attempts seconds, at most an hour, or fails for good.

        Args:
            lease: The lease.
            error: Why, without keys.
            code: The same in one word.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        with self._control.transaction() as tx:
            attempts = tried(tx, lease)
            wait = min(BACKOFF_SECONDS * 2**attempts, BACKOFF_CAP_SECONDS)
            try_again(tx, lease, attempts, tx.later(wait), error, code)

    def late(self, lease: Lease, error: str) -> None:
        """The vendor does not have it yet: the task waits 1, 2, 4, 8 hours and then fails.

        It fails too where its next turn would be tomorrow: what is missing then is queued anew.

        Args:
            lease: The lease.
            error: What is late, without keys.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        with self._control.transaction() as tx:
            attempts = tried(tx, lease)
            turn = tx.later(LATE_SECONDS * 2 ** (attempts - 1))
            is_over = turn >= next_midnight(tx)
            try_again(tx, lease, MAX_ATTEMPTS if is_over else attempts, turn, error, StaleData.code)

    def defer(self, lease: Lease, reason: Reason, message: str | None = None) -> None:
        """Gives a task back that could not be worked on; this is not an attempt.

        Args:
            lease: The lease.
            reason: ``no_capacity``: again in five minutes; ``budget``: after the UTC day;
                ``key``: at once, when its vendor is not frozen any more; ``stopped``: at
                once.
            message: What the vendor said, without keys; none where the reason says it all.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        with self._control.transaction() as tx:
            hold(tx, lease)
            until = next_midnight(tx) if reason == "budget" else tx.later(_WAITS[reason])
            code = WrongKey.code if message else reason.upper()
            release(tx, lease, "PENDING", until, message or reason, code)

    def abandon(self, owner: str) -> int:
        """Gives back all tasks of an owner that is known to be dead: an attempt of each.

        Args:
            owner: Who held them.

        Returns:
            How many there were.
        """
        with self._control.transaction() as tx:
            held = tx.con.execute(
                "select id, attempts, 'interrupted', 'INTERRUPTED' from backfill_queue"
                " where status = 'LEASED' and lease_owner = ?",
                (owner,),
            ).fetchall()
            interrupted(tx, held)
            return len(held)

    def not_entitled(self, lease: Lease, providers: Providers) -> None:
        """The vendor's plan does not hold this: it is not asked for the symbol for a day.

        Another vendor may try in ten seconds; where there is none the task fails.

        Args:
            lease: The lease.
            providers: The vendors of a task.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        task = lease.task
        with self._control.transaction() as tx:
            hold(tx, lease)
            tx.con.execute(
                "insert or replace into cooldowns values (?, ?, ?, ?)",
                (lease.vendor, task.dataset, task.symbol or "", tx.later(NOT_ENTITLED_SECONDS)),
            )
            resting = cooldowns(tx, task)
            error = f"not entitled at {', '.join(sorted(resting))}"
            if any(vendor not in resting for vendor in providers(task)):
                release(
                    tx, lease, "PENDING", tx.later(OTHER_VENDOR_SECONDS), error, NotEntitled.code
                )
            else:
                release(tx, lease, "FAILED", None, error, NotEntitled.code)

    def prune(self, failed_days: int, done_days: int) -> int:
        """Forgets tasks that ended long ago.

        Nothing is asked of them: what is missing is told by the lake and the landed files, and a
        window queued again opens a row or makes one alike.

        Args:
            failed_days: Age of failed tasks in days since the last change.
            done_days: The same of tasks that are done.

        Returns:
            How many there were.
        """
        with self._control.transaction() as tx:
            tx.con.execute("delete from cooldowns where ends_at <= ?", (tx.at,))
            deleted = [
                tx.con.execute(
                    "delete from backfill_queue where status = ? and updated_at <= ?",
                    (status, stamp(tx.now - timedelta(days=days))),
                ).rowcount
                for status, days in (("FAILED", failed_days), ("DONE", done_days))
            ]
            return sum(deleted)

    def has_due(self, kinds: Collection[Kind] = KINDS) -> bool:
        """Whether a task of these kinds waits for nothing but a vendor with capacity."""
        with self._control.transaction() as tx:
            rows = tx.con.execute(
                "select distinct kind from backfill_queue where status = 'PENDING'"
                " and (next_not_before is null or next_not_before <= ?)",
                (tx.at,),
            ).fetchall()
        return any(kind in kinds for (kind,) in rows)

    def counts(self) -> dict[tuple[str, str], int]:
        """Tasks by kind and status."""
        with self._control.transaction() as tx:
            rows = tx.con.execute("select kind, status, count(*) from backfill_queue group by 1, 2")
            return {(kind, status): count for kind, status, count in rows}

    def longest(self, dataset: str) -> int:
        """The longest window of a task, days: the registry's or this node's own."""
        days = self._registry.max_days(dataset)
        return min(days, self._limits.max_days_per_task or days)

    def _vendor_for(
        self,
        tx: Transaction,
        task: Task,
        vendors: Sequence[str],
        candidates: Candidates,
        passed: list[Task],
    ) -> str | None:
        """The first vendor that may be asked; where none will be soon, the task is put off."""
        if not vendors:
            put_off(
                tx, task, "FAILED", None, "no vendor serves this dataset and window", "NO_VENDOR"
            )
            return None
        resting = cooldowns(tx, task)
        awake = [vendor for vendor in vendors if vendor not in resting]
        if not awake:
            put_off(
                tx,
                task,
                "PENDING",
                min(resting[v] for v in vendors),
                "not entitled",
                NotEntitled.code,
            )
            return None
        for vendor in awake:
            if candidates.verdict(vendor, task.dataset, task.kind) is Verdict.GRANTED:
                return vendor
        if candidates.is_day_spent(awake, task.dataset, task.kind):
            put_off(tx, task, "PENDING", next_midnight(tx), "budget", "BUDGET")
        else:
            passed.append(task)
        return None
