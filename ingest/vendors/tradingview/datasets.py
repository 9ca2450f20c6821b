"""TradingView's datasets."""

from ingest.vendors.dataset import Dataset, Vendor
from ingest.vendors.tradingview import schema
from ingest.vendors.tradingview.scans import RATINGS, land_ratings

VENDOR = Vendor(
    name="tradingview",
    endpoints=schema.ALL,
    # Only a check, asked by hand.
    datasets=(Dataset(name=RATINGS, endpoint=schema.SCAN, land=land_ratings),),
)
