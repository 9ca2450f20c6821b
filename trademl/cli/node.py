"""``trademl node``, ``audit``, ``backfill``, ``repair``: the always-on data node, its parts."""

import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ingest.control.clock import NodeClock, machine_clock
from ingest.control.database import control_path
from ingest.control.reader import last_error, read_state
from ingest.node.context import Node, Wait, open_node
from ingest.node.daemon import HEAVY_DAYS, has_bars, run_node, run_once
from ingest.node.execution.executor import WorkSummary
from ingest.node.health import check_health
from ingest.node.planning.audit import TABLES, Scope, TableAudit, audit, audit_minutes, window_of
from ingest.node.repair import MOST_FILLS, backfill, repair
from ingest.node.stages.missing_history import missing_history, queue_missing_history
from trademl.cli import main_of, names
from trademl.cli.node_status import show_status, watch
from trademl.clock import parse_clock
from trademl.errors import Unavailable
from trademl.lake.build import build_lake
from trademl.log import log_to
from trademl.settings import Settings


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--base-url", help="Asks this host instead of the vendors', e.g. a replay."),
        click.option("--clock", help="The time, ISO 8601; default: TRADEML_CLOCK, else now."),
        click.option("--data", type=click.Path(path_type=Path), help="The data directory."),
    ):
        command = option(command)
    return command


@click.group("node")
def node_group() -> None:
    """The always-on data node: forward ingest, planner, executors, maintenance."""


@node_group.command("run")
@_options
def node_run(data: Path | None, clock: str | None, base_url: str | None) -> None:
    """Run until SIGTERM or Ctrl-C; a live table on a terminal, JSON lines in logs/ always."""
    with _Stop() as stop:
        node = make_node(data, clock, base_url, stop.wait)
        click.echo(f"node {node.owner} works in {node.data_dir} (SIGTERM or Ctrl-C ends it)")
        with watch(node):
            run_node(node)
    click.echo("node stopped")


@node_group.command("once")
@_options
def node_once(data: Path | None, clock: str | None, base_url: str | None) -> None:
    """One pass: forward ingest, audit, the queue, maintenance with build and export."""
    with _Stop() as stop:
        node = make_node(data, clock, base_url, stop.wait)
        summary = run_once(node)
        if not has_bars(node):
            click.echo("no bar is landed yet: no lake was built", err=True)
        _say(node, summary)


@node_group.command("status")
@_options
def node_status(data: Path | None, clock: str | None, base_url: str | None) -> None:
    """What the node is doing: freshness, queue, vendors' budgets, latest runs."""
    show_status(make_node(data, clock, base_url))


@click.group("audit")
def audit_group() -> None:
    """Find what is missing in the lake."""


@audit_group.command("gaps")
@click.option(
    "--tables",
    shell_complete=names.audited_tables,
    help=f"Comma-separated, of: {', '.join(TABLES)}; default: all.",
)
@click.option(
    "--days",
    type=click.IntRange(1),
    default=HEAVY_DAYS,
    show_default=True,
    help="How far to look back.",
)
@_options
def audit_gaps(
    tables: str | None, days: int, data: Path | None, clock: str | None, base_url: str | None
) -> None:
    """Compare the newest version with what should be there, and queue GAP tasks."""
    node = make_node(data, clock, base_url)
    chosen = tuple(name.strip() for name in tables.split(",")) if tables else tuple(TABLES)
    _say_tables(audit(node, Scope(*window_of(node.now(), days), chosen)))
    _say_stage(node)
    health = check_health(node)
    for line in health.lines():
        click.echo(line)
    health.require_no_new_toxic()


@click.group("backfill")
def backfill_group() -> None:
    """Fetch history that the queue asks for."""


@backfill_group.command("run")
@click.option("--budget", type=click.IntRange(0), help="Calls at each vendor at most.")
@_options
def backfill_command(
    budget: int | None, data: Path | None, clock: str | None, base_url: str | None
) -> None:
    """Work the BOOTSTRAP and GAP tasks of the queue until nothing may run now."""
    with _Stop() as stop:
        node = make_node(data, clock, base_url, stop.wait)
        _say(node, backfill(node, budget))


