"""Fulfilment of a queue task by a call of ``run_ingest``."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from ingest.control.tasks import Task
from ingest.landing.job import IngestReport
from ingest.sync import run_ingest
from ingest.transport.client import ClientFactory, VendorClient
from ingest.vendors.dataset import Dataset
from ingest.vendors.registry import FILLING
from trademl.errors import ConfigError
from trademl.settings import Settings


def fulfil(
    task: Task,
    vendor: str,
    *,
    data_dir: Path,
    clock: datetime,
    settings: Settings,
    universe: Sequence[str] | None = None,
    base_url: str | None = None,
    make_client: ClientFactory = VendorClient,
) -> IngestReport:
    """Lands what a task asks for.

    Args:
        task: The task.
        vendor: Who is asked.
        data_dir: The data directory.
        clock: The time of asking, aware.
        settings: Hosts and keys.
        universe: The symbols of a task without one; none for all that the vendor lists.
        base_url: Replaces every host of the vendor.
        make_client: Opens a client.

    Raises:
        TradeMLError: What ``run_ingest`` raises.
    """
    dataset = FILLING.get((vendor, task.dataset))
    if dataset is None:
        raise ConfigError(f"no connector lands {task.dataset} of {vendor}")
    start, end = _window(task, dataset)
    return run_ingest(
        vendor,
        dataset.name,
        data_dir=data_dir,
        clock=clock,
        settings=settings,
        start=None if dataset.window == "day" else start,
        end=end,
        symbols=_symbols(task, dataset, universe),
        base_url=base_url,
        make_client=make_client,
        refetch=task.kind in ("GAP", "QC_PROBE"),
    )


def _window(task: Task, dataset: Dataset) -> tuple[date | None, date | None]:
    """First and last day to ask, none where the dataset itself knows."""
    if task.kind == "FORWARD" and dataset.forward_days is not None:
        first = task.start - timedelta(days=dataset.forward_days)
        return first, first + timedelta(days=dataset.forward_span - 1)
    # Of a reference the dataset itself knows best what is new.
    is_reference = not task.dataset.endswith(("_1d", "_1m"))
    if dataset.window == "none" or (task.kind == "FORWARD" and is_reference):
        return None, None
    return task.start, task.end - timedelta(days=1)


def _symbols(task: Task, dataset: Dataset, universe: Sequence[str] | None) -> Sequence[str] | None:
    if dataset.scope == "market":
        return None
    if task.symbol:
        return (task.symbol,)
    # Events of a universe are few: they are asked for all symbols, bars are not.
    return universe if task.dataset.startswith("equities_bars") else None
