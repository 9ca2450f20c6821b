"""The always-on data node: four loops on one clock (docs/specification/node.md#loops).

Forward ingest queues what is behind, the planner queues what is missing, executors work the queue,
maintenance builds the lake and exports it. Each is a plain function of the node; ``run_once`` calls
them in this order, ``run_node`` when they are due.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from ingest.control.pipeline_runs import Outcome, finish_run, pipeline_runs, start_run
from ingest.control.tasks import Lease, Work
from ingest.node.context import Node
from ingest.node.execution.executor import WorkOptions, WorkSummary, work_all
from ingest.node.export import export_nightly
from ingest.node.instances import HEAVY, LIGHT, MAINTENANCE, alone, join_instance
from ingest.node.planning import audit, probes
from ingest.node.planning.forward import forward
from ingest.node.planning.tracked import LISTINGS
from ingest.node.stages.gate import GATE, gate
from ingest.node.stages.missing_history import (
    MISSING_HISTORY,
    missing_history,
    queue_missing_history,
)
from ingest.sync import run_ingest
from trademl.errors import TradeMLError
from trademl.lake import versions as lake

FORWARD_EVERY = timedelta(minutes=15)
LIGHT_EVERY, LIGHT_DAYS = timedelta(hours=4), 30
HEAVY_DAYS = 180
PROBE_EVERY = timedelta(days=7)
FAILED_DAYS, DONE_DAYS = 14, 3
"""Tasks are forgotten then. A vendor's day has room for some 10,000 tasks: more would only make
the queue of a small machine slow."""
TICK_SECONDS = 5.0
TRIES, RETRY_AFTER = 3, timedelta(hours=1)
"""Of a night's maintenance: what failed for a moment is done by morning, and what cannot succeed
does not build all day."""

_LOCAL = (
    ("exchange_calendars", "sessions"),
    ("file", "sectors"),
    ("file", "index_membership"),
    ("file", "earnings_dates"),
)
"""What is landed from this machine, without a vendor's budget."""

log = structlog.get_logger()


class BackgroundTask:
    """A thread for one thing at a time; what is asked while it works is left out.

    Args:
        name: The thread's name.
        failed: Gets the error of what failed.
    """

    def __init__(self, name: str, failed: list[BaseException]) -> None:
        self._name, self._failed = name, failed
        self._thread: threading.Thread | None = None

    def __call__(self, action: Callable[[], object]) -> None:
        """Begins with it, where nothing is being done."""

        def kept() -> None:
            try:
                action()
            except BaseException as error:
                self._failed.append(error)

        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=kept, name=self._name)
            self._thread.start()

    def join(self) -> None:
        """Waits until it has ended."""
        if self._thread is not None:
            self._thread.join()


def plan(node: Node, *, heavy: bool = False) -> tuple[audit.TableAudit, ...]:
    """Audits what is published and queues GAP tasks.

    When it is thorough it also forgets what failed long ago, queues what the stage requires and no
    landed file answers for, and looks whether the next stage is due. Where a landed file cannot be
    read these are recorded as failed, and the audit goes on.

    Args:
        node: The node.
        heavy: Whether to look at 180 days, else at 30.

    Returns:
        What was found; nothing where no version is published yet.
    """
    with node.queue() as queue:
        pruned = queue.prune(FAILED_DAYS, DONE_DAYS) if heavy else 0
    if heavy and node.settings.backfill_enabled:
        _guarded(
            MISSING_HISTORY, lambda: _recorded(node, MISSING_HISTORY, lambda: fill_stage(node))
        )
    if not lake.list_versions(node.data_dir):
        log.info("plan", skipped="no version is published yet")
        return ()
    start, end = audit.window_of(node.now(), HEAVY_DAYS if heavy else LIGHT_DAYS)
    tables = audit.audit(node, audit.Scope(start, end))
    if heavy and node.settings.backfill_enabled:
        _guarded(GATE, lambda: _recorded(node, GATE, lambda: gate(node)))
    log.info("plan", heavy=heavy, pruned=pruned, tables=[asdict(table) for table in tables])
    return tables


