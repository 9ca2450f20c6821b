"""Read-only access to the control database: a look never blocks a node, nor waits for it.

A read-only connection sees the last committed state (WAL), makes no file and moves no clock.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.control.clock import NodeClock, moment_of, stamp
from ingest.control.tasks import WAITING_CODES
from trademl.errors import DataError, NotEntitled

SPENT_SECONDS = 60.0
"""Calls of the day are counted anew after so long: they only weigh vendors, budgets are exact."""

_RUNS = """
    select pipeline_name, status, started_at, coalesce(json_extract(metrics_json, '$.error'), '')
    from pipeline_runs order by started_at desc, rowid desc limit ?
"""


@dataclass(frozen=True, slots=True)
class VendorState:
    """A vendor as the control file knows it.

    Attributes:
        vendor: Its name.
        spent: Calls of the UTC day.
        inflight: Tasks that are leased at it.
        frozen_until: Until when it is left alone, none where it is not.
        reason: What it said last, where it is left alone.
    """

    vendor: str
    spent: int
    inflight: int
    frozen_until: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run of a pipeline.

    Attributes:
        name: The pipeline.
        status: ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
        started_at: When it began.
        error: Why it failed, else empty.
    """

    name: str
    status: str
    started_at: datetime
    error: str


MOST_TROUBLES = 5
# A look does not upgrade the file: until a writer does, a view stands for the table that it lacks.
_ERRORS_OF_SCHEMA_1 = """
    create temp view task_errors as
    select id as task_id, upper(last_error) as code, null as vendor from backfill_queue
    where last_error is not null
"""
_TROUBLED = f"""
    backfill_queue inner join task_errors on backfill_queue.id = task_errors.task_id
    where status in ('PENDING', 'FAILED') and last_error is not null
        and code not in {WAITING_CODES}
"""
_TROUBLES = f"""
    select count(*) || ' of ' || dataset || ': ' || last_error from {_TROUBLED}
    group by dataset, last_error
    order by count(*) desc, dataset limit ?
"""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a control file says.

    Attributes:
        tasks: How many, by kind and status, in that order.
        troubles: Why tasks wait or failed: how many of which dataset say it, the most first.
        vendors: In the order asked for.
        runs: The latest first.
    """

    tasks: tuple[tuple[str, str, int], ...]
    troubles: tuple[str, ...]
    vendors: tuple[VendorState, ...]
    runs: tuple[RunState, ...]


def read_state(
    path: Path, now: datetime, vendors: Collection[str], most_runs: int
) -> NodeState | None:
    """Reads a control file; none where there is none.

    Args:
        path: The control file.
        now: The time: which day counts, which freezes hold.
        vendors: Whose states.
        most_runs: How many runs at most.

    Raises:
        DataError: It cannot be read.
    """
    if not path.exists():
        return None
    with _reading(path) as con:
        tasks = con.execute(
            "select kind, status, count(*) from backfill_queue group by 1, 2 order by 1, 2"
        ).fetchall()
        troubles = con.execute(_TROUBLES, (MOST_TROUBLES,)).fetchall()
        states = tuple(_vendor(con, vendor, now) for vendor in vendors)
        runs = con.execute(_RUNS, (most_runs,)).fetchall()
    return NodeState(
        tuple(tasks),
        tuple(trouble for (trouble,) in troubles),
        states,
        tuple(RunState(name, status, moment_of(at), error) for name, status, at, error in runs),
    )


def latest_run(path: Path, name: str) -> tuple[datetime, dict[str, Any]] | None:
    """When a pipeline ran last, and what it recorded; none where it never did.

    Args:
        path: The control file, which is there.
        name: The pipeline.

    Raises:
        DataError: It cannot be read.
    """
    with _reading(path) as con:
        row = con.execute(
            "select started_at, coalesce(metrics_json, '{}') from pipeline_runs"
            " where pipeline_name = ? order by started_at desc, rowid desc limit 1",
            (name,),
        ).fetchone()
    return (moment_of(row[0]), json.loads(row[1])) if row else None


def read_spent(path: Path, day: date) -> dict[str, int]:
    """Calls of a UTC day by vendor.

    Args:
        path: The control file, which is there.
        day: The day.

    Raises:
        DataError: It cannot be read.
    """
    with _reading(path) as con:
        rows = con.execute(
            "select vendor, sum(spent) from vendor_days where day = ? group by vendor",
            (day.isoformat(),),
        ).fetchall()
    return dict(rows)


def spent_lately(path: Path, clock: NodeClock) -> Callable[[], Mapping[str, int]]:
    """Calls of the UTC day by vendor, read again when what was read is a minute old.

    It is asked within a transaction of the control file, for every task that is looked at.

    Args:
        path: The control file, which may not be there yet.
        clock: The node's clock.
    """
    last: tuple[date, float, Mapping[str, int]] | None = None

    def spent() -> Mapping[str, int]:
        nonlocal last
        now = clock.read()
        today = now.wall.date()
        if last is None or last[0] != today or now.steady - last[1] >= SPENT_SECONDS:
            last = today, now.steady, read_spent(path, today) if path.exists() else {}
        return last[2]

    return spent


def agreed_start(path: Path, boot: str) -> datetime | None:
    """When the machine started by the clock that the control file's users agreed on.

    Args:
        path: The control file, which is there.
        boot: This start of the machine.

    Returns:
        The time; none where nobody used the file since the machine started.

    Raises:
        DataError: It cannot be read.
    """
    with _reading(path) as con:
        row = con.execute("select started_at from node_clock where boot = ?", (boot,)).fetchone()
    return moment_of(row[0]) if row else None


def last_error(path: Path) -> str:
    """What was said of the task that failed last; empty where none did.

    Args:
        path: The control file, which is there.

    Raises:
        DataError: It cannot be read.
    """
    with _reading(path) as con:
        row = con.execute(
            "select dataset || ' ' || symbol || ': ' || last_error from backfill_queue"
            " where attempts > 0 and last_error is not null"
            " order by updated_at desc limit 1"
        ).fetchone()
    return " ".join(row[0].split()).replace(" :", ":") if row else ""


def read_table(path: Path, name: str) -> pa.Table:
    """A table of a control file with dates and UTC times as such.

    Raises:
        DataError: It cannot be read.
    """
    with _reading(path) as con:
        cursor = con.execute(f"select * from {name} order by 1")
        names = [column[0] for column in cursor.description]
        columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
    return pa.table(
        {column: _typed(column, values) for column, values in zip(names, columns, strict=True)}
    )


def _typed(column: str, values: Sequence[object]) -> pa.Array:
    if column.endswith("_date"):
        return pa.array(values, pa.string()).cast(pa.date32())
    if column.endswith(("_at", "_before")):
        return pa.array(values, pa.string()).cast(pa.timestamp("us", tz="UTC"))
    whole = column in ("id", "priority", "attempts") and all(isinstance(v, int) for v in values)
    return pa.array(values, pa.int64() if whole and values else pa.string())


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as con:
            if con.execute("pragma user_version").fetchone() == (1,):
                con.execute(_ERRORS_OF_SCHEMA_1)
            yield con
    except sqlite3.Error as error:
        raise DataError(f"control file {path} cannot be read: {error}") from error


def _vendor(con: sqlite3.Connection, vendor: str, now: datetime) -> VendorState:
    (spent, inflight, frozen_until) = con.execute(
        "select (select coalesce(sum(spent), 0) from vendor_days where vendor = ?1 and day = ?2),"
        " (select count(*) from leases where vendor = ?1),"
        " (select frozen_until from vendor_buckets where vendor = ?1 and frozen_until > ?3)",
        (vendor, now.date().isoformat(), stamp(now)),
    ).fetchone()
    if not frozen_until:
        return VendorState(vendor, spent, inflight, None)
    row = con.execute(
        # What a plan does not hold freezes nobody.
        f"select last_error from {_TROUBLED} and vendor = ? and code <> ?"
        " order by updated_at desc limit 1",
        (vendor, NotEntitled.code),
    ).fetchone()
    reason = row[0] if row else ""
    return VendorState(vendor, spent, inflight, moment_of(frozen_until), reason)
