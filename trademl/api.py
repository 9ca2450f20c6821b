"""The public face: what other people's code may import and rely on."""

import threading
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.catalog import routing
from ingest.control.clock import NodeClock, machine_clock
from ingest.node.context import Node, open_node
from ingest.node.daemon import HEAVY_DAYS
from ingest.node.planning.audit import TABLES, Scope, audit, window_of
from ingest.node.planning.routing_facts import routing_facts
from ingest.node.repair import backfill
from ingest.node.stages.missing_history import missing_history, queue_missing_history
from models_ml.validation.cpcv import CombinatorialPurgedCV
from models_ml.validation.overfitting import PboResult, probability_of_backtest_overfitting
from optimize.inputs.foundation import validate_foundation
from optimize.selection.log_mps import ScoreResult, log_mps
from optimize.solvers.api import hrp, max_sharpe, min_variance, risk_parity
from optimize.solvers.result import SolverResult
from optimize.synthesis.streams import synthesize
from trademl.clock import parse_clock
from trademl.errors import ConfigError
from trademl.lake import versions as lake
from trademl.lake.build import build_lake
from trademl.quant.complexity import hurst, permutation_entropy
from trademl.quant.deflated_sharpe import (
    deflated_sharpe_ratio,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe_ratio,
)
from trademl.quant.metrics import Metrics, performance
from trademl.settings import Settings

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

__all__ = [
    "CombinatorialPurgedCV",
    "Metrics",
    "PboResult",
    "ScoreResult",
    "SolverResult",
    "audit_scan",
    "backfill_run",
    "build_lake",
    "curate_incremental",
    "deflated_sharpe_ratio",
    "expected_max_sharpe",
    "hrp",
    "hurst",
    "log_mps",
    "max_sharpe",
    "min_track_record_length",
    "min_variance",
    "open_version",
    "performance",
    "permutation_entropy",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "risk_parity",
    "route",
    "synthesize",
    "validate_foundation",
]


def route(dataset: str, asof: date, universe: Collection[str]) -> list[routing.Provider]:
    """The vendors to ask now for a dataset's data of a date, best first.

    Asking is today, UTC, by ``TRADEML_CLOCK`` where it is set; ``asof`` is the date of the data.
    Who serves only snapshots of today serves no other date, and a plan that reaches two years back
    reaches two years back from today. Who has filled the partition (GREEN in the newest published
    version), or has spent most of its day (control file), goes further back.

    Args:
        dataset: Logical dataset, e.g. ``equities_bars_1d``.
        asof: The date of the data.
        universe: The symbols wanted; empty where the dataset has none.

    Returns:
        Providers by falling score; empty where nobody serves that date any more, or yet.

    Raises:
        ConfigError: No vendor serves such a dataset, or settings make no sense.
        DataError: The newest version or the control file cannot be read.
    """
    settings = Settings()
    today = _clock(settings).read().wall.date()
    known = routing_facts(settings.data.resolve(), dataset, asof, today)
    return routing.route(dataset, asof, universe, today=today, known=known)


def audit_scan(tables: list[str]) -> None:
    """Queues GAP tasks for the partitions of the last 180 days that are not GREEN.

    What the node's stage requires and no landed file answers for is queued too.

    Args:
        tables: As partition_status names them, e.g. ``curated/equities_ohlcv_adj``; empty for all.

    Raises:
        ConfigError: A table is not audited.
        DataError: Nothing is published yet, or the control file cannot be used.
    """
    node = _node()
    audit(node, Scope(*window_of(node.now(), HEAVY_DAYS), tuple(tables) or tuple(TABLES)))
    queue_missing_history(node, missing_history(node))


def backfill_run(budget: dict[str, int] | None = None) -> None:
    """Works the BOOTSTRAP and GAP tasks of the queue until nothing may run now.

    Args:
        budget: Calls that may be made, by vendor; none leaves it to the vendors' own budgets.

    Raises:
        ConfigError: A node is running, or the budget names no vendor.
        DataError: The control file cannot be used.
    """
    backfill(_node(), budget)


def open_version(data_dir: Path | str, version: str | None = None) -> "Backend":
    """A read-only ibis backend on a published version of the lake.

    It reads the version's own copy of the catalog and files that never change, so it neither waits
    for a build nor holds one up, and answers the same for as long as the version is kept. Writing a
    table, a view or a schema is refused. Call its ``disconnect()`` when done.

    Args:
        data_dir: The data directory, e.g. ``data``.
        version: A version's name as ``trademl versions`` prints it; default: the newest.

    Returns:
        The backend. Tables go by name and schema (``database`` in ibis): ``reference``,
        ``curated``, ``features``, ``labels``, ``quality``, ``matrices``.

    Raises:
        DataError: Nothing is published, no version has that name (the message gives the nearest),
            or its files cannot be read.
        ConfigError: The data directory's path cannot be used.

    Example:
        The five largest days by dollar volume of one symbol, as an Arrow table::

            from trademl.api import open_version

            lake = open_version("data")
            bars = lake.table("equities_ohlcv_adj", database="curated")
            turnover = (bars.close * bars.volume).name("turnover_usd")
            busiest = bars.select("symbol", "session_date", turnover).order_by("turnover_usd")
            print(busiest.tail(5).to_pyarrow())
    """
    # ibis takes a second to import, which the other functions need not wait for.
    import ibis

    folder = Path(data_dir)
    lake.check_data_dir(folder)
    backend: Backend = ibis.duckdb.from_connection(
        lake.open_version(folder, lake.find_version(folder, version))
    )
    backend.raw_sql("set enable_progress_bar = false")  # ibis draws one on any output
    return backend


def curate_incremental() -> None:
    """Builds what landed since the last build, and publishes a version when every test passes.

    The same as ``trademl build``: models remember the files that they have read, so that only what
    changed, and what follows from it, is built.

    Raises:
        GateFailed: A model or a test failed; nothing was published.
        DataError: The data directory cannot be written, or dbt could not start.
        ConfigError: Settings make no sense, or the lake was built as of a later time.
    """
    settings = Settings()
    build_lake(settings.data, _clock(settings).read().wall)


def _node() -> Node:
    settings = Settings()
    wait = threading.Event().wait
    return open_node(settings.data.resolve(), settings, _clock(settings), wait, _no_build)


def _clock(settings: Settings) -> NodeClock:
    """This machine's clock, or one that begins at ``TRADEML_CLOCK``."""
    ahead = (parse_clock(settings.clock) - datetime.now(UTC)) if settings.clock else timedelta(0)
    return machine_clock(lambda: datetime.now(UTC) + ahead)


def _no_build(_data_dir: Path, _clock: datetime) -> str:
    raise ConfigError("audits and backfills build nothing; use `trademl build`")
