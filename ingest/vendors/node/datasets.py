"""The data node as a vendor: it fetches nothing and only lands its own findings."""

from ingest.vendors.dataset import Vendor
from ingest.vendors.node import schema

VENDOR = Vendor(name="node", endpoints=schema.ALL)
