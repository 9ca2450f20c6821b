"""QC_PROBE: a weekly comparison of the lake's bars with those of a second vendor.

A verdict is landed as any payload is, append-only, and the next build shows it: a partition that
two vendors disagree about is AMBER in ``quality.partition_status`` until its bar is corrected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import msgspec
import structlog

from ingest.control.pipeline_runs import finish_run, start_run
from ingest.control.tasks import Lease, Task, Work
from ingest.landing import bookmarks
from ingest.landing.writer import Fetch, land
from ingest.node.context import Node
from ingest.payloads.decode import Page, table_of
from ingest.transport.client import request_hash
from ingest.vendors.node.schema import QC_PROBE
from ingest.vendors.registry import FILLING
from trademl.files import sha256_of_bytes
from trademl.lake import versions as lake
from trademl.lake.sql import symbol_as_of
from trademl.symbology import to_vendor

SAMPLE, RESULT = "qc_probe_sample", "qc_probe"
SAMPLE_SIZE = 10
USED_VENDOR = "alpaca"
"""The vendor of the lake's daily bars, which the others are laid beside."""
WINDOW_DAYS = 30
MOST_RELATIVE_DIFFERENCE = 0.002
"""Open, high, low and close of two vendors agree so far (docs/specification/node.md#probes)."""

VOLUME_RATIOS = (0.5, 2.0)
"""Volumes of two vendors differ with late prints and odd lots, but not by as much."""

# Weighted, without replacement (Efraimidis and Spirakis 2006): near an event or a doubt, and much
# traded, a wrong bar does the most harm, but every bar has its turn. The draw is the date's own, so
# that a pass repeated asks the same, and what was compared once is left out.
_SAMPLE = f"""
    with partitions as (
        select
            symbols.symbol,
            status.dt,
            percent_rank() over (order by bars.close * bars.volume) as volume_rank,
            exists (
                select 1 from reference.corp_actions as actions
                where actions.security_id = bars.security_id
                    and actions.ex_date between status.dt - 5 and status.dt + 5
            ) as is_near_event,
            exists (
                select 1 from quality.partition_status as doubts
                where doubts.table_name = status.table_name and doubts.symbol = status.symbol
                    and doubts.status = 'AMBER' and doubts.dt between status.dt - 10 and status.dt
            ) as is_near_doubt
        from quality.partition_status as status
        inner join curated.equities_ohlcv_adj as bars
            on status.symbol = bars.security_id and status.dt = bars.session_date
        inner join reference.symbols as symbols
            on symbols.asset_class = 'equity' and {symbol_as_of("bars.security_id", "status.dt")}
        where status.table_name = 'curated/equities_ohlcv_adj' and status.status = 'GREEN'
            and status.dt >= $start and status.dt < $end
    ),

    drawn as (
        select
            *,
            (0.1 + volume_rank) * (1 + 4 * is_near_event::int + 4 * is_near_doubt::int) as weight,
            (md5_number_lower(concat_ws('|', symbol, dt, $end)) + 1.0) / 18446744073709551617.0
                as chance
        from partitions
        where not list_contains($compared, concat_ws('|', symbol, dt))
    )

    select symbol, dt from drawn
    order by ln(chance) / weight desc, symbol, dt
    limit $most
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of comparing one session of a symbol.

    Attributes:
        word: ``OK``, ``CROSS_VENDOR_MISMATCH``, or ``NO_DATA`` where a vendor has no bar.
        worst: The greatest relative difference of a price, none without two bars.
        volume_ratio: The second vendor's volume by the first's, none where there is none.
    """

    word: str
    worst: float | None = None
    volume_ratio: float | None = None


def queue_probes(node: Node) -> int:
    """Queues a sample of GREEN partitions to be compared; how many tasks are waiting more.

    Sampled by weight: traded value, and five times as much near an event or after a doubt.
    """
    end = node.now().date() - timedelta(days=1)
    start = end - timedelta(days=WINDOW_DAYS)
    parameters = {
        "start": start,
        "end": end,
        "most": SAMPLE_SIZE,
        "compared": _compared(node, start),
    }
    version = lake.find_version(node.data_dir)
    with lake.open_version(node.data_dir, version) as connection:
        sample = connection.execute(_SAMPLE, parameters).fetchall()
    tasks = [
        Work("equities_bars_1d", day, day + timedelta(days=1), "QC_PROBE", symbol)
        for symbol, day in sample
    ]
    with node.queue() as queue, node.control() as control:
        run_id = start_run(control, SAMPLE, {"version": version.name})
        queued = queue.add([work for work in tasks if _has_second_opinion(node, work)])
        finish_run(control, run_id, "SUCCEEDED", {"sampled": len(tasks), "queued": queued})
    return queued


