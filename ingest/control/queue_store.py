"""Writes to the rows of ``backfill_queue`` and to the leases on them."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta

from ingest.control.clock import moment_of, stamp
from ingest.control.database import Transaction
from ingest.control.dispatch import AT_ONCE
from ingest.control.tasks import Lease, Task, Work, chunks, lane, uncovered
from trademl.errors import DataError

LEASE_SECONDS = 300
NO_CAPACITY_SECONDS = 300
MAX_ATTEMPTS = 5
APART_SECONDS = 60
_MESSAGE_LENGTH = 500


class LeaseLost(DataError):
    """The lease ended and the task went back to the queue, perhaps to somebody else."""


def add_all(
    tx: Transaction,
    work_items: Iterable[Work],
    longest: Callable[[str], int],
    *,
    retry: bool = False,
) -> int:
    """Queues sound work, each cut to its dataset's longest window, or nothing of it."""
    queued = 0
    for work in work_items:
        work.check()
        queued += add_work(tx, work, longest(work.dataset), retry=retry)
    return queued


def add_work(tx: Transaction, work: Work, longest: int, *, retry: bool = False) -> int:
    """Queues what is not queued yet of a piece of work; how many tasks are waiting more."""
    key = (work.dataset, work.symbol or "")
    priority = lane(work.kind, work.in_stage_window)
    window = (work.start.isoformat(), work.end.isoformat())
    tx.con.execute(
        "update backfill_queue set priority = ?, updated_at = ? where dataset = ? and symbol = ?"
        " and start_date >= ? and end_date <= ? and kind = ? and status = 'PENDING'"
        " and priority > ?",
        (priority, tx.at, *key, *window, work.kind, priority),
    )
    taken = tx.con.execute(
        "select start_date, end_date from backfill_queue where dataset = ?1 and symbol = ?2"
        " and start_date < ?3 and end_date > ?4"
        " and (status = 'LEASED'"
        " or status = 'PENDING' and (?5 <> 'FORWARD' or kind = 'FORWARD')"
        " or status = 'FAILED' and kind = ?5 and updated_at >= ?6)",
        (*key, *reversed(window), work.kind, next_midnight(tx) if retry else stamp(_midnight(tx))),
    ).fetchall()
    spans = [(date.fromisoformat(start), date.fromisoformat(end)) for start, end in taken]
    return sum(
        _insert(tx, work, priority, first.isoformat(), after.isoformat())
        for start, end in uncovered(work.start, work.end, spans)
        for first, after in chunks(start, end, longest)
    )


def _insert(tx: Transaction, work: Work, priority: int, start: str, end: str) -> int:
    """Opens the task of this very window again, else makes one."""
    key = (work.dataset, work.symbol or "", start, end, work.kind)
    opened = tx.con.execute(
        "update backfill_queue set status = 'PENDING', priority = ?6, attempts = 0,"
        " next_not_before = null, last_error = null, created_at = ?7, updated_at = ?7"
        " where (dataset, symbol, start_date, end_date, kind) = (?1, ?2, ?3, ?4, ?5)"
        " and status in ('DONE', 'FAILED')",
        (*key, priority, tx.at),
    )
    if opened.rowcount:
        return 1
    made = tx.con.execute(
        "insert into backfill_queue"
        " (dataset, symbol, start_date, end_date, kind, priority, created_at, updated_at)"
        " values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        (*key, priority, tx.at),
    )
    return made.rowcount


def revert_expired(tx: Transaction) -> None:
    """Tasks whose lease has ended are waiting again; it was an attempt (see ``interrupted``)."""
    expired = tx.con.execute(
        "select id, attempts, 'lease of ' || lease_owner || ' expired', 'LEASE_EXPIRED'"
        " from backfill_queue where status = 'LEASED' and lease_expires_at <= ?",
        (tx.at,),
    ).fetchall()
    interrupted(tx, expired)


def interrupted(tx: Transaction, held: list[tuple[int, int, str, str]]) -> None:
    """Gives back tasks whose worker died, or went silent for the length of a lease.

    A task that kills its worker cannot say so. Every death therefore counts as an attempt of the
    tasks that were held then, and the fifth attempt is the last, however they ended. The innocent
    must not go down with the guilty, nor with a node that is killed again and again: after its
    first attempt a task goes again at once, as a power cut asks for; those that had attempts
    before go to the end of their lane, a minute apart, so that they are neither held together
    again nor the first thing that each new life begins with. A node that is told to stop gives
    its tasks back by itself (``Queue.defer``), and that is not an attempt.

    Args:
        tx: The transaction.
        held: Number of a task, its attempts so far, what is said of it, and that in one word.
    """
    tx.con.executemany("delete from leases where task_id = ?", [(task,) for task, *_ in held])
    postponed = 0
    for task, before, error, code in sorted(held, key=lambda row: (-row[1], row[0])):
        wait = postponed * APART_SECONDS if before else 0
        postponed += before > 0
        is_last = before + 1 >= MAX_ATTEMPTS
        tx.con.execute(
            "update backfill_queue set status = ?, attempts = ?, lease_owner = null,"
            " lease_expires_at = null, next_not_before = ?, last_error = ?,"
            " created_at = coalesce(?, created_at), updated_at = ? where id = ?",
            (
                "FAILED" if is_last else "PENDING",
                before + 1,
                tx.later(wait) if wait and not is_last else None,
                error,
                tx.at if before else None,
                tx.at,
                task,
            ),
        )
        _remember(tx, task, code)


