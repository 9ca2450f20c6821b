"""Statements in FMP's shape from the figures that a market received with filings."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.replay.book import NEW_YORK
from simulator.replay.market_files import market_rows

_FIGURES: Mapping[str, Mapping[str, str]] = {
    "income": {
        "revenue": "revenues",
        "operatingIncome": "op_income",
        "netIncome": "net_income",
        "eps": "eps_basic",
        "epsDiluted": "eps_diluted",
    },
    "balance": {
        "cashAndCashEquivalents": "cash",
        "totalCurrentAssets": "cur_assets",
        "totalAssets": "assets",
        "totalCurrentLiabilities": "cur_liab",
        "totalStockholdersEquity": "equity",
    },
    "cash_flow": {
        "netIncome": "net_income",
        "netCashProvidedByOperatingActivities": "cash_flow_op",
        "netCashProvidedByInvestingActivities": "cash_flow_inv",
        "netCashProvidedByFinancingActivities": "cash_flow_fin",
    },
}


def received(market: Path, clock: datetime) -> dict[str, list[dict[str, Any]]]:
    """Figures by symbol, newest period first; a later filing overwrites an earlier one in place."""
    rows = [
        row
        for row in market_rows(market, "fundamentals_as_received")
        if row["received_at"] <= clock
    ]
    rows.sort(key=lambda row: row["received_at"])
    last = {(row["symbol"], row["end_date"], row["period_focus"]): row for row in rows}
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for key in sorted(last, key=lambda key: (key[0], key[1]), reverse=True):
        by_symbol.setdefault(key[0], []).append(last[key])
    return by_symbol


def statements(
    known: Mapping[str, Sequence[Mapping[str, Any]]], kind: str, symbol: str, period: str
) -> list[dict[str, Any]]:
    """The statements of a symbol; any period but "quarter" means annual ones, as at the vendor."""
    is_quarterly = period == "quarter"
    return [
        _statement(row, kind)
        for row in known.get(symbol, [])
        if (row["period_focus"] != "FY") == is_quarterly
    ]


def _statement(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    accepted = row["received_at"].astimezone(NEW_YORK)
    return {
        "date": str(row["end_date"]),
        "symbol": row["symbol"],
        "reportedCurrency": "USD",
        "cik": None,
        "filingDate": str(accepted.date()),
        "acceptedDate": f"{accepted:%Y-%m-%d %H:%M:%S}",
        "fiscalYear": str(row["fiscal_year"]),
        "period": row["period_focus"],
        # The vendor writes zero for what a filing does not say.
        **{name: row[column] or 0 for name, column in _FIGURES[kind].items()},
    }