def record_verdict(node: Node, lease: Lease) -> tuple[Work, ...]:
    """Compares what a probe landed with the lake's vendor; what is to be asked for again."""
    task = lease.task
    verdict = compare(node, task, lease.vendor)
    _land(node, task, lease.vendor, verdict)
    partition = {"symbol": task.symbol, "day": task.start.isoformat(), "vendor": lease.vendor}
    outcome = {
        "verdict": verdict.word,
        "worst": verdict.worst,
        "volume_ratio": verdict.volume_ratio,
    }
    with node.control() as control:
        finish_run(control, start_run(control, RESULT, partition), "SUCCEEDED", outcome)
    log.info("probe", **partition, **outcome)
    if verdict.word != "CROSS_VENDOR_MISMATCH":
        return ()
    return (Work(task.dataset, task.start, task.end, "GAP", task.symbol),)


def compare(node: Node, task: Task, vendor: str) -> Verdict:
    """Lays the newest bars of two vendors for a task's symbol and first day side by side."""
    lakes, others = (
        _bar(node, name, task.dataset, task.symbol or "", task.start)
        for name in (USED_VENDOR, vendor)
    )
    if lakes is None or others is None:
        return Verdict("NO_DATA")
    pairs = zip(lakes[:4], others[:4], strict=True)
    worst = max(abs(price - other) / abs(price) if price else abs(other) for price, other in pairs)
    ratio = others[4] / lakes[4] if lakes[4] else None
    least, most = VOLUME_RATIOS
    agree = worst <= MOST_RELATIVE_DIFFERENCE and (ratio is None or least <= ratio <= most)
    return Verdict("OK" if agree else "CROSS_VENDOR_MISMATCH", worst, ratio)


def _compared(node: Node, start: date) -> list[str]:
    """``symbol|date`` of what was laid side by side before."""
    landed = bookmarks.landed(node.data_dir, QC_PROBE, start)
    return sorted(
        f"{name}|{envelope.start}" for envelope in landed for name in envelope.symbols or ()
    )


def _land(node: Node, task: Task, vendor: str, verdict: Verdict) -> None:
    """Lands a verdict under ``raw/node/qc_probe``."""
    symbol = task.symbol or ""
    key = {"symbol": symbol, "session_date": task.start.isoformat(), "vendor": vendor}
    row = {
        **key,
        "session_date": task.start,
        "verdict": verdict.word,
        "worst_diff_ratio": verdict.worst,
        "volume_ratio": verdict.volume_ratio,
    }
    chain = request_hash(QC_PROBE.vendor, QC_PROBE.name, key)
    digest = sha256_of_bytes(msgspec.json.encode(row, order="sorted"))
    page = Page(table_of(QC_PROBE, [row]), digest, f"node:{QC_PROBE.name}", chain)
    fetch = Fetch(QC_PROBE, QC_PROBE.name, chain, task.start, task.start, (symbol,))
    land(node.data_dir, fetch, [page], node.now())


def _bar(node: Node, vendor: str, dataset: str, symbol: str, day: date) -> Sequence[float] | None:
    declared = FILLING[vendor, dataset]
    columns, endpoint = declared.bar_columns, declared.endpoint
    assert columns is not None
    files = [
        str(envelope.path)
        for envelope in bookmarks.landed(node.data_dir, endpoint)
        if (envelope.start is None or envelope.start <= day)
        and (envelope.end is None or envelope.end >= day)
    ]
    if not files:
        return None
    folder = node.data_dir / "raw" / endpoint.path
    with bookmarks.reading(folder), duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        row = connection.execute(
            f'select "{columns.prices[0]}", "{columns.prices[1]}", "{columns.prices[2]}",'
            f' "{columns.prices[3]}", coalesce("{columns.volume}", 0)'
            " from read_parquet($files, hive_partitioning = false)"
            f' where "{columns.symbol}" = $symbol and {columns.day} = $day'
            " order by ingested_at desc, ingest_id desc limit 1",
            {"files": files, "symbol": to_vendor(symbol, endpoint.class_mark), "day": day},
        ).fetchone()
    return None if row is None or None in row else row


def _has_second_opinion(node: Node, work: Work) -> bool:
    task = Task(0, work.dataset, work.symbol, work.start, work.end, work.kind, 0, 0)
    return bool(node.providers(task))
