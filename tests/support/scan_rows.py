"""Rows as a scan gives them, and scanners that ask for them."""

from dataclasses import replace
from typing import Any

from ingest.discovery.candidates import Candidate, candidate_of
from ingest.discovery.scanner_config import Scanner
from ingest.vendors.tradingview.client import Scan

LONG = Scanner(
    name="test_long",
    layers=("test_long.yml",),
    question=Scan("crypto", ("close",), (), "close"),
    quote_currencies=frozenset({"USD", "USDT", "USDC"}),
    exclude_symbols=frozenset(),
    intent="LONG",
    logic="momentum",
)
SHORT = replace(LONG, name="test_short", intent="SHORT")


def pair(**changes: Any) -> dict[str, Any]:
    return {
        "type": "spot",
        "currency": "USDT",
        "base_currency": "BTC",
        "close": 100.5,
        "Value.Traded": 1e6,
        **changes,
    }


def stock(**changes: Any) -> dict[str, Any]:
    return {
        "type": "stock",
        "currency": "USD",
        "close": 41.27,
        "Value.Traded": 2e6,
        "sector": "Energy",
        **changes,
    }


def candidate(
    symbol: str = "BINANCE:BTCUSDT", scanner: Scanner = LONG, **changes: Any
) -> Candidate:
    """A well-formed candidate; a US exchange makes it a stock."""
    values = pair(**changes) if symbol.startswith(("BINANCE", "OKX")) else stock(**changes)
    made = candidate_of(symbol, values, scanner)
    assert isinstance(made, Candidate), made
    return made
