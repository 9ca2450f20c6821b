"""Metering of commands typed by hand: their calls count in the data node's budget."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.catalog.capabilities import Capability, Registry, read_capabilities
from ingest.control.budget import Budget, Verdict
from ingest.control.clock import NodeClock, machine_clock
from ingest.control.database import Control, control_path
from ingest.control.limits import NodeLimits
from ingest.control.reader import agreed_start
from ingest.transport.client import Banned, ClientFactory, Exhausted, VendorClient
from ingest.transport.throttle import Paid


def client_by_hand(
    data_dir: Path,
    vendor: str,
    dataset: str,
    clock: datetime,
    wait: Callable[[float], None] = time.sleep,
) -> ClientFactory:
    """What opens clients for a command: they pay for each call as the node's own do.

    Without a control file, or at what is not a vendor of the registry, nothing is counted. A
    command may spend what FORWARD may, the whole day, and waits for a token where only that is
    missing.

    Args:
        data_dir: The data directory.
        vendor: Who is asked.
        dataset: What for; what the registry does not name counts as the vendor's widest row.
        clock: Now. The control file's own time counts where it was used since the machine started,
            so that a command does not move the node's clock.
        wait: Lets seconds pass.

    Raises:
        ConfigError: The registry cannot be read.
        DataError: The control file cannot be read.
    """
    path, registry = control_path(data_dir), Registry.of(read_capabilities())
    if not path.exists() or vendor not in registry.vendors:
        return VendorClient
    till = _Till(path, registry, _row(registry, vendor, dataset), _node_clock(path, clock), wait)

    def client(*args: Any, **options: Any) -> VendorClient:
        return VendorClient(*args, **{**options, "pace": Paid(till.pay, options.get("pace"))})

    return client


class _Till:
    """Where one command pays for its calls, from any thread."""

    def __init__(
        self,
        path: Path,
        registry: Registry,
        row: Capability,
        clock: NodeClock,
        wait: Callable[[float], None],
    ) -> None:
        self._path, self._registry, self._row = path, registry, row
        self._clock, self._wait = clock, wait

    def pay(self) -> None:
        """Pays for a call.

        Raises:
            Exhausted: The day is spent.
            Banned: The vendor refused lately.
        """
        vendor, dataset = self._row.vendor, self._row.dataset
        with Control(self._path, self._clock) as control:
            budget = Budget(control, self._registry, NodeLimits())
            while (verdict := budget.take(vendor, dataset, "FORWARD")) is Verdict.NO_TOKEN:
                self._wait(60 / self._row.hard_rpm)
        if verdict is Verdict.DAY_SPENT:
            raise Exhausted(
                f"the day's calls of {dataset} at {vendor} are spent, the data node's included "
                f"({self._path}); run again after midnight UTC, what is landed is kept"
            )
        if verdict is not Verdict.GRANTED:
            raise Banned(
                f"{vendor} refused the data node lately and is left alone; `trademl node status` "
                "tells until when, what is landed is kept"
            )


def _row(registry: Registry, vendor: str, dataset: str) -> Capability:
    rows = [row for row in registry.rows if row.vendor == vendor]
    named = [row for row in rows if row.dataset == dataset]
    return named[0] if named else max(rows, key=lambda row: row.soft_daily_cap)


def _node_clock(path: Path, clock: datetime) -> NodeClock:
    """The time that the control file goes by; where nobody did yet, the one given."""
    begun = time.monotonic()
    own = machine_clock(lambda: clock + timedelta(seconds=time.monotonic() - begun))
    started_at = agreed_start(path, own.boot)
    steady = own.steady
    if started_at is None or steady is None:
        return own
    return NodeClock(lambda: started_at + timedelta(seconds=steady()), steady, own.boot)