def lease_task(tx: Transaction, task: Task, vendor: str, owner: str) -> Lease:
    """Leases a waiting task."""
    expires_at = tx.later(LEASE_SECONDS)
    tx.con.execute(
        "update backfill_queue set status = 'LEASED', lease_owner = ?, lease_expires_at = ?,"
        " next_not_before = null, updated_at = ? where id = ?",
        (owner, expires_at, tx.at, task.id),
    )
    made = tx.con.execute("insert into leases (task_id, vendor) values (?, ?)", (task.id, vendor))
    assert made.lastrowid is not None
    return Lease(made.lastrowid, task, vendor, owner, moment_of(expires_at), tx.now.date())


def hold(tx: Transaction, lease: Lease) -> int:
    """Makes sure that the lease still holds; the attempts of its task so far.

    One that has ended but was taken by nobody holds: no harm can be done any more.
    """
    row = tx.con.execute(
        "select attempts from backfill_queue join leases on task_id = backfill_queue.id"
        " where leases.id = ? and task_id = ?",
        (lease.id, lease.task.id),
    ).fetchone()
    if row is None:
        raise LeaseLost(
            f"lease {lease.id} of {lease.owner} on task {lease.task.id} "
            f"({lease.task.dataset} {lease.task.symbol or ''}) has ended; leave the task alone, "
            "the queue gives it out again"
        )
    return int(row[0])


def release(
    tx: Transaction,
    lease: Lease,
    status: str,
    not_before: str | None,
    error: str | None = None,
    code: str = "ERROR",
) -> None:
    """Ends a lease that holds, and says what becomes of its task.

    Args:
        tx: The transaction.
        lease: The lease.
        status: Of the task from now on.
        not_before: When it may be leased again, none for at once or never.
        error: What went wrong, none where nothing did.
        code: The same in one word.
    """
    tx.con.execute("delete from leases where id = ?", (lease.id,))
    tx.con.execute(
        "update backfill_queue set status = ?, lease_owner = null, lease_expires_at = null,"
        " next_not_before = ?, last_error = ?, updated_at = ? where id = ?",
        (status, not_before, _one_line(error), tx.at, lease.task.id),
    )
    if error is not None:
        _remember(tx, lease.task.id, code, lease.vendor)


def tried(tx: Transaction, lease: Lease) -> int:
    """Counts an attempt of a task whose lease holds; how many there were."""
    attempts = hold(tx, lease) + 1
    tx.con.execute("update backfill_queue set attempts = ? where id = ?", (attempts, lease.task.id))
    return attempts


def try_again(
    tx: Transaction, lease: Lease, attempts: int, turn: str, error: str, code: str
) -> None:
    """Has a task wait for its next turn, or fail after the last one."""
    if attempts >= MAX_ATTEMPTS:
        release(tx, lease, "FAILED", None, error, code)
    else:
        release(tx, lease, "PENDING", turn, error, code)


def put_off(
    tx: Transaction, task: Task, status: str, not_before: str | None, reason: str, code: str
) -> None:
    """Says what becomes of a task that nobody holds."""
    tx.con.execute(
        "update backfill_queue set status = ?, next_not_before = ?, last_error = ?,"
        " updated_at = ? where id = ?",
        (status, not_before, reason, tx.at, task.id),
    )
    _remember(tx, task.id, code)


def _remember(tx: Transaction, task_id: int, code: str, vendor: str | None = None) -> None:
    """Keeps what a task's ``last_error`` is in one word, and who said it."""
    tx.con.execute("insert or replace into task_errors values (?, ?, ?)", (task_id, code, vendor))


def step_aside(tx: Transaction, passed: list[Task]) -> None:
    """Tasks without capacity make way where they are all that one look at their group shows."""
    looked_at = Counter((task.dataset, task.kind) for task in passed)
    for task in passed:
        if looked_at[task.dataset, task.kind] >= AT_ONCE:
            put_off(
                tx, task, "PENDING", tx.later(NO_CAPACITY_SECONDS), "no_capacity", "NO_CAPACITY"
            )


def cooldowns(tx: Transaction, task: Task) -> dict[str, str]:
    """Vendors that are not entitled to a task's data, and until when they are not asked."""
    cursor = tx.con.execute(
        "select vendor, ends_at from cooldowns where dataset = ? and symbol = ? and ends_at > ?",
        (task.dataset, task.symbol or "", tx.at),
    )
    return dict(cursor.fetchall())


def next_midnight(tx: Transaction) -> str:
    """The end of the UTC day."""
    return stamp(_midnight(tx) + timedelta(days=1))


def _midnight(tx: Transaction) -> datetime:
    """The beginning of the UTC day."""
    return datetime.combine(tx.now.date(), time(), tx.now.tzinfo)


def _one_line(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())[:_MESSAGE_LENGTH]
