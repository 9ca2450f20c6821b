"""Limits of one node on calls and parallel work, from its settings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.catalog.capabilities import canonical_vendor
from trademl.errors import ConfigError
from trademl.settings import Settings

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Limits of a node; what a vendor allows is in the registry.

    Attributes:
        max_inflight_default: Tasks that may be leased at one vendor at once.
        max_inflight: The same for single vendors.
        freeze_seconds_default: How long a vendor is left alone after an error of its own.
        freeze_seconds: The same for single vendors.
        max_days_per_task: Upper bound of every task's window, days, none for the registry's.
    """

    max_inflight_default: int = 2
    max_inflight: Mapping[str, int] = field(default_factory=dict)
    freeze_seconds_default: float = 60
    freeze_seconds: Mapping[str, float] = field(default_factory=dict)
    max_days_per_task: int | None = None

    def inflight(self, vendor: str) -> int:
        """Tasks that may be leased at a vendor at once."""
        return self.max_inflight.get(vendor, self.max_inflight_default)

    def freeze(self, vendor: str) -> float:
        """Seconds for which a vendor is left alone after an error."""
        return self.freeze_seconds.get(vendor, self.freeze_seconds_default)


def limits_from(settings: Settings, vendors: Collection[str]) -> NodeLimits:
    """The limits that the settings give.

    Args:
        settings: Their tables have an entry ``default``; vendors go by any of their names.
        vendors: Vendors of the registry.

    Raises:
        ConfigError: There is no such vendor (a limit under a misspelt name would silently not
            hold).
    """
    inflight = _by_vendor("max_inflight", settings.max_inflight, vendors)
    freeze = _by_vendor("freeze_seconds", settings.freeze_seconds, vendors)
    return NodeLimits(
        max_inflight_default=inflight.pop("default"),
        max_inflight=inflight,
        freeze_seconds_default=freeze.pop("default"),
        freeze_seconds=freeze,
        max_days_per_task=settings.max_days_per_task,
    )


def _by_vendor(
    setting: str, table: Mapping[str, _Number], vendors: Collection[str]
) -> dict[str, _Number]:
    by_vendor = {}
    for name, value in table.items():
        vendor = canonical_vendor(name)
        if vendor != "default" and vendor not in vendors:
            known = ", ".join(sorted(vendors))
            raise ConfigError(
                f"setting {setting} names no vendor of the registry: {name}; there are: {known}"
            )
        by_vendor[vendor] = value
    return by_vendor
