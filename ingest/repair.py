"""Work on demand: the queue's backfills, and the gaps of one run's candidates (S4 2.4, S1 3.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from ingest.audit import TABLES, Scope, TableAudit, audit
from ingest.discovery.export import CANDIDATES, VALIDATED, export_folder
from ingest.executors import Order, Tally, work_all
from ingest.meter import Allowance
from ingest.node_context import Node
from ingest.node_slots import alone
from ingest.tasks import Kind, Work
from ingest.unlanded import Unlanded, of_node, queue_unlanded
from trademl.errors import ConfigError, DataError

MOST_FILLS = 15
DEPTH_DAYS = 725
"""Calendar days of 500 sessions."""
NAMED = 10
"""Candidates that a message names at most."""
_GAPS: tuple[Kind, ...] = ("GAP",)
_BAR_TABLES = tuple(name for name, audited in TABLES.items() if audited.asset_class)


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Attributes:
        symbols: The candidates.
        tables: What the audit of their bars found.
        tally: What came of the tasks.
        unlanded: What of their bars is still not landed, by dataset.
    """

    symbols: tuple[str, ...]
    tables: tuple[TableAudit, ...]
    tally: Tally
    unlanded: tuple[Unlanded, ...] = ()

    def require_whole(self) -> None:
        """Refuses to call candidates repaired of which bars were never landed.

        Raises:
            DataError: Some of them lack bars.
        """
        windows = [work for one in self.unlanded for work in one.windows]
        if windows:
            names = sorted({work.symbol or "" for work in windows})
            named = ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)
            raise DataError(
                f"bars of {len(names)} candidates are not landed: {named}; repair again or with a "
                "greater --max-fills, the queue's `last_error` says what failed"
            )


def backfill(node: Node, budget: Mapping[str, int] | int | None = None) -> Tally:
    """Works what is queued of BOOTSTRAP and GAP until nothing may run now.

    Args:
        node: The node.
        budget: Calls that may be made at each vendor, or at single ones by name.

    Raises:
        ConfigError: A node is running, this environment fetches no history, or a budget is no whole
            number from 0 or names no vendor.
    """
    node.require_backfill()
    vendors = node.registry.vendors
    calls = dict.fromkeys(vendors, budget) if isinstance(budget, int) else dict(budget or {})
    for vendor, most in calls.items():
        if vendor not in vendors or most < 0:
            raise ConfigError(
                f"budget {vendor}: {most}; give 0 or more calls of: {', '.join(vendors)}"
            )
    with alone(node):
        return work_all(node, Order(("BOOTSTRAP", "GAP"), allowance=Allowance(calls)))


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
        gaps = sum(one.gaps for one in tables)
        gaps += queue_unlanded(node, of_node(node, wanted, end), most_fills - gaps)
        tally = work_all(node, Order(kinds=_GAPS)) if gaps else Tally()
    return Repair(tuple(bars), tables, tally, of_node(node, wanted, end))


def candidates_of(node: Node, run_id: str) -> Mapping[str, str]:
    """The symbols of a run's candidates in order, and of each the dataset of its bars.

    The validated candidates count where there are such.

    Raises:
        DataError: There is no such file, or it is not a list of candidates.
    """
    folder = export_folder(node.data_dir, run_id)
    path = next(
        (folder / name for name in (VALIDATED, CANDIDATES) if (folder / name).exists()), None
    )
    if path is None:
        raise DataError(f"{folder} has no candidates: run `trademl discover --run-id {run_id}`")
    try:
        rows: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())["data"]
        return dict(sorted((_plain(row), _dataset(row)) for row in rows))
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of candidates: {error}; discover again") from error


def _plain(row: Mapping[str, Any]) -> str:
    """``BTCUSDT`` of ``BINANCE:BTCUSDT``: the lake's symbols are plain."""
    return str(row.get("physical_symbol") or row["symbol"]).rpartition(":")[2]


def _dataset(row: Mapping[str, Any]) -> str:
    market = row.get("asset_class") or row.get("metadata", {}).get("market")
    is_coin = market == "crypto" or str(row["symbol"]).startswith("BINANCE:")
    return "crypto_bars_1d" if is_coin else "equities_bars_1d"
