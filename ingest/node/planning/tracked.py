"""The datasets that the node keeps up to date, from the vendors' declarations."""

from dataclasses import dataclass

from ingest.payloads.endpoint import Endpoint
from ingest.vendors.dataset import Tracking
from ingest.vendors.registry import VENDORS, of_logical


@dataclass(frozen=True, slots=True)
class TrackedDataset:
    """A dataset that is kept up to date.

    Attributes:
        dataset: Its name in the registry of capabilities.
        endpoints: Where its vendors land it, first the one whose publication governs.
        tracking: How it is kept up to date.
    """

    dataset: str
    endpoints: tuple[Endpoint, ...]
    tracking: Tracking


def _tracked() -> list[TrackedDataset]:
    datasets = []
    for vendor in VENDORS.values():
        for declared in vendor.datasets:
            if declared.tracking is not None:
                logical = declared.fills[0]
                others = (
                    alternative.endpoint
                    for alternative in of_logical(logical)
                    if alternative.is_stand_in
                )
                endpoints = (declared.endpoint, *others)
                datasets.append(TrackedDataset(logical, endpoints, declared.tracking))
    return sorted(datasets, key=lambda tracked: tracked.tracking.turn)


TRACKED = tuple(_tracked())
"""What is kept up to date, in the order in which it is asked: listings before what they name."""

LISTINGS = {
    tracked.dataset: tracked.endpoints[0]
    for tracked in TRACKED
    if any(tracked.endpoints[0] is other.tracking.needs for other in TRACKED)
}
"""The datasets that name the symbols of others, and where they land."""
