"""Forward ingest: which datasets lack their last expected session, and FORWARD tasks for these."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from ingest.control.tasks import Work
from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import FRESH
from ingest.landing.unanswered import unanswered_symbols
from ingest.node.context import Node
from ingest.node.planning.tracked import TRACKED, TrackedDataset
from ingest.node.providers import has_keys
from ingest.payloads.endpoint import Endpoint
from trademl.errors import DataError

REACH_DAYS = 30
"""How far back forward ingest looks and goes on after a pause; what is older is the audit's."""


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a dataset is.

    Attributes:
        tracked: The dataset.
        expected: The last session whose data are published.
        newest: The newest session that is landed of every name, none where some name has nothing.
        behind: The names that have to be asked; an empty one stands for the dataset as a whole.
        unanswered: Of bars, the symbols that were asked for the expected session and have none of
            it, among those that forward ingest asks.
    """

    tracked: TrackedDataset
    expected: date
    newest: date | None
    behind: tuple[str, ...]
    unanswered: tuple[str, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has to be asked."""
        return not self.behind


def freshness(node: Node, tracked: TrackedDataset) -> Freshness:
    """Compares the newest landed session of a dataset with the last expected one."""
    now = node.now()
    expected = tracked.tracking.last_expected(now)
    names = _names(node, tracked)
    landed = _landed(node, tracked)
    if tracked.tracking.is_bars:
        return _of_bars(node, tracked, landed, names)
    landings = _newest_landings(tracked, landed)
    landed_at = {name: landings.get(name) for name in names}
    behind = tuple(
        name
        for name, at in landed_at.items()
        if at is None or (now - at >= FRESH and tracked.tracking.last_expected(at) != expected)
    )
    times = [at for at in landed_at.values() if at is not None]
    oldest = min(times, default=None) if len(times) == len(landed_at) else None
    return Freshness(
        tracked, expected, tracked.tracking.last_expected(oldest) if oldest else None, behind
    )


def _names(node: Node, tracked: TrackedDataset) -> tuple[str, ...]:
    """What a dataset is asked for; an empty name stands for the dataset as a whole."""
    if tracked.tracking.names is None:
        return ("",)
    return tuple(tracked.tracking.names(node.data_dir, node.settings, node.universe() or ()))


def _of_bars(
    node: Node, tracked: TrackedDataset, landed: list[Envelope], names: tuple[str, ...]
) -> Freshness:
    """Behind is also who has no bar of the session though others do, until it was asked thrice.

    Who was not asked for it yet is behind too, however new the bars of others.
    """
    now = node.now()
    expected, newest = (
        tracked.tracking.last_expected(now),
        _newest_bar(landed, tracked.tracking.zone),
    )
    if not names or newest is None or newest < expected:
        return Freshness(tracked, expected, newest, ("",) if names else ())
    endpoints = {endpoint.path: endpoint for endpoint in tracked.endpoints}
    missing, having = unanswered_symbols(
        ((endpoints[_endpoint_path(envelope)], envelope) for envelope in landed),
        expected,
        lambda moment: _session(moment, tracked.tracking.zone),
    )
    wanted = _wanted(node, tracked)
    requested = missing.keys() | having if wanted is None else frozenset(wanted)
    # Who was asked by hand only is not asked again here, and would never come off the list.
    lacking = {symbol: unanswered for symbol, unanswered in missing.items() if symbol in requested}
    is_unasked = not requested <= lacking.keys() | having
    is_due = any(unanswered.is_due(now) for unanswered in lacking.values())
    behind = ("",) if is_unasked or is_due else ()
    return Freshness(tracked, expected, newest, behind, tuple(sorted(lacking)))


def _wanted(node: Node, tracked: TrackedDataset) -> Collection[str] | None:
    """Whom a task of bars asks: the stage, else the newest landed listing; none without either.

    Coins belong to no stage.
    """
    stage = node.universe() if tracked.dataset.startswith("equities") else None
    if stage or tracked.tracking.listed is None or not _is_listed(node, tracked):
        return stage
    return tracked.tracking.listed(node.data_dir)


