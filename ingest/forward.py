"""Forward ingest: which datasets lack their last expected session, and FORWARD tasks for these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ingest import bookmarks
from ingest.bookmarks import Envelope
from ingest.endpoints import ENDPOINTS
from ingest.jobs import FRESH
from ingest.node_context import Node
from ingest.tasks import Work
from ingest.vendors import alpaca, binance, exchange_calendars
from ingest.work import has_keys

LISTINGS = {"assets": "alpaca/assets", "crypto_filters": "binance/exchange_info"}
"""The datasets that name the symbols of others, and where they land."""
OVERLAP_DAYS = 7
"""Days asked again before the last session: a correction or an outage is seen for a week."""
REACH_DAYS = 30
"""How far back forward ingest goes on after a pause; what is older is the audit's to find."""

_NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Active:
    """A dataset that is kept up to date.

    Attributes:
        dataset: Its name in the registry.
        endpoint: Where the vendor of the lake lands it.
        last_expected: The last session whose data are published at a clock.
        zone: The time zone of its sessions.
        needs: The endpoint that names its symbols, none where nothing does.
        is_bars: Whether its rows say which session they are of; else a landing counts as of the
            session that was the last one then.
    """

    dataset: str
    endpoint: str
    last_expected: Callable[[datetime], date]
    zone: ZoneInfo = _NEW_YORK
    needs: str | None = None
    is_bars: bool = False


def _last_session(clock: datetime) -> date:
    return exchange_calendars.last_completed(clock, alpaca.PUBLICATION_LAG)


ACTIVE = (
    Active("assets", "alpaca/assets", _last_session),
    Active("corp_actions_splits", "alpaca/corporate_actions", _last_session),
    Active("equities_bars_1d", "alpaca/bars_1d", _last_session, _NEW_YORK, "alpaca/assets", True),
    Active("crypto_filters", "binance/exchange_info", binance.last_full_day),
    Active(
        "crypto_bars_1d",
        "binance/klines_1d",
        binance.last_full_day,
        ZoneInfo("UTC"),
        "binance/exchange_info",
        True,
    ),
)
"""What the lake is made of, in the order in which it is asked: listings before bars."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a dataset is.

    Attributes:
        active: The dataset.
        expected: The last session whose data are published.
        newest: The newest session that is landed, none where nothing is.
        is_fresh: Whether nothing has to be asked.
    """

    active: Active
    expected: date
    newest: date | None
    is_fresh: bool


def freshness(data_dir: Path, active: Active, now: datetime) -> Freshness:
    """Compares the newest landed session of a dataset with the last expected one."""
    expected = active.last_expected(now)
    landed = bookmarks.landed(data_dir, ENDPOINTS[active.endpoint])
    if active.is_bars:
        newest = _newest_bar(landed, active.zone)
        return Freshness(active, expected, newest, newest is not None and newest >= expected)
    at = max((found.ingested_at for found in landed), default=None)
    newest = active.last_expected(at) if at is not None else None
    is_recent = at is not None and now - at < FRESH
    return Freshness(active, expected, newest, is_recent or newest == expected)


def forward(node: Node, listing: str | None = None) -> int:
    """Queues FORWARD tasks for what is behind; how many tasks are waiting that were not before.

    Args:
        node: The node.
        listing: Only the datasets whose symbols this endpoint names; none for all.
    """
    behind = [
        found
        for found in (freshness(node.data_dir, active, node.now()) for active in reachable(node))
        if not found.is_fresh and listing in (None, found.active.needs)
    ]
    with node.queue() as queue:
        return queue.add(
            _work(found, node.now().date()) for found in behind if _is_listed(node, found.active)
        )


def reachable(node: Node) -> tuple[Active, ...]:
    """The active datasets whose vendor may be asked."""
    return tuple(
        active for active in ACTIVE if has_keys(active.endpoint.split("/")[0], node.settings)
    )


def ages(node: Node) -> Mapping[str, Freshness]:
    """How far each active dataset is, by its name."""
    now = node.now()
    return {one.dataset: freshness(node.data_dir, one, now) for one in reachable(node)}


def _newest_bar(landed: list[Envelope], zone: ZoneInfo) -> date | None:
    newest = bookmarks.newest_event(landed)
    return (
        None
        if newest is None
        else newest.replace(tzinfo=newest.tzinfo or UTC).astimezone(zone).date()
    )


def _is_listed(node: Node, active: Active) -> bool:
    """Whether the listing that names a dataset's symbols is landed."""
    if active.needs is None or (active.dataset == "equities_bars_1d" and node.universe()):
        return True
    return bool(bookmarks.landed(node.data_dir, ENDPOINTS[active.needs]))


def _work(found: Freshness, today: date) -> Work:
    """From the newest landed session on, and at least the last week again; listings as of now."""
    end = found.expected + timedelta(days=1)
    if not found.active.is_bars:
        return Work(found.active.dataset, today, today + timedelta(days=1), "FORWARD")
    newest = found.newest or found.expected
    earliest = found.expected - timedelta(days=REACH_DAYS - 1)
    start = max(earliest, min(newest, found.expected - timedelta(days=OVERLAP_DAYS)))
    return Work(found.active.dataset, start, end, "FORWARD")
