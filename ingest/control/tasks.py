"""Types of the ingest queue: work to queue, tasks in it, leases on them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from trademl.errors import ConfigError

Span = tuple[date, date]
"""First day, and the day after the last one."""
Kind = Literal["BOOTSTRAP", "GAP", "FORWARD", "QC_PROBE"]
KINDS: tuple[Kind, ...] = ("BOOTSTRAP", "GAP", "FORWARD", "QC_PROBE")

WAITING_CODES = ("NO_CAPACITY", "BUDGET", "KEY", "STOPPED", "INTERRUPTED")
"""Codes of a task that only waits for its turn: nothing is wrong with it."""

_LANES: dict[Kind, tuple[int, int]] = {
    "BOOTSTRAP": (0, 3),
    "GAP": (1, 3),
    "QC_PROBE": (2, 2),
    "FORWARD": (5, 5),
}


def lane(kind: Kind, in_stage_window: bool = True) -> int:
    """The priority of a kind of work, lower is served earlier.

    Args:
        kind: The kind of work.
        in_stage_window: Whether its window lies inside that of the current stage.
    """
    inside, outside = _LANES[kind]
    return inside if in_stage_window else outside


@dataclass(frozen=True, slots=True)
class Work:
    """Something to be fetched.

    Attributes:
        dataset: Logical dataset of the registry.
        start: First date.
        end: The date after the last one.
        kind: Why it is fetched.
        symbol: The symbol, none where the dataset has none.
        in_stage_window: Whether the window lies inside that of the current stage.
    """

    dataset: str
    start: date
    end: date
    kind: Kind
    symbol: str | None = None
    in_stage_window: bool = True

    def check(self) -> None:
        """Refuses an empty window and an unknown kind.

        Raises:
            ConfigError: The work makes no sense.
        """
        if self.start >= self.end:
            raise ConfigError(
                f"work on {self.dataset} from {self.start} to before {self.end} holds no day"
            )
        if self.kind not in KINDS:
            raise ConfigError(f"no kind of work {self.kind!r}; there are: {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the queue.

    Attributes:
        id: Its number.
        dataset: Logical dataset.
        symbol: The symbol, none where there is none.
        start: First date.
        end: The date after the last one.
        kind: Why it is fetched.
        priority: Its lane.
        attempts: How often it has failed.
    """

    id: int
    dataset: str
    symbol: str | None
    start: date
    end: date
    kind: Kind
    priority: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a task at one vendor for a while.

    Attributes:
        id: Never used twice; whoever holds an older one has lost the task.
        task: The task.
        vendor: The vendor whose budget was spent.
        owner: Who holds it.
        expires_at: When others may take it, UTC.
        paid_on: The UTC day whose budget paid for its first call.
    """

    id: int
    task: Task
    vendor: str
    owner: str
    expires_at: datetime
    paid_on: date


def chunks(start: date, end: date, days: int) -> Iterator[Span]:
    """Cuts a half-open window into half-open windows of at most so many days, oldest first."""
    step = timedelta(days=days)
    while start < end:
        yield start, min(start + step, end)
        start += step


def uncovered(start: date, end: date, taken: Iterable[Span]) -> Iterator[Span]:
    """What is left of a half-open window when others, in any order, are taken out of it."""
    for first, after in sorted(taken):
        if start >= end:
            return
        if first > start:
            yield start, min(first, end)
        start = max(start, after)
    if start < end:
        yield start, end
