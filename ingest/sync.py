"""``trademl ingest run``: lands what is missing of one dataset of one vendor, and nothing else."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ingest.landing.job import IngestReport, Job
from ingest.transport.client import ClientFactory, VendorClient
from ingest.vendors.dataset import Dataset
from ingest.vendors.registry import DATASETS
from trademl.errors import ConfigError, DataError, unknown_name
from trademl.files import sha256_of_bytes, write_atomic
from trademl.settings import Settings
from trademl.symbology import from_vendor

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2099, 12, 31)
"""No vendor has anything beyond; a day outside is a slip of the pen."""


def run_ingest(
    vendor: str,
    dataset: str,
    *,
    data_dir: Path,
    clock: datetime,
    settings: Settings,
    start: date | None = None,
    end: date | None = None,
    symbols: Sequence[str] | None = None,
    base_url: str | None = None,
    make_client: ClientFactory = VendorClient,
    refetch: bool = False,
) -> IngestReport:
    """Lands what is missing. Where nothing is, no call is made and no file appears.

    Args:
        vendor: Who is asked, see ``DATASETS``.
        dataset: One of the vendor's datasets, see ``DATASETS``.
        data_dir: The data directory.
        clock: The run's time, aware.
        settings: Hosts and keys.
        start: First day wanted.
        end: Last day wanted, inclusive.
        symbols: Symbols wanted; none takes all that the newest landed listing names.
        base_url: Replaces every host of the vendor.
        make_client: Opens a client.
        refetch: Asks for bars that are landed once more, unless that was within twelve hours.

    Raises:
        ConfigError: No such vendor or dataset, keys are not set, or the window is empty.
        DataError: A payload or a landed file cannot be trusted, or a named symbol is not known.
        VendorError: The vendor refused or failed.
    """
    declared = find_dataset(vendor, dataset)
    for day in (start, end):
        if day and not FIRST_DAY <= day <= LAST_DAY:
            raise ConfigError(f"{day} is not a day to ask for: give {FIRST_DAY} to {LAST_DAY}")
    if start and end and start > end:
        raise ConfigError(f"start {start} is after end {end}")
    named = None
    if symbols is not None:
        named = tuple(
            dict.fromkeys(from_vendor(symbol, declared.endpoint.class_mark) for symbol in symbols)
        )
    keep = partial(_keep_body, data_dir, vendor) if settings.keep_bodies else None
    clients = _Clients(partial(make_client, on_body=keep))
    job = Job(data_dir, clock, settings, start, end, named, base_url, clients, refetch)
    return replace(declared.land(job), calls=clients.calls)


def _keep_body(data_dir: Path, vendor: str, body: bytes) -> Path:
    """Writes a body once, under the hash that its rows carry as ``payload_sha256``.

    Args:
        data_dir: The data directory.
        vendor: Whose body it is.
        body: As received, after decompression.

    Returns:
        ``bodies/<vendor>/<payload_sha256>.gz``.

    Raises:
        DataError: It cannot be written.
    """
    path = data_dir / "bodies" / vendor / f"{sha256_of_bytes(body)}.gz"
    if path.exists():
        return path
    try:
        write_atomic(path, gzip.compress(body, mtime=0))
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}; make room, make it writable, or unset "
            "KEEP_BODIES"
        ) from error
    return path


class _Clients:
    """Opens clients and adds up their calls."""

    def __init__(self, make_client: ClientFactory) -> None:
        self._make_client = make_client
        self._opened: list[VendorClient] = []

    def __call__(self, *args: str, **options: Any) -> VendorClient:
        self._opened.append(self._make_client(*args, **options))
        return self._opened[-1]

    @property
    def calls(self) -> int:
        return sum(client.calls for client in self._opened)


def find_dataset(vendor: str, dataset: str) -> Dataset:
    """The declaration of a vendor's dataset.

    Raises:
        ConfigError: No such vendor, or the vendor has no such dataset.
    """
    if vendor not in (vendors := {known for known, _ in DATASETS}):
        raise ConfigError(unknown_name(vendor, "a vendor", vendors))
    if (vendor, dataset) not in DATASETS:
        known = [name for of, name in DATASETS if of == vendor]
        raise ConfigError(unknown_name(dataset, f"a dataset of {vendor}", known))
    return DATASETS[vendor, dataset]
