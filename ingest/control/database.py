"""``control/node.sqlite``: one file, many processes, one transaction at a time, one time in it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from ingest.control.clock import NodeClock, Reading, moment_of, shifted, stamp
from ingest.control.schema import SCHEMA, SCHEMA_VERSION, UPGRADES
from trademl.errors import ConfigError, DataError

BUSY_SECONDS = 60.0
"""How long a process waits for its turn; a transaction takes well under a millisecond."""
JUMP = timedelta(seconds=1)
"""Clocks that drift apart by less have not jumped."""

Connect = Callable[..., sqlite3.Connection]


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open write transaction.

    Attributes:
        con: Its connection.
        now: The node's time, UTC; it never goes back while the machine runs, unless the wall
            clock was set, and then every waiting time in the file was moved with it.
    """

    con: sqlite3.Connection
    now: datetime

    @property
    def at(self) -> str:
        """``now`` as the tables hold it."""
        return stamp(self.now)

    def later(self, seconds: float) -> str:
        """Some seconds from now, as the tables hold it."""
        return stamp(self.now + timedelta(seconds=seconds))


def control_path(data_dir: Path) -> Path:
    """Where the control file of a data directory is."""
    return data_dir / "control" / "node.sqlite"


class Control:
    """The control file, opened by one thread of one process (every other one opens its own).

    Args:
        path: The file; it and its folder are made when absent.
        clock: The node's clock.
        durable: Whether a commit survives a power cut (some 3 ms each). Without it the last
            commits may be lost then, all tables together; a killed process loses nothing.
        connect: Opens a connection as ``sqlite3.connect`` does.

    Raises:
        ConfigError: The file was made by another version of the project.
        DataError: It cannot be opened or is not a control file.
    """

    def __init__(
        self,
        path: Path,
        clock: NodeClock,
        *,
        durable: bool = True,
        connect: Connect = sqlite3.connect,
    ) -> None:
        self.path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._con = connect(str(path), timeout=BUSY_SECONDS, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        try:
            self._prepare(durable)
        except BaseException:
            self._con.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; nothing is left to be written."""
        self._con.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing, alone with the file; the clock is read once the file is ours.

        Raises:
            DataError: The file is locked for a minute, full, unwritable or broken.
        """
        try:
            self._con.execute("begin immediate")
            try:
                yield Transaction(self._con, self._agree_on_time())
                self._con.execute("commit")
            except BaseException:
                if self._con.in_transaction:
                    self._con.execute("rollback")
                raise
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of ours, not of the file
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def _prepare(self, durable: bool) -> None:
        try:
            self._con.create_function("shifted", 2, shifted, deterministic=True)
            self._con.execute("pragma foreign_keys = on")
            self._con.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            if str(self.path) == ":memory:":
                self._create()
                return
            # Two processes that both find a new file must not both make the tables.
            with FileLock(self.path.with_name(f"{self.path.name}.lock")):
                self._con.execute("pragma journal_mode = wal")
                self._create()
        except (OSError, sqlite3.Error) as error:
            raise _unusable(self.path, error) from error

    def _create(self) -> None:
        (version,) = self._con.execute("pragma user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        if version and version not in UPGRADES:
            raise ConfigError(
                f"{self.path} has schema {version}, this version of trademl reads "
                f"{SCHEMA_VERSION}; move the file away, a new one is filled by the next audit"
            )
        steps = (UPGRADES[old] for old in range(version, SCHEMA_VERSION)) if version else (SCHEMA,)
        self._con.execute("begin immediate")
        for step in steps:
            for statement in step:
                self._con.execute(statement)
        self._con.execute("commit")

    def _agree_on_time(self) -> datetime:
        """The time that all processes share: steady seconds on top of the last agreed wall time."""
        reading = self._clock.read()
        row = self._con.execute("select boot, started_at from node_clock").fetchone()
        if row is None or row[0] != self._clock.boot:
            before = _last_seen(self._con)
            # How long the machine was off only the wall clock knows; it was not less than nothing.
            if before is not None and reading.wall < before:
                _move(self._con, before, reading.wall)
            return self._remember(reading)
        started_at = moment_of(row[1])
        before = started_at + timedelta(seconds=reading.steady)
        if abs(reading.started_at - started_at) <= JUMP:
            return before
        _move(self._con, before, reading.wall)
        return self._remember(reading)

    def _remember(self, reading: Reading) -> datetime:
        self._con.execute(
            "insert or replace into node_clock values (1, ?, ?)",
            (self._clock.boot, stamp(reading.started_at)),
        )
        return reading.started_at + timedelta(seconds=reading.steady)


def _last_seen(con: sqlite3.Connection) -> datetime | None:
    """The latest time at which anything is known to have happened."""
    row = con.execute(
        "select max(at) from (select max(updated_at) as at from backfill_queue"
        " union all select max(refilled_at) from vendor_buckets)"
    ).fetchone()
    return moment_of(row[0]) if row[0] else None


def _move(con: sqlite3.Connection, before: datetime, after: datetime) -> None:
    """Keeps every remaining wait as long as it was when the wall clock jumps.

    What was spent counts on the day the clock jumps to, as far as that is more than is known of
    that day; days that the clock jumped back from are not over and hold nothing of their own.
    """
    seconds = (after - before).total_seconds()
    con.execute(
        "update backfill_queue set lease_expires_at = shifted(lease_expires_at, ?1),"
        " next_not_before = shifted(next_not_before, ?1)"
        " where lease_expires_at is not null or next_not_before is not null",
        (seconds,),
    )
    con.execute("update cooldowns set ends_at = shifted(ends_at, ?)", (seconds,))
    con.execute(
        "update vendor_buckets set refilled_at = shifted(refilled_at, ?1),"
        " frozen_until = shifted(frozen_until, ?1)",
        (seconds,),
    )
    con.execute(
        "insert into vendor_days (vendor, dataset, day, spent)"
        " select vendor, dataset, ?, spent from vendor_days where day = ?"
        " on conflict do update set spent = max(spent, excluded.spent)",
        (after.date().isoformat(), before.date().isoformat()),
    )
    con.execute("delete from vendor_days where day > ?", (after.date().isoformat(),))
    # First in, first out: what was queued by the fast clock stays before what is queued from now.
    now = stamp(after)
    con.execute("update backfill_queue set created_at = ?1 where created_at > ?1", (now,))
    con.execute("update backfill_queue set updated_at = ?1 where updated_at > ?1", (now,))


def _unusable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"control file {path} cannot be used: {error}; make room or make it writable, and if it "
        "is broken move it away: the next audit queues again what is missing"
    )
