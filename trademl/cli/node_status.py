"""What a node is doing: a live table on a terminal, plain lines elsewhere."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ingest.control.database import control_path
from ingest.control.reader import latest_run, read_state
from ingest.node.context import Node
from ingest.node.planning.forward import ages
from ingest.node.providers import usable_vendors
from ingest.node.stage_file import read_stage
from ingest.node.stages.gate import GATE
from ingest.node.stages.missing_history import MISSING_HISTORY
from trademl.errors import DataError

REFRESH_SECONDS = 2.0
REPORT_SECONDS = 300.0
"""How often a line is said where nobody is looking; every task has its line in logs/ anyway."""
LATEST_RUNS = 5
NAMED = 5
"""Symbols without the last bar that are named."""


def show_status(node: Node) -> None:
    """Prints freshness, queue, vendors and the latest runs."""
    for name, found in ages(node).items():
        newest = found.newest or "nothing"
        word = "fresh" if found.is_fresh else "behind"
        said = f"{name}: {word}, newest {newest}, expected {found.expected}"
        if found.unanswered:
            named = ", ".join(found.unanswered[:NAMED]) + ", ..." * (len(found.unanswered) > NAMED)
            said += f"; no bar of it: {len(found.unanswered)} symbols, {named}"
        click.echo(said)
    for line in lines(node):
        click.echo(": ".join(line))


@contextmanager
def watch(
    node: Node, console: Console | None = None, seconds: float | None = None
) -> Iterator[None]:
    """Shows what a node does while it runs.

    Args:
        node: The node.
        console: Where to; default: standard output.
        seconds: Between two looks; default: often on a terminal, else every five minutes.
    """
    console = console or Console()
    if console.is_terminal:
        with (
            Live(table(node), console=console, auto_refresh=False) as live,
            _every(seconds or REFRESH_SECONDS, lambda: live.update(table(node), refresh=True)),
        ):
            yield
        return
    # One line of a journal, however long: rich would break it at 80 columns.
    with _every(seconds or REPORT_SECONDS, lambda: click.echo(report(node), console.file)):
        yield


def report(node: Node) -> str:
    """What a node is doing in one line."""
    return f"{_when(node)}: " + "; ".join(": ".join(line) for line in lines(node))


def table(node: Node) -> Table:
    """What a node is doing as a table."""
    made = Table("what", "how", title=_when(node))
    for what, how in lines(node):
        # An error's brackets are words here, not rich's markup.
        made.add_row(Text(what), Text(how))
    return made


def lines(node: Node) -> list[tuple[str, str]]:
    """Queue, vendors and latest runs, each by name and in words; no key is among them."""
    vendors = usable_vendors(node.registry, node.settings)
    try:
        state = read_state(control_path(node.data_dir), node.now(), vendors, LATEST_RUNS)
    except DataError as error:
        return [("queue", str(error))]
    if state is None:
        return [("queue", "no control file yet: `trademl setup node` or `trademl node run`")]
    tasks = [(f"queue {kind} {status}", str(count)) for kind, status, count in state.tasks]
    said = [*_stage(node), *(tasks or [("queue", "empty")])]
    said += [("trouble", one) for one in state.troubles]
    for one in state.vendors:
        cap = node.registry.limits(one.vendor).daily_cap
        frozen = f", frozen until {one.frozen_until:%H:%M:%S} UTC" if one.frozen_until else ""
        frozen += f": {one.reason}" if one.reason else ""
        how = f"{one.spent} of {cap} calls today, {one.inflight} tasks in flight{frozen}"
        said.append((f"vendor {one.vendor}", how))
    for run in state.runs:
        how = f"{run.status} at {run.started_at:%Y-%m-%d %H:%M} UTC {run.error}".rstrip()
        said.append((run.name, how))
    return said


def _when(node: Node) -> str:
    return f"node {node.owner} at {node.now():%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _every(seconds: float, show: Callable[[], object]) -> Iterator[None]:
    """Shows at once and then every so often, from a thread of its own."""
    ended = threading.Event()

    def showing() -> None:
        show()
        while not ended.wait(seconds):
            show()

    thread = threading.Thread(target=showing, name="dashboard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stage(node: Node) -> list[tuple[str, str]]:
    """The stage, and how far its gate saw it the last time."""
    stage = read_stage(node.data_dir)
    if stage is None:
        return []
    said = f"{stage.stage}, {len(stage.symbols)} symbols"
    at, metrics = latest_run(control_path(node.data_dir), GATE) or (None, {})
    if at and metrics.get("promoted_to") == stage.stage:
        return [("stage", f"{said}, since {at:%Y-%m-%d %H:%M} UTC"), *_unlanded(node)]
    shares = [
        f"{name} {green / max(expected, 1):.1%}"
        for name, (green, expected) in metrics.get("coverage", {}).items()
    ]
    if shares:
        least = node.settings.min_green_fraction
        said += f"; GREEN {', '.join(shares)}, the next stage begins at {least:.0%}"
    return [("stage", said), *_unlanded(node)]


def _unlanded(node: Node) -> list[tuple[str, str]]:
    """What the last thorough plan did not find landed of the stage."""
    at, metrics = latest_run(control_path(node.data_dir), MISSING_HISTORY) or (None, {})
    found = metrics.get("unlanded", {}).items()
    return [(f"stage {name}", f"{said} (seen at {at:%Y-%m-%d %H:%M} UTC)") for name, said in found]
