"""The data node's clock: wall time for dates, checked against the machine's steady clock.

Leases, backoffs and budgets last for seconds that really pass. A wall clock that is put right (a
machine without a battery, a first answer from NTP) would end all of them at once or make them
last for days. A clock that counts from the start of the machine tells such a jump from time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trademl.errors import ConfigError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NodeClock:
    """Two readings of time.

    Attributes:
        wall: An aware datetime; may be set back or forward at any moment.
        steady: Seconds since the machine started, the same for all its processes; none where
            there is no such clock: then a jump of the wall clock counts as time.
        boot: Tells one start of the machine from another.
    """

    wall: Callable[[], datetime]
    steady: Callable[[], float] | None = None
    boot: str = ""

    def read(self) -> "Reading":
        """Both clocks at once.

        Raises:
            ConfigError: The wall clock gives a time without a zone.
        """
        wall = self.wall()
        if wall.tzinfo is None:
            raise ConfigError(f"the node's clock gave {wall} without a zone; give it in UTC")
        wall = wall.astimezone(UTC)
        seconds = (wall - _EPOCH).total_seconds() if self.steady is None else self.steady()
        return Reading(wall, wall - timedelta(seconds=seconds), seconds)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the clocks.

    Attributes:
        wall: The wall clock, UTC.
        started_at: When, by this wall clock, the steady clock began.
        steady: Seconds since then.
    """

    wall: datetime
    started_at: datetime
    steady: float


def machine_clock(wall: Callable[[], datetime]) -> NodeClock:
    """The wall clock given, with this machine's steady clock beside it."""
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    return NodeClock(wall, _since_boot, boot)


def stamp(moment: datetime) -> str:
    """``2026-11-21T11:03:15.000000Z``: always as wide, so that text sorts as time does."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment_of(text: str) -> datetime:
    """The aware datetime of a stamp."""
    return datetime.fromisoformat(text)


def shifted(text: str | None, seconds: float) -> str | None:
    """A stamp some seconds later, none for none."""
    return None if text is None else stamp(moment_of(text) + timedelta(seconds=seconds))


def _since_boot() -> float:
    """Counts while the machine sleeps, where the system has such a clock (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
