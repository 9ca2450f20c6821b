"""Every endpoint that can be landed and every dataset that can be ingested, of all vendors."""

from ingest.payloads.endpoint import Endpoint
from ingest.vendors.alpaca import datasets as alpaca
from ingest.vendors.alpaca import schema as alpaca_schema
from ingest.vendors.alphavantage import datasets as alphavantage
from ingest.vendors.alphavantage import schema as alphavantage_schema
from ingest.vendors.binance import datasets as binance
from ingest.vendors.binance import schema as binance_schema
from ingest.vendors.dataset import Datasets
from ingest.vendors.exchange_calendars import datasets as exchange_calendars
from ingest.vendors.exchange_calendars import schema as exchange_calendars_schema
from ingest.vendors.finnhub import datasets as finnhub
from ingest.vendors.finnhub import schema as finnhub_schema
from ingest.vendors.fmp import datasets as fmp
from ingest.vendors.fmp import schema as fmp_schema
from ingest.vendors.fred import datasets as fred
from ingest.vendors.fred import schema as fred_schema
from ingest.vendors.massive import datasets as massive
from ingest.vendors.massive import schema as massive_schema
from ingest.vendors.node import schema as node_schema
from ingest.vendors.reference_files import datasets as reference_files
from ingest.vendors.reference_files import schema as reference_files_schema
from ingest.vendors.sec_edgar import datasets as sec_edgar
from ingest.vendors.sec_edgar import schema as sec_edgar_schema
from ingest.vendors.tradingview import datasets as tradingview
from ingest.vendors.tradingview import schema as tradingview_schema

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint
    for schema in (
        alpaca_schema,
        alphavantage_schema,
        binance_schema,
        exchange_calendars_schema,
        reference_files_schema,
        fmp_schema,
        fred_schema,
        sec_edgar_schema,
        finnhub_schema,
        massive_schema,
        node_schema,
        tradingview_schema,
    )
    for endpoint in schema.ALL
}
"""Every endpoint that can be landed, by ``vendor/name``."""

DATASETS: Datasets = {
    **alpaca.DATASETS,
    **alphavantage.DATASETS,
    **binance.DATASETS,
    **exchange_calendars.DATASETS,
    **reference_files.DATASETS,
    **fmp.DATASETS,
    **fred.DATASETS,
    **sec_edgar.DATASETS,
    **finnhub.DATASETS,
    **massive.DATASETS,
    **tradingview.DATASETS,
}
"""What can be ingested, by vendor and dataset."""
