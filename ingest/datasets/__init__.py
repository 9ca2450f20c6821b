"""What can be ingested, one module per vendor."""

from ingest.datasets import (
    alpaca,
    alphavantage,
    binance,
    exchange_calendars,
    file,
    finnhub,
    fmp,
    fred,
    massive,
    sec_edgar,
    tradingview,
)
from ingest.datasets.common import Datasets

__all__ = ["DATASETS"]

DATASETS: Datasets = {
    **alpaca.DATASETS,
    **alphavantage.DATASETS,
    **binance.DATASETS,
    **exchange_calendars.DATASETS,
    **file.DATASETS,
    **fmp.DATASETS,
    **fred.DATASETS,
    **sec_edgar.DATASETS,
    **finnhub.DATASETS,
    **massive.DATASETS,
    **tradingview.DATASETS,
}
"""What can be ingested, by vendor and dataset."""