def fill_stage(node: Node) -> Mapping[str, Any]:
    """Queues what the stage requires and no landed file answers for; what that was, in words.

    Minutes that were landed without rows are queued too.

    Raises:
        ConfigError: The stage's file cannot be read, or names a dataset without history.
        DataError: A landed file cannot be read.
    """
    missing = missing_history(node)
    metrics = {"unlanded": {history.dataset: history.line() for history in missing}}
    return metrics | {
        "tasks": queue_missing_history(node, missing),
        "gaps": audit.audit_minutes(node),
    }


def work(
    node: Node, *, is_done_when_idle: bool = True, ended: threading.Event | None = None
) -> WorkSummary:
    """Works the queue until nothing may run now, or until the node is told to stop.

    Args:
        node: The node.
        is_done_when_idle: Whether it returns when nothing may run now.
        ended: Ends it when it is set.
    """

    def filled(lease: Lease) -> tuple[Work, ...]:
        if lease.task.dataset in LISTINGS:
            forward(node, LISTINGS[lease.task.dataset])
        return probes.record_verdict(node, lease) if lease.task.kind == "QC_PROBE" else ()

    ended = ended or threading.Event()
    options = WorkOptions(
        node.kinds(), is_done_when_idle=is_done_when_idle, filled=filled, ended=ended
    )
    return work_all(node, options)


def maintain(node: Node) -> Mapping[str, Any]:
    """Lands local files, builds and publishes the lake, queues probes once a week, exports.

    Returns:
        What was done, as it is recorded in ``pipeline_runs``.

    Raises:
        TradeMLError: The build failed; nothing was published or exported.
    """
    now = node.now()
    for vendor, dataset in _LOCAL:
        run_ingest(vendor, dataset, data_dir=node.data_dir, clock=now, settings=node.settings)
    version = node.build(node.data_dir, now)
    zone = ZoneInfo(node.settings.timezone)
    folder = export_nightly(node.data_dir, now.astimezone(zone).date())
    queued = probes.queue_probes(node) if _is_probe_due(node) else 0
    return {
        "version": version,
        "export": folder.relative_to(node.data_dir).as_posix(),
        "probes": queued,
    }


def run_once(node: Node) -> WorkSummary:
    """One pass: forward, plan, work, maintain; without any bar there is nothing to maintain yet.

    Raises:
        TradeMLError: Maintenance failed; what was landed stays.
    """
    with alone(node):
        forward(node)
        _recorded(node, HEAVY, lambda: _as_metrics(plan(node, heavy=True)))
        summary = work(node)
        if has_bars(node) and not node.is_stopping():
            _recorded(node, MAINTENANCE, lambda: maintain(node))
        return summary


def run_node(node: Node) -> None:
    """Runs the loops until the node is told to stop; beside another node it only works the queue.

    An error of vendors or data is recorded and the node goes on; a mistake of the program ends it.
    """
    with join_instance(node) as instance:
        node = instance.node
        log.info("node", owner=node.owner, data=str(node.data_dir))
        failed: list[BaseException] = []
        ended = threading.Event()
        maintenance = BackgroundTask("maintenance", failed)
        executors = BackgroundTask("executors", failed)
        executors(lambda: work(node, is_done_when_idle=False, ended=ended))
        forwarded: datetime | None = None
        try:
            while not node.is_stopping() and not failed:
                if instance.leads():
                    forwarded = tick(node, forwarded, maintenance)
                node.wait(TICK_SECONDS)
        finally:
            ended.set()
            executors.join()
            maintenance.join()
        if failed:
            raise failed[0]


def _here(action: Callable[[], object]) -> None:
    action()


