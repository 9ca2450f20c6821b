"""The files of a discovery: candidates.json and candidates_validated.json of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.discovery.candidates import Candidate
from trademl.candidate_file import CANDIDATES, VALIDATED, write_candidate_file

_CANONICAL = frozenset({"sector", "industry", "crypto_total_rank", "24h_vol|5"})
_READY = {
    "description": "description",
    "adx": "ADX",
    "atr": "ATR",
    "volatility_d": "Volatility.D",
    "volume_change_pct": "volume_change",
    "roc": "ROC",
    "recommend_all": "Recommend.All",
    "recommend_ma": "Recommend.MA",
    "recommend_other": "Recommend.Other",
    "Perf.W": "Perf.W",
    "Perf.1M": "Perf.1M",
    "Perf.3M": "Perf.3M",
    "Perf.6M": "Perf.6M",
}
"""Fields of a selection-ready record by the vendor's column."""


def write_candidates(folder: Path, candidates: Sequence[Candidate], meta: dict[str, Any]) -> Path:
    """Writes the consolidated candidates; a validated list of earlier ones goes away before."""
    (folder / VALIDATED).unlink(missing_ok=True)
    records = [canonical(item) for item in candidates]
    return write_candidate_file(folder / CANDIDATES, records, meta)


def write_validated(
    folder: Path, candidates: Sequence[Candidate], meta: dict[str, Any], benchmarks: frozenset[str]
) -> Path:
    """Writes the list that selection reads, best traded first."""
    records = [ready(item, benchmarks) for item in candidates]
    return write_candidate_file(folder / VALIDATED, records, meta)


def canonical(candidate: Candidate) -> dict[str, Any]:
    """The record of candidates.json; what has no field of its own is under ``metadata``."""
    values = candidate.values
    return {
        "symbol": candidate.symbol,
        "exchange": candidate.exchange,
        "asset_type": candidate.asset_type,
        "identity": candidate.identity,
        "direction": candidate.direction,
        "logic": candidate.logic,
        "market_cap_rank": values.get("crypto_total_rank"),
        "volume_24h": values.get("24h_vol|5"),
        "sector": values.get("sector"),
        "industry": values.get("industry"),
        "metadata": {
            "scanners": list(candidate.scanners),
            "market": candidate.market,
            "quote_currency": candidate.quote,
            **{name: value for name, value in values.items() if name not in _CANONICAL},
        },
    }


def ready(candidate: Candidate, benchmarks: frozenset[str]) -> dict[str, Any]:
    """The selection-ready record of candidates_validated.json."""
    return {
        **canonical(candidate),
        "atom_id": f"{candidate.ticker}_{candidate.logic}_{candidate.direction}",
        "physical_symbol": candidate.ticker,
        "market": candidate.market,
        "asset_class": candidate.asset_class,
        "close": candidate.close,
        "value_traded": candidate.value_traded,
        **{name: candidate.values.get(column) for name, column in _READY.items()},
        "tick_size": candidate.instrument.tick_size,
        "lot_size": candidate.instrument.lot_size,
        "price_precision": candidate.instrument.price_precision,
        "instrument_source": candidate.instrument.source,
        "is_benchmark": candidate.identity in benchmarks,
        "implementation_alternatives": [_alternative(item) for item in candidate.alternatives],
    }


def _alternative(candidate: Candidate) -> dict[str, Any]:
    return {
        "symbol": candidate.symbol,
        "exchange": candidate.exchange,
        "asset_type": candidate.asset_type,
        "value_traded": candidate.value_traded,
        "tick_size": candidate.instrument.tick_size,
        "lot_size": candidate.instrument.lot_size,
        "price_precision": candidate.instrument.price_precision,
    }