@click.command("repair")
@click.option(
    "--run-id",
    required=True,
    shell_complete=names.exports,
    help="The run whose candidates are to be complete.",
)
@click.option(
    "--max-fills",
    type=click.IntRange(1),
    default=MOST_FILLS,
    show_default=True,
    help="GAP tasks at most.",
)
@_options
def repair_command(
    run_id: str, max_fills: int, data: Path | None, clock: str | None, base_url: str | None
) -> None:
    """Fill the gaps in the bars of a run's candidates; the next build shows them."""
    with _Stop() as stop:
        node = make_node(data, clock, base_url, stop.wait)
        done = repair(node, run_id, max_fills)
        click.echo(f"{len(done.symbols)} candidates of {run_id}")
        _say_tables(done.tables)
        _say(node, done.summary)
        done.require_whole()


def make_node(
    data: Path | None,
    clock: str | None = None,
    base_url: str | None = None,
    wait: Wait | None = None,
) -> Node:
    """A node of this machine, which builds as ``trademl build`` does.

    Raises:
        ConfigError: Settings make no sense.
    """
    settings = Settings()
    data_dir = (data or settings.data).resolve()
    if data is not None:
        log_to(data_dir)
    waits = wait or threading.Event().wait
    return open_node(
        data_dir,
        settings,
        _clock(clock or settings.clock),
        waits,
        lambda folder, moment: build_lake(folder, moment, is_stopping=lambda: waits(0)).name,
        base_url,
    )


def _clock(chosen: str | None) -> NodeClock:
    """This machine's clock, or one that begins at a chosen time."""
    if chosen is None:
        return machine_clock(lambda: datetime.now(UTC))
    ahead = parse_clock(chosen) - datetime.now(UTC)
    return machine_clock(lambda: datetime.now(UTC) + ahead)


class _Stop:
    """SIGTERM and SIGINT set it; a second SIGINT interrupts as usual."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __enter__(self) -> "_Stop":
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._set) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float) -> bool:
        """Lets time pass until then or until the signal; whether it came."""
        return self._event.wait(seconds)

    def _set(self, number: int, _frame: FrameType | None) -> None:
        self._event.set()
        signal.signal(number, self._before[number])


def _say(node: Node, summary: WorkSummary) -> None:
    """What came of tasks.

    Raises:
        Unavailable: None was done and some failed: a schedule is to notice.
    """
    outcomes = ", ".join(
        f"{summary.of(name)} {name}" for name in sorted({o for _, o in summary.outcomes})
    )
    click.echo(f"tasks: {outcomes or 'none'}; {summary.rows} rows with {summary.calls} calls")
    state = read_state(control_path(node.data_dir), node.now(), (), 0)
    for trouble in state.troubles if state else ():
        click.echo(f"trouble: {trouble}")
    failed = sum(summary.of(name) for name in ("failed", "unavailable", "rate_limited"))
    if failed and not summary.of("done"):
        error = last_error(control_path(node.data_dir))
        raise Unavailable(
            f"no task was done, {failed} failed and are tried again; the latest: {error}"
        )


def _say_tables(tables: tuple[TableAudit, ...]) -> None:
    for one in tables:
        click.echo(
            f"{one.table}: {one.sessions} partitions, {one.green} GREEN, {one.amber} AMBER, "
            f"{one.red} RED; {one.gaps} GAP tasks queued, {one.asked} asked for lately"
        )


def _say_stage(node: Node) -> None:
    """What of the stage is not landed: the lake counts from the first bar it holds."""
    for one in missing_history(node):
        queued = queue_missing_history(node, [one])
        click.echo(f"stage {one.dataset}: {one.line()}; {queued} BOOTSTRAP tasks queued")
    if gaps := audit_minutes(node):
        click.echo(f"stage: sessions were landed without a minute; {gaps} GAP tasks queued")


def audit_entry() -> None:
    """``ata-audit [gaps]``: the same as ``trademl audit gaps``."""
    main_of(audit_group, "gaps")


def backfill_entry() -> None:
    """``ata-backfill [run]``: the same as ``trademl backfill run``."""
    main_of(backfill_group, "run")
