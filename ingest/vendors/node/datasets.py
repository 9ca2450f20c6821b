"""The node asks itself for nothing: it only lands what it finds out."""

from ingest.vendors.dataset import Vendor
from ingest.vendors.node import schema

VENDOR = Vendor(name="node", endpoints=schema.ALL)
