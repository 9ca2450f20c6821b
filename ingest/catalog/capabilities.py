"""Vendor capabilities and limits: ``seeds/flow_data/vendor_capabilities.csv``."""

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec

from trademl.errors import ConfigError, unknown_name
from trademl.lake.versions import PROJECT_ROOT
from trademl.settings import VENDOR_ALIASES

REGISTRY_FILE = PROJECT_ROOT / "seeds" / "flow_data" / "vendor_capabilities.csv"

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Days = Annotated[int, msgspec.Meta(ge=0)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Capability:
    """One row: a dataset as one vendor serves it.

    Attributes:
        dataset: Logical dataset.
        vendor: Vendor, as its folder under ``raw/`` is called.
        endpoint: Path or function name of its API.
        hard_rpm: Calls per minute that the endpoint allows.
        soft_daily_cap: Calls per UTC day.
        priority: 1 is the first choice of the dataset.
        plan: The vendor's plan that serves it.
        uniqueness: 1 nobody else has it, 0.5 part of the coverage is the vendor's alone, 0.
        max_days_per_task: Longest window of one task, days.
        burst_limit: Calls that may follow each other at once, none for a minute's worth.
        history_from: First date served, none for all there is.
        history_days: Days back from the day of asking that are served, none for all.
        delay_days: Days after which a date is served, none where dates to come are served too.
        notes: What to know before asking.
    """

    dataset: _Text
    vendor: _Text
    endpoint: _Text
    hard_rpm: _Positive
    soft_daily_cap: _Positive
    priority: _Positive
    plan: Literal["free", "paid"]
    uniqueness: Annotated[float, msgspec.Meta(ge=0, le=1)]
    max_days_per_task: _Positive
    burst_limit: _Positive | None = None
    history_from: date | None = None
    history_days: _Days | None = None
    delay_days: _Days | None = None
    notes: str | None = None

    def first_date(self, today: date) -> date:
        """The first date that may be asked for today; the first of all where there is no limit."""
        days = None if self.history_days is None else today - timedelta(days=self.history_days)
        return max(self.history_from or date.min, days or date.min)

    def serves(self, start: date, end: date, today: date) -> bool:
        """Whether every date of the half-open window ``[start, end)`` may be asked for today."""
        last = end - timedelta(days=1)
        if start < self.first_date(today):
            return False
        return self.delay_days is None or last <= today - timedelta(days=self.delay_days)


@dataclass(frozen=True, slots=True)
class VendorLimits:
    """What one vendor allows to all its endpoints together.

    Attributes:
        rpm: Tokens that its bucket gains per minute.
        bucket: Tokens that the bucket holds.
        start: Tokens for one call, of whichever endpoint.
        daily_cap: Calls per UTC day.
    """

    rpm: int
    bucket: float
    start: float
    daily_cap: int


@dataclass(frozen=True, slots=True)
class Registry:
    """The rows that a node may use.

    Attributes:
        rows: In the order of the file.
    """

    rows: tuple[Capability, ...]

    @classmethod
    def of(cls, rows: Iterable[Capability], paid: Collection[str] = ()) -> Self:
        """All rows of free plans, and the paid ones of the vendors named.

        Args:
            rows: Rows of the file.
            paid: Vendors whose paid plan there is.
        """
        bought = {canonical_vendor(name) for name in paid}
        return cls(tuple(row for row in rows if row.plan == "free" or row.vendor in bought))

    @property
    def vendors(self) -> tuple[str, ...]:
        """All vendors, by name."""
        return tuple(sorted({row.vendor for row in self.rows}))

    def of_dataset(self, dataset: str) -> tuple[Capability, ...]:
        """The rows of a dataset.

        Raises:
            ConfigError: No vendor serves it.
        """
        rows = tuple(row for row in self.rows if row.dataset == dataset)
        if not rows:
            known = {row.dataset for row in self.rows}
            raise ConfigError(unknown_name(dataset, "a dataset of the registry", known))
        return rows

    def row(self, vendor: str, dataset: str) -> Capability:
        """One row.

        Raises:
            ConfigError: The vendor does not serve the dataset.
        """
        for row in self.of_dataset(dataset):
            if row.vendor == vendor:
                return row
        served = ", ".join(row.vendor for row in self.of_dataset(dataset))
        raise ConfigError(f"{vendor!r} does not serve {dataset!r}; it is served by: {served}")

    def limits(self, vendor: str) -> VendorLimits:
        """A vendor's limits, the widest of its rows.

        Raises:
            ConfigError: There is no such vendor.
        """
        rows = [row for row in self.rows if row.vendor == vendor]
        if not rows:
            raise ConfigError(unknown_name(vendor, "a vendor of the registry", self.vendors))
        rpm = max(row.hard_rpm for row in rows)
        return VendorLimits(
            rpm=rpm,
            bucket=max((row.burst_limit or row.hard_rpm) * rpm / row.hard_rpm for row in rows),
            start=max(rpm / row.hard_rpm for row in rows),
            daily_cap=max(row.soft_daily_cap for row in rows),
        )

    def tokens_per_call(self, row: Capability) -> float:
        """How many of its vendor's tokens a call costs: 1, or more on an endpoint of lower rate."""
        return self.limits(row.vendor).rpm / row.hard_rpm

    def max_days(self, dataset: str) -> int:
        """The longest window that any of a dataset's vendors takes as one task, days."""
        return min(row.max_days_per_task for row in self.of_dataset(dataset))


def canonical_vendor(name: str) -> str:
    """The registry's spelling of a vendor's name."""
    lower = name.strip().lower()
    return VENDOR_ALIASES.get(lower, lower)


def read_capabilities(path: Path = REGISTRY_FILE) -> tuple[Capability, ...]:
    """The rows of the registry.

    Raises:
        ConfigError: The file cannot be read, a row is not as declared, or one occurs twice.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = tuple(
                _capability(path, number, fields)
                for number, fields in enumerate(csv.DictReader(file), start=2)
            )
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; restore it") from error
    keys = [(row.dataset, row.vendor) for row in rows]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{path} has {key[0]} of {key[1]} twice; keep one row")
    return rows


def _capability(path: Path, number: int, fields: dict[str, str]) -> Capability:
    try:
        given = {name: value for name, value in fields.items() if value != ""}
        return msgspec.convert(given, Capability, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"{path}:{number} is not a capability: {error}") from error
