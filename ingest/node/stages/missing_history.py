"""Missing history: required windows that no landed file answers for, whatever the lake says.

The lake counts from the first bar it holds, and has no table of minutes. The footers of landed
files say which symbol and window was asked; what was answered without rows is landed too.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from ingest.catalog.capabilities import Registry
from ingest.control.queue import Queue
from ingest.control.tasks import Work, chunks, uncovered
from ingest.landing import bookmarks
from ingest.node.context import Node
from ingest.node.providers import served_from, usable_vendors
from ingest.node.stage_file import Stage, read_stage, tasks_for
from ingest.payloads.endpoint import Endpoint
from ingest.vendors.registry import FILLING, of_logical
from trademl.errors import ConfigError
from trademl.sessions import sessions_between

MISSING_HISTORY = "stage_unlanded"
"""The name in ``pipeline_runs`` of the look at the stage."""
SETTLE_DAYS = 2
"""Younger sessions are left to forward ingest, which asks for them anyway."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MissingHistory:
    """What is required of a dataset and not landed.

    Attributes:
        dataset: The dataset.
        windows: By symbol, each with a session that no landed file answers for.
        sessions: Such sessions of symbols.
        served_from: The date before which no vendor may be asked, none where nothing before it is
            required.
    """

    dataset: str
    windows: tuple[Work, ...]
    sessions: int
    served_from: date | None

    def line(self) -> str:
        """What it is in words."""
        names = {work.symbol for work in self.windows}
        text = (
            f"{self.sessions} sessions of {len(names)} symbols are not landed"
            if names
            else "all sessions are landed"
        )
        return text + (f"; no vendor serves it before {self.served_from}" * bool(self.served_from))


def history_of(dataset: str) -> tuple[Endpoint, ...]:
    """Where a dataset's history lands, at any of its vendors; one of the places is enough."""
    return tuple(declared.endpoint for declared in of_logical(dataset) if declared.keeps_history)


def required(stage: Stage, today: date) -> Iterator[Work]:
    """What a stage is to hold by a day: its windows, and what came after them.

    They are two, so that a window that failed is cut as it was before and opens its task again.
    """
    for work in tasks_for(stage):
        yield work
        if work.end < settled(today):
            yield replace(work, start=work.end, end=settled(today))


def settled(today: date) -> date:
    """The day after the last session that is no longer forward ingest's."""
    return today - (SETTLE_DAYS - 1) * _DAY


def find_missing_history(
    data_dir: Path,
    registry: Registry,
    vendors: Collection[str],
    wanted: Iterable[Work],
    today: date,
    until: date,
) -> tuple[MissingHistory, ...]:
    """What of the work wanted no landed file answers for, dataset by dataset.

    Args:
        data_dir: The data directory.
        registry: What vendors serve.
        vendors: Whom there is to ask: what none of them serves is left out, and said.
        wanted: By symbol.
        today: The UTC date.
        until: Windows that begin then or later are left to forward ingest.

    Raises:
        ConfigError: A dataset whose history is not landed by symbol and window.
        DataError: A landed file cannot be read.
    """
    by_dataset: dict[str, list[Work]] = {}
    for work in wanted:
        by_dataset.setdefault(work.dataset, []).append(work)
    return tuple(
        _unlanded(data_dir, dataset, windows, served_from(dataset, registry, vendors, today), until)
        for dataset, windows in by_dataset.items()
    )


def missing_history(node: Node) -> tuple[MissingHistory, ...]:
    """What the node's stage lacks; nothing where there is no stage.

    Raises:
        ConfigError: The stage's file cannot be read, or names a dataset without such history.
        DataError: A landed file cannot be read.
    """
    stage, today = read_stage(node.data_dir), node.now().date()
    return missing_history_of(node, required(stage, today), settled(today)) if stage else ()


def missing_history_of(
    node: Node, wanted: Iterable[Work], until: date
) -> tuple[MissingHistory, ...]:
    """``find_missing_history`` among the vendors that the node may ask."""
    vendors, today = usable_vendors(node.registry, node.settings), node.now().date()
    return find_missing_history(node.data_dir, node.registry, vendors, wanted, today, until)


def queue_missing_history(
    node: Node, missing: Iterable[MissingHistory], most: int | None = None
) -> int:
    """Queues what is not landed and not in line; what failed today waits for tomorrow.

    Args:
        node: The node.
        missing: What is not landed.
        most: Queue at most so many tasks; none for no limit.

    Returns:
        How many tasks are waiting that were not before.
    """
    windows = [work for history in missing for work in history.windows]
    with node.queue() as queue:
        if most is None:
            return queue.add(windows)
        made = 0
        for piece in _pieces(queue, windows):
            made += queue.add([piece]) if made < most else 0
        return made


def _pieces(queue: Queue, windows: Iterable[Work]) -> Iterator[Work]:
    """Windows cut as the queue cuts them."""
    for work in windows:
        for start, end in chunks(work.start, work.end, queue.longest(work.dataset)):
            yield replace(work, start=start, end=end)


def _unlanded(
    data_dir: Path, dataset: str, wanted: list[Work], first: date, until: date
) -> MissingHistory:
    endpoints = history_of(dataset)
    if not endpoints:
        kept = sorted({name for (_, name), declared in FILLING.items() if declared.keeps_history})
        raise ConfigError(f"no history is kept of {dataset}; there is of: {', '.join(kept)}")
    landed = (
        envelope for endpoint in endpoints for envelope in bookmarks.landed(data_dir, endpoint)
    )
    spans = bookmarks.coverage(landed, {work.symbol or "" for work in wanted})
    days = _days(dataset, min(work.start for work in wanted), max(work.end for work in wanted))
    windows, sessions = [], 0
    for work in wanted:
        covered = [(start, last + _DAY) for start, last in spans.get(work.symbol or "", ())]
        for start, end in uncovered(max(work.start, first), work.end, covered):
            count = bisect_left(days, end) - bisect_left(days, start)
            if count and start < until:
                windows.append(replace(work, start=start, end=end))
                sessions += count
    is_cut = any(work.start < first for work in wanted)
    return MissingHistory(dataset, tuple(windows), sessions, first if is_cut else None)


def _days(dataset: str, start: date, end: date) -> list[date]:
    """The sessions of a half-open window; coins trade every day."""
    if dataset.startswith("crypto"):
        return [start + number * _DAY for number in range((end - start).days)]
    return [session.day for session in sessions_between(start, end - _DAY)]
