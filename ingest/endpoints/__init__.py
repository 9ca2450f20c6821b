"""The typed columns of every landed endpoint, one module per vendor."""

from ingest.endpoints import (
    alpaca,
    alphavantage,
    binance,
    exchange_calendars,
    file,
    finnhub,
    fmp,
    fred,
    massive,
    node,
    sec_edgar,
    tradingview,
)
from ingest.payloads.endpoint import ENVELOPE, UTC_TIME, Endpoint

__all__ = ["ENDPOINTS", "ENVELOPE", "UTC_TIME", "Endpoint"]

_VENDORS = (
    alpaca,
    alphavantage,
    binance,
    exchange_calendars,
    file,
    fmp,
    fred,
    sec_edgar,
    finnhub,
    massive,
    node,
    tradingview,
)

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint for vendor in _VENDORS for endpoint in vendor.ALL
}
"""Every endpoint that can be landed, by ``vendor/name``."""
