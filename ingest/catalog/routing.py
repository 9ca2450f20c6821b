"""Routing: which vendors to ask for a dataset, in which order."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from ingest.catalog.capabilities import Capability, Registry, read_capabilities

RECENT_DAYS = 2
"""Data not older than this counts as recent."""
HEADROOM = 0.85
"""Share of a day's cap up to which there is room (the slice of backfills)."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One vendor that may be asked.

    Attributes:
        vendor: Its name.
        endpoint: What to ask.
        score: The higher, the earlier.
    """

    vendor: str
    endpoint: str
    score: float


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """What is known beside the registry when vendors are ordered.

    Attributes:
        green: Per vendor, the symbols whose partition it already filled (partition_status GREEN).
        spent: Calls that a vendor has had today.
    """

    green: Mapping[str, Collection[str]] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)


NOTHING_KNOWN = RoutingFacts()


def route(
    dataset: str,
    asof: date,
    universe: Collection[str],
    *,
    today: date,
    registry: Registry | None = None,
    known: RoutingFacts = NOTHING_KNOWN,
) -> list[Provider]:
    """The vendors that serve a dataset on a date, best first.

    Vendors whose plan does not reach the date are left out before anything is scored. The score is
    3 uniqueness + 2 coverage gap + headroom + recency - 2 duplication + weight; ties go to the
    greater weight, then to the name (docs/specification/control-plane.md#routing).

    Args:
        dataset: Logical dataset, e.g. ``equities_bars_1d``.
        asof: The date of the data, not of asking.
        universe: The symbols wanted; empty where the dataset has none.
        today: The UTC date of asking: what a plan reaches moves with it.
        registry: The capabilities; none reads the free ones of the project's seed.
        known: Coverage and spending, where the caller knows them.

    Returns:
        Providers by falling score; empty where nobody serves that date.

    Raises:
        ConfigError: No vendor serves such a dataset, or the registry cannot be read.
    """
    registry = registry or Registry.of(read_capabilities())
    day_after = asof + timedelta(days=1)
    return route_window(dataset, asof, day_after, universe, today, registry, known)


def route_window(
    dataset: str,
    start: date,
    end: date,
    universe: Collection[str],
    today: date,
    registry: Registry,
    known: RoutingFacts = NOTHING_KNOWN,
) -> list[Provider]:
    """``route`` for the half-open window ``[start, end)``: who serves all of it, best first."""
    rows = [row for row in registry.of_dataset(dataset) if row.serves(start, end, today)]
    several = len(rows) > 1
    scored = [(_score(row, registry, set(universe), several, known), row) for row in rows]
    scored.sort(key=lambda pair: (-pair[0], pair[1].priority, pair[1].vendor))
    return [Provider(row.vendor, row.endpoint, score) for score, row in scored]


def _score(
    row: Capability, registry: Registry, universe: set[str], several: bool, known: RoutingFacts
) -> float:
    covered = universe.intersection(known.green.get(row.vendor, ()))
    coverage_gap = 1 - len(covered) / len(universe) if universe else 1.0
    room = HEADROOM * registry.limits(row.vendor).daily_cap
    headroom = 1.0 if known.spent.get(row.vendor, 0) < room else 0.5
    recency = 1.0 if (row.delay_days or 0) <= RECENT_DAYS else 0.2
    duplication = 1.0 if several and row.uniqueness < 0.5 else 0.0
    weight = 1 / row.priority
    return round(
        3 * row.uniqueness + 2 * coverage_gap + headroom + recency - 2 * duplication + weight, 9
    )
