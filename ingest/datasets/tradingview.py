"""TradingView's datasets."""

from ingest.datasets.common import Datasets
from ingest.scans import RATINGS, land_ratings

DATASETS: Datasets = {("tradingview", RATINGS): land_ratings}
