"""The public face: what other people's code may import and rely on."""

import threading
from datetime import UTC, datetime
from pathlib import Path

from ingest.audit import TABLES, Scope, audit, window_of
from ingest.node import HEAVY_DAYS
from ingest.node_clock import machine_clock
from ingest.node_context import Node, open_node
from ingest.repair import backfill
from ingest.routing import route
from ingest.unlanded import of_stage, queue_unlanded
from models_ml.cpcv import CombinatorialPurgedCV
from models_ml.overfitting import (
    PboResult,
    deflated_sharpe_ratio,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
)
from optimize.foundation import validate_foundation
from optimize.log_mps import ScoreResult, log_mps
from optimize.results import SolverResult
from optimize.solvers import hrp, max_sharpe, min_variance, risk_parity
from optimize.synthesis import synthesize
from trademl.clock import parse_clock
from trademl.errors import ConfigError
from trademl.quant.complexity import hurst, permutation_entropy
from trademl.quant.metrics import Metrics, performance
from trademl.settings import Settings

__all__ = [
    "CombinatorialPurgedCV",
    "Metrics",
    "PboResult",
    "ScoreResult",
    "SolverResult",
    "audit_scan",
    "backfill_run",
    "deflated_sharpe_ratio",
    "expected_max_sharpe",
    "hrp",
    "hurst",
    "log_mps",
    "max_sharpe",
    "min_track_record_length",
    "min_variance",
    "performance",
    "permutation_entropy",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "risk_parity",
    "route",
    "synthesize",
    "validate_foundation",
]


def audit_scan(tables: list[str]) -> None:
    """Queues GAP tasks for the partitions of the last 180 days that are not GREEN (S4 7).

    What the node's stage requires and no landed file answers for is queued too.

    Args:
        tables: As partition_status names them, e.g. ``curated/equities_ohlcv_adj``; empty for all.

    Raises:
        ConfigError: A table is not audited.
        DataError: Nothing is published yet, or the control file cannot be used.
    """
    node = _node()
    audit(node, Scope(*window_of(node.now(), HEAVY_DAYS), tuple(tables) or tuple(TABLES)))
    queue_unlanded(node, of_stage(node))


def backfill_run(budget: dict[str, int] | None = None) -> None:
    """Works the BOOTSTRAP and GAP tasks of the queue until nothing may run now (S4 7).

    Args:
        budget: Calls that may be made, by vendor; none leaves it to the vendors' own budgets.

    Raises:
        ConfigError: A node is running, or the budget names no vendor.
        DataError: The control file cannot be used.
    """
    backfill(_node(), budget)


def _node() -> Node:
    settings = Settings()
    ahead = (parse_clock(settings.clock) - datetime.now(UTC)) if settings.clock else None
    return open_node(
        settings.data.resolve(),
        settings,
        machine_clock(lambda: datetime.now(UTC) + ahead if ahead else datetime.now(UTC)),
        threading.Event().wait,
        _no_build,
    )


def _no_build(_data_dir: Path, _clock: datetime) -> str:
    raise ConfigError("audits and backfills build nothing; use `trademl build`")