def _endpoint_path(envelope: Envelope) -> str:
    """The endpoint's folder of a landed file."""
    return "/".join(envelope.path.parts[-4:-2])


def forward(node: Node, listing: Endpoint | None = None) -> int:
    """Queues FORWARD tasks for what is behind; how many tasks are waiting that were not before.

    A dataset whose landed files cannot be read is told and left out: all others go on.

    Args:
        node: The node.
        listing: Only the datasets whose symbols this endpoint names; none for all.
    """
    datasets = (tracked for tracked in reachable(node) if listing in (None, tracked.tracking.needs))
    tasks = [work for tracked in datasets for work in _behind(node, tracked)]
    with node.queue() as queue:
        return queue.add(tasks)


def _behind(node: Node, tracked: TrackedDataset) -> list[Work]:
    try:
        return _forward_tasks(node, freshness(node, tracked)) if _is_listed(node, tracked) else []
    except DataError as error:
        log.error("forward", dataset=tracked.dataset, error=str(error))
        return []


def reachable(node: Node) -> tuple[TrackedDataset, ...]:
    """The active datasets of which some vendor may be asked."""
    return tuple(
        tracked
        for tracked in TRACKED
        if any(has_keys(endpoint.vendor, node.settings) for endpoint in tracked.endpoints)
    )


def ages(node: Node) -> Mapping[str, Freshness]:
    """How far each active dataset is, by its name; without those whose listing is not landed."""
    return {
        tracked.dataset: freshness(node, tracked)
        for tracked in reachable(node)
        if tracked.tracking.names is None or _is_listed(node, tracked)
    }


def _landed(node: Node, tracked: TrackedDataset) -> list[Envelope]:
    """The landings of the last weeks at all its vendors; all there are where those have none."""
    since = node.now().date() - timedelta(days=REACH_DAYS)
    lately = [
        envelope
        for endpoint in tracked.endpoints
        for envelope in bookmarks.landed(node.data_dir, endpoint, since)
    ]
    return lately or [
        envelope
        for endpoint in tracked.endpoints
        for envelope in bookmarks.landed(node.data_dir, endpoint)
    ]


def _newest_landings(tracked: TrackedDataset, landed: list[Envelope]) -> Mapping[str, datetime]:
    """When each name was landed last, and under the empty one when all were.

    A file whose window ends before the session that was expected then is a piece of history.
    """
    newest: dict[str, datetime] = {}
    for envelope in sorted(landed, key=lambda envelope: envelope.ingested_at):
        expected = tracked.tracking.last_expected(envelope.ingested_at)
        if envelope.end is not None and envelope.end + timedelta(days=1) < expected:
            continue
        newest |= dict.fromkeys(envelope.symbols or ("",), envelope.ingested_at)
    return newest


def _newest_bar(landed: list[Envelope], zone: ZoneInfo) -> date | None:
    newest = bookmarks.newest_event(landed)
    return None if newest is None else _session(newest, zone)


def _session(moment: datetime, zone: ZoneInfo) -> date:
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(zone).date()


def _is_listed(node: Node, tracked: TrackedDataset) -> bool:
    """Whether the listing that names a dataset's symbols is landed."""
    if tracked.tracking.needs is None or (
        tracked.dataset == "equities_bars_1d" and node.universe()
    ):
        return True
    return bool(bookmarks.landed(node.data_dir, tracked.tracking.needs))


def _forward_tasks(node: Node, status: Freshness) -> list[Work]:
    """Bars from the newest landed session on, and some days again; all else as of now.

    What is served a day later is asked as of yesterday.
    """
    tracked, day = status.tracked, timedelta(days=1)
    if not status.behind:
        return []
    if tracked.tracking.is_bars:
        newest = status.newest or status.expected
        earliest = status.expected - timedelta(days=REACH_DAYS - 1)
        start = max(
            earliest, min(newest, status.expected - timedelta(days=tracked.tracking.overlap))
        )
        window = (start, status.expected + day)
    else:
        rows = node.registry.of_dataset(tracked.dataset)
        today = node.now().date() - min(row.delay_days or 0 for row in rows) * day
        window = (today, today + day)
    return [Work(tracked.dataset, *window, "FORWARD", name or None) for name in status.behind]
