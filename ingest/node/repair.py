"""Repair on demand: the queue's backfills, and the gaps of one run's candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ingest.catalog.capabilities import canonical_vendor
from ingest.control.tasks import Kind, Work
from ingest.node.context import Node
from ingest.node.execution.call_meter import Allowance
from ingest.node.execution.executor import WorkOptions, WorkSummary, work_all
from ingest.node.instances import alone
from ingest.node.planning.audit import TABLES, Scope, TableAudit, audit
from ingest.node.stages.missing_history import (
    MissingHistory,
    missing_history_of,
    queue_missing_history,
)
from trademl.candidate_file import CANDIDATES, LAKE_ASSET_TYPES, VALIDATED, listed_symbols
from trademl.errors import ConfigError, DataError
from trademl.runs.workspace import export_folder

MOST_FILLS = 15
DEPTH_DAYS = 725
"""Calendar days of 500 sessions."""
NAMED = 10
"""Candidates that a message names at most."""
_GAPS: tuple[Kind, ...] = ("GAP",)
_BAR_DATASETS = {"crypto_bars_1d": "crypto", "equities_bars_1d": "equity"}
_BAR_TABLES = tuple(name for name, audited in TABLES.items() if audited.asset_class)


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Attributes:
        symbols: The candidates.
        tables: What the audit of their bars found.
        summary: What came of the tasks.
        unlanded: What of their bars is still not landed, by dataset.
    """

    symbols: tuple[str, ...]
    tables: tuple[TableAudit, ...]
    summary: WorkSummary
    unlanded: tuple[MissingHistory, ...] = ()

    def require_whole(self) -> None:
        """Refuses to call candidates repaired of which bars were never landed.

        Raises:
            DataError: Some of them lack bars.
        """
        windows = [work for history in self.unlanded for work in history.windows]
        if windows:
            names = sorted({work.symbol or "" for work in windows})
            named = ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)
            raise DataError(
                f"bars of {len(names)} candidates are not landed: {named}; repair again or with a "
                "greater --max-fills, the queue's `last_error` says what failed"
            )


def backfill(node: Node, budget: Mapping[str, int] | int | None = None) -> WorkSummary:
    """Works what is queued of BOOTSTRAP and GAP until nothing may run now.

    Args:
        node: The node.
        budget: Calls that may be made at each vendor, or at single ones by name.

    Raises:
        ConfigError: A node is running, this environment fetches no history, or a budget is not a
            whole number from 0 or names no vendor.
    """
    node.require_backfill()
    calls = _calls(node.registry.vendors, budget)
    with alone(node):
        return work_all(node, WorkOptions(("BOOTSTRAP", "GAP"), allowance=Allowance(calls)))


def _calls(vendors: Sequence[str], budget: Mapping[str, int] | int | None) -> dict[str, int]:
    """Calls by vendor, which may go by any of its names."""
    if budget is not None and not isinstance(budget, Mapping):
        budget = dict.fromkeys(vendors, budget)
    calls: dict[str, int] = {}
    for name, most in (budget or {}).items():
        vendor = canonical_vendor(str(name))
        if vendor not in vendors or type(most) is not int or most < 0:
            raise ConfigError(
                f"budget {name}: {most!r}; give 0 or more calls of: {', '.join(vendors)}"
            )
        calls[vendor] = min(most, calls.get(vendor, most))
    return calls


def repair(node: Node, run_id: str, most_fills: int = MOST_FILLS) -> Repair:
    """Fills the gaps in the bars of a run's candidates, and of nobody else.

    A gap is what the lake says is not GREEN, and what of the last 500 sessions was never landed.

    Args:
        node: The node.
        run_id: The run whose candidates are in ``export/RUN_ID``.
        most_fills: GAP tasks that are queued at most.

    Raises:
        DataError: The run has no candidates, or nothing is published.
        ConfigError: A node is running, or this environment fetches no history.
    """
    node.require_backfill()
    bars = candidates_of(node, run_id)
    end = node.now().date()
    scope = Scope(end - timedelta(days=DEPTH_DAYS), end, _BAR_TABLES, tuple(bars), most_fills)
    wanted = [Work(dataset, scope.start, end, "GAP", name) for name, dataset in bars.items()]
    with alone(node):
        tables = audit(node, scope)
        gaps = sum(table.gaps for table in tables)
        gaps += queue_missing_history(
            node, missing_history_of(node, wanted, end), most_fills - gaps
        )
        summary = work_all(node, WorkOptions(kinds=_GAPS)) if gaps else WorkSummary()
    return Repair(tuple(bars), tables, summary, missing_history_of(node, wanted, end))


def candidates_of(node: Node, run_id: str) -> Mapping[str, str]:
    """The symbols of a run's candidates in order, and of each the dataset of its bars.

    All that were found count: the validated list lacks just those that the lake does not hold yet.
    It serves where it was put there alone.

    Raises:
        DataError: There is no such file, or it is not a list of candidates.
    """
    folder = export_folder(node.data_dir, run_id)
    path = next(
        (folder / name for name in (CANDIDATES, VALIDATED) if (folder / name).exists()), None
    )
    if path is None:
        raise DataError(f"{folder} has no candidates: run `trademl discover --run-id {run_id}`")
    datasets = {
        symbol: dataset
        for dataset, asset_class in _BAR_DATASETS.items()
        for symbol in listed_symbols(path, LAKE_ASSET_TYPES[asset_class])
    }
    return dict(sorted(datasets.items()))
