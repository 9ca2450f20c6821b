"""TradingView's datasets."""

from ingest.vendors.dataset import Datasets
from ingest.vendors.tradingview.scans import RATINGS, land_ratings

DATASETS: Datasets = {("tradingview", RATINGS): land_ratings}
