"""Health checks of the audit beside gaps: toxic bars, stale datasets, drifting endpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb

from ingest.control.database import Control
from ingest.control.pipeline_runs import finish_run, pipeline_runs, start_run
from ingest.node.context import Node
from ingest.node.planning.forward import ages
from ingest.vendors.registry import ENDPOINTS
from trademl.errors import SchemaDrift, TradeMLError
from trademl.lake import versions as lake

HEALTH = "audit_health"
_SHOWN = 5
_TOXIC = """
    select symbol || ' ' || session_date from quality.quarantine_bars
    where reason = 'TOXIC_RETURN' and verdict = 'rejected' order by all
"""
_REFUSED = """
    select distinct dataset from backfill_queue
    inner join task_errors on backfill_queue.id = task_errors.task_id
    where status in ('PENDING', 'FAILED') and last_error is not null and code = ? order by 1
"""
_FIELDS = """
    select distinct unnest(json_keys(extra)) from read_parquet($files, hive_partitioning = false)
    where extra is not null
"""


@dataclass(frozen=True, slots=True)
class Health:
    """What an audit found beside the gaps.

    Attributes:
        toxic: Bars of the newest version that were rejected for their return, by symbol and day.
        new_toxic: Of these, the ones that no earlier audit has told.
        stale: Datasets whose newest session is behind the last expected one.
        drifting: Endpoints whose newest landing has fields that the day of landing before it had
            not, and datasets whose payloads are refused as a drift of their schema.
    """

    toxic: tuple[str, ...]
    new_toxic: tuple[str, ...]
    stale: tuple[str, ...]
    drifting: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """Each count, with the first of its names."""
        new = f", {len(self.new_toxic)} new{_named(self.new_toxic)}" if self.toxic else ""
        return (
            f"toxic: {len(self.toxic)} bars rejected for their return{new}",
            f"stale: {len(self.stale)} datasets{_named(self.stale)}",
            f"drifting: {len(self.drifting)} endpoints{_named(self.drifting)}",
        )

    def require_no_new_toxic(self) -> None:
        """Refuses toxic bars that nobody was told of.

        Raises:
            TradeMLError: Naming them.
        """
        if self.new_toxic:
            raise TradeMLError(
                f"{len(self.new_toxic)} new toxic bars{_named(self.new_toxic)}; they are in no "
                "curated table, look at quality.quarantine_bars (the next audit counts them as "
                "known)"
            )


def check_health(node: Node) -> Health:
    """Reads the newest version, the landed files and the queue; what is told is recorded.

    Raises:
        DataError: Nothing is published yet.
    """
    version = lake.find_version(node.data_dir)
    with lake.open_version(node.data_dir, version) as connection:
        toxic = tuple(key for (key,) in connection.execute(_TOXIC).fetchall())
    stale = tuple(name for name, freshness in ages(node).items() if not freshness.is_fresh)
    with node.control() as control:
        known = _known_toxic(control)
        drifting = (*_drifting(node.data_dir), *_refused(control))
        run_id = start_run(control, HEALTH, {"version": version.name})
        metrics = {"toxic": list(toxic), "stale": list(stale), "drifting": list(drifting)}
        finish_run(control, run_id, "SUCCEEDED", metrics)
    return Health(toxic, tuple(key for key in toxic if key not in known), stale, drifting)


def _known_toxic(control: Control) -> frozenset[str]:
    runs = pipeline_runs(control, HEALTH, most=1)
    metrics: Mapping[str, Sequence[str]] = (runs[0].metrics or {}) if runs else {}
    return frozenset(metrics.get("toxic", ()))


def _refused(control: Control) -> list[str]:
    with control.transaction() as tx:
        return [dataset for (dataset,) in tx.con.execute(_REFUSED, (SchemaDrift.code,)).fetchall()]


def _drifting(data_dir: Path) -> list[str]:
    return [path for path in sorted(ENDPOINTS) if _has_new_fields(data_dir / "raw" / path)]


def _has_new_fields(folder: Path) -> bool:
    files = sorted(folder.glob("ingest_date=*/*.parquet"))
    days = [[str(path) for path in of_day] for _, of_day in groupby(files, lambda p: p.parent)]
    if len(days) < 2:
        return False
    with duckdb.connect() as connection:
        newest, before = (
            set(connection.execute(_FIELDS, {"files": day}).fetchall()) for day in days[:-3:-1]
        )
    return bool(newest - before)


def _named(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return f": {', '.join(names[:_SHOWN])}{more}" if names else ""
