"""What a node is doing, as plain lines and as a live table."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.live import Live
from rich.table import Table

from ingest.forward import ages
from ingest.node_context import Node
from ingest.pipeline_runs import pipeline_runs
from ingest.stage_gate import GATE, LEAST_GREEN
from ingest.stages import read_stage
from ingest.work import usable_vendors

REFRESH_SECONDS = 2.0
LATEST_RUNS = 5


def show_status(node: Node) -> None:
    """Prints freshness, queue, vendors and the latest runs."""
    for name, found in ages(node).items():
        newest = found.newest or "nothing"
        word = "fresh" if found.is_fresh else "behind"
        click.echo(f"{name}: {word}, newest {newest}, expected {found.expected}")
    for line in _lines(node):
        click.echo(": ".join(line))
    with node.control() as control:
        for run in pipeline_runs(control, most=LATEST_RUNS):
            said = (run.metrics or {}).get("error", "")
            click.echo(
                f"{run.pipeline_name}: {run.status} at {run.started_at:%Y-%m-%d %H:%M} UTC {said}"
            )


@contextmanager
def watch(node: Node) -> Iterator[None]:
    """Shows a live table while the node runs, where somebody is looking."""
    if not sys.stdout.isatty():
        yield
        return
    ended = threading.Event()
    with Live(_table(node), auto_refresh=False) as live:

        def refresh() -> None:
            while not ended.wait(REFRESH_SECONDS):
                live.update(_table(node), refresh=True)

        thread = threading.Thread(target=refresh, name="dashboard", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _table(node: Node) -> Table:
    table = Table("what", "how", title=f"node {node.owner} at {node.now():%Y-%m-%d %H:%M:%S} UTC")
    for what, how in _lines(node):
        table.add_row(what, how)
    return table


def _lines(node: Node) -> list[tuple[str, str]]:
    """The stage, the queue and the vendors."""
    with node.queue() as queue:
        counts = queue.counts()
        states = {
            vendor: queue.budget.state(vendor)
            for vendor in usable_vendors(node.registry, node.settings)
        }
    lines = _stage(node)
    lines += [
        (f"queue {kind} {status}", str(count)) for (kind, status), count in sorted(counts.items())
    ]
    for vendor, state in states.items():
        cap = node.registry.limits(vendor).daily_cap
        frozen = ", frozen" if state.is_frozen else ""
        said = f"{state.spent_today} of {cap} calls today, {state.inflight} tasks in flight{frozen}"
        lines.append((f"vendor {vendor}", said))
    return lines


def _stage(node: Node) -> list[tuple[str, str]]:
    """The stage, and how far its gate saw it the last time."""
    stage = read_stage(node.data_dir)
    if stage is None:
        return []
    with node.control() as control:
        runs = pipeline_runs(control, GATE, most=1)
    said = f"{stage.stage}, {len(stage.symbols)} symbols"
    metrics = (runs[0].metrics or {}) if runs else {}
    if metrics.get("promoted_to") == stage.stage:
        return [("stage", f"{said}, since {runs[0].started_at:%Y-%m-%d %H:%M} UTC")]
    shares = [
        f"{name} {green / max(expected, 1):.1%}"
        for name, (green, expected) in metrics.get("coverage", {}).items()
    ]
    if shares:
        said += f"; GREEN {', '.join(shares)}, the next stage begins at {LEAST_GREEN:.0%}"
    return [("stage", said)]
