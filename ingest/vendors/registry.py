"""Registry of vendors: every folder of this package that declares one in ``datasets``."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import ingest.vendors
from ingest.payloads.endpoint import Endpoint
from ingest.vendors.dataset import Dataset, Vendor


def _declared() -> Iterator[Vendor]:
    for folder in iter_modules(ingest.vendors.__path__):
        if folder.ispkg:
            yield import_module(f"ingest.vendors.{folder.name}.datasets").VENDOR


VENDORS: dict[str, Vendor] = {vendor.name: vendor for vendor in _declared()}
"""The vendors by name."""

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint for vendor in VENDORS.values() for endpoint in vendor.endpoints
}
"""Every endpoint that can be landed, by ``vendor/name``."""

DATASETS: dict[tuple[str, str], Dataset] = {
    (vendor.name, dataset.name): dataset
    for vendor in VENDORS.values()
    for dataset in vendor.datasets
}
"""What can be ingested, by vendor and name on the command line."""

FILLING: dict[tuple[str, str], Dataset] = {
    (vendor.name, logical): dataset
    for vendor in VENDORS.values()
    for dataset in vendor.datasets
    for logical in dataset.fills
}
"""What fills a dataset of the registry of capabilities, by vendor and that dataset."""


def of_logical(logical: str) -> tuple[Dataset, ...]:
    """The vendors' declarations that fill a dataset of the registry of capabilities."""
    return tuple(dataset for (_, name), dataset in FILLING.items() if name == logical)