def tick(
    node: Node,
    forwarded: datetime | None,
    aside: Callable[[Callable[[], object]], None] = _here,
) -> datetime:
    """Runs what is due; when forward ingest ran last.

    Args:
        node: The node.
        forwarded: When forward ingest ran last, none for never.
        aside: Runs maintenance, which takes minutes that the other loops do not have.
    """
    now = node.now()
    zone, at = ZoneInfo(node.settings.timezone), node.settings.maintenance_time
    if forwarded is None or is_due(forwarded, now, FORWARD_EVERY):
        forwarded = now
        _guarded("forward", lambda: forward(node))
    if is_due_daily(last_start(node, HEAVY), now, at, zone):
        _guarded(
            "plan", lambda: _recorded(node, HEAVY, lambda: _as_metrics(plan(node, heavy=True)))
        )
    elif is_due(_last_plan(node), now, LIGHT_EVERY):
        _guarded("plan", lambda: _recorded(node, LIGHT, lambda: _as_metrics(plan(node))))
    is_due_now = _is_maintenance_due(node, latest(now, at, zone))
    if is_due_now and has_bars(node) and not node.is_stopping():
        aside(
            lambda: _guarded(
                "maintain", lambda: _recorded(node, MAINTENANCE, lambda: maintain(node))
            )
        )
    return forwarded


def has_bars(node: Node) -> bool:
    """Whether a lake can be made: a vendor's bars are landed, or a version is published.

    Without, a build would publish tables without a row.
    """
    if lake.list_versions(node.data_dir):
        return True
    folders = [
        node.data_dir / "raw" / endpoint.path
        for audited in audit.TABLES.values()
        if audited.asset_class
        for endpoint in audited.endpoints
    ]
    return any(True for folder in folders for _ in folder.rglob("*.parquet"))


def is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether a loop that ran last at some time, or never, runs again now."""
    return last is None or now - last >= every


def is_due_daily(last: datetime | None, now: datetime, at: time, zone: ZoneInfo) -> bool:
    """Whether a local time of day has passed since the last run; one that never ran is due.

    Args:
        last: When it ran last, aware.
        now: The time, aware.
        at: The local time of day.
        zone: The time zone; where a day skips or repeats the time, it counts as the first.
    """
    return last is None or last < latest(now, at, zone)


def latest(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The last moment, not after now, at which it was this time of day."""
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), at, zone)
    moment = today if today <= local else datetime.combine(today - timedelta(days=1), at, zone)
    return moment.astimezone(now.tzinfo)


def _is_maintenance_due(node: Node, since: datetime) -> bool:
    """Whether maintenance is to run: it has not since its hour, or failed a while ago."""
    with node.control() as control:
        runs = pipeline_runs(control, MAINTENANCE, most=2 * TRIES)
    tonight = [run for run in runs if run.started_at >= since and run.status != "CANCELLED"]
    if not tonight:
        return True
    is_rested = is_due(tonight[0].started_at, node.now(), RETRY_AFTER)
    return is_rested and len(tonight) < TRIES and all(run.status == "FAILED" for run in tonight)


def last_start(node: Node, name: str) -> datetime | None:
    """When a loop ran last, as far as it is recorded; one that was stopped is to run again."""
    with node.control() as control:
        runs = pipeline_runs(control, name, most=2)
    return next((run.started_at for run in runs if run.status != "CANCELLED"), None)


def _last_plan(node: Node) -> datetime | None:
    starts = [last_start(node, LIGHT), last_start(node, HEAVY)]
    return max((start for start in starts if start is not None), default=None)


def _is_probe_due(node: Node) -> bool:
    return is_due(last_start(node, probes.SAMPLE), node.now(), PROBE_EVERY)


def _recorded(node: Node, name: str, action: Callable[[], Mapping[str, Any]]) -> None:
    """Runs something as a row of ``pipeline_runs``; no error leaves the row running."""
    with node.control() as control:
        run_id = start_run(control, name, {})
        try:
            metrics = action()
        except Exception as error:
            message = str(error) if isinstance(error, TradeMLError) else type(error).__name__
            outcome: Outcome = "CANCELLED" if node.is_stopping() else "FAILED"
            finish_run(control, run_id, outcome, {"error": message})
            raise
        finish_run(control, run_id, "SUCCEEDED", metrics)


def _guarded(name: str, action: Callable[[], object]) -> None:
    """An error of vendors or data does not end the node."""
    try:
        action()
    except TradeMLError as error:
        log.error("loop", loop=name, error=str(error))


def _as_metrics(tables: tuple[audit.TableAudit, ...]) -> Mapping[str, Any]:
    return {"tables": [asdict(table) for table in tables]}
