"""Choice of the vendors that may fill a task of the queue."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date

from pydantic import SecretStr

from ingest.catalog.capabilities import Registry
from ingest.catalog.routing import RoutingFacts, route_window
from ingest.control.queue import Providers
from ingest.control.tasks import Task
from ingest.vendors.registry import FILLING, VENDORS, of_logical
from trademl.settings import Settings


def has_keys(vendor: str, settings: Settings) -> bool:
    """Whether everything is set that a vendor asks for; some ask for nothing."""
    return all(_is_set(getattr(settings, name)) for name in VENDORS[vendor].settings)


def can_fill(vendor: str, dataset: str) -> bool:
    """Whether there is a connector for a dataset of the registry."""
    return (vendor, dataset) in FILLING


def feeding_vendors(dataset: str) -> tuple[str, ...]:
    """The vendors whose landed files the lake's tables of a dataset are made of, none without."""
    return tuple(
        declared.endpoint.vendor for declared in of_logical(dataset) if declared.feeds_lake
    )


def usable_vendors(registry: Registry, settings: Settings) -> tuple[str, ...]:
    """The vendors that may be asked: their keys are set, and a connector serves them."""
    serving = {row.vendor for row in registry.rows if can_fill(row.vendor, row.dataset)}
    return tuple(vendor for vendor in registry.vendors if vendor in serving & _keyed(settings))


def served_from(dataset: str, registry: Registry, vendors: Collection[str], today: date) -> date:
    """The first date that one of the vendors may be asked for to fill the lake.

    It is the first of all where none of them serves the dataset: then nothing is known of it.

    Args:
        dataset: The dataset.
        registry: What vendors serve.
        vendors: Whom there is to ask.
        today: The UTC date of asking.

    Raises:
        ConfigError: No vendor at all serves the dataset.
    """
    feeding = feeding_vendors(dataset) or vendors
    rows = [
        row
        for row in registry.of_dataset(dataset)
        if row.vendor in vendors and row.vendor in feeding and can_fill(row.vendor, dataset)
    ]
    return min((row.first_date(today) for row in rows), default=date.min)


def providers_of(
    registry: Registry,
    settings: Settings,
    today: Callable[[], date],
    spent: Callable[[], Mapping[str, int]] = dict,
) -> Providers:
    """The vendors that may serve a task, best first.

    A QC_PROBE goes to a second opinion, everything else to those that the lake is made of. Where
    several may, a task that failed at one goes to the next: the first may be down for long.

    Args:
        registry: What vendors serve.
        settings: Which keys are set.
        today: The UTC date of asking.
        spent: Calls of that day by vendor: who has little left goes behind its equals. What vendors
            have filled does not count here: where several may serve a task, no table of the lake
            says whose rows it holds (ADR 17).
    """
    usable = usable_vendors(registry, settings)

    def providers(task: Task) -> Sequence[str]:
        symbols = (task.symbol,) if task.symbol else ()
        known = RoutingFacts(spent=spent())
        ranked = route_window(task.dataset, task.start, task.end, symbols, today(), registry, known)
        able = [
            provider.vendor
            for provider in ranked
            if provider.vendor in usable and can_fill(provider.vendor, task.dataset)
        ]
        feeding = feeding_vendors(task.dataset)
        if task.kind == "QC_PROBE":
            return [name for name in able if FILLING[name, task.dataset].is_second_opinion]
        chosen = [vendor for vendor in able if vendor in feeding or not feeding]
        turn = task.attempts % max(1, len(chosen))
        return chosen[turn:] + chosen[:turn]

    return providers


def _keyed(settings: Settings) -> set[str]:
    return {
        name for name, vendor in VENDORS.items() if vendor.datasets and has_keys(name, settings)
    }


def _is_set(value: SecretStr | str) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
