"""Stage gating: a node takes on more symbols and years once what it has is GREEN."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from ingest.control.tasks import Work
from ingest.node.context import Node
from ingest.node.providers import served_from, usable_vendors
from ingest.node.stage_file import Stage, read_rules, read_stage, stage_of, tasks_for, write_stage
from ingest.node.stages.coverage import coverage
from ingest.vendors.alpaca.datasets import tradable_equities
from trademl.errors import DataError
from trademl.lake import versions as lake

GATE = "stage_gate"
"""The name of the gate's runs in ``pipeline_runs``."""

log = structlog.get_logger()


def gate(node: Node) -> Mapping[str, Any]:
    """Goes on to the next stage where this one is GREEN enough (``min_green_fraction``).

    The new stage's tasks are queued before its file is written: killed in between, the next gate
    queues nothing twice and writes it.

    Returns:
        The stage, what it holds by dataset, the stage gone on to (none where it is not) and the
        tasks queued; only the stage where there is no other after it.

    Raises:
        ConfigError: The stage's file cannot be read.
        DataError: Nothing is published, or there are no symbols for the next stage.
    """
    stage, rules = read_stage(node.data_dir), read_rules()
    if stage is None or stage.stage + 1 >= len(rules):
        return {"stage": stage.stage if stage else None}
    coverages = coverage(node, stage)
    metrics: dict[str, Any] = {
        "stage": stage.stage,
        "coverage": {covered.dataset: [covered.green, covered.expected] for covered in coverages},
        "promoted_to": None,
        "tasks": 0,
    }
    if coverages and all(
        covered.ratio >= node.settings.min_green_fraction for covered in coverages
    ):
        rule, number = rules[stage.stage + 1], stage.stage + 1
        symbols = next_symbols(node, stage, rule.symbols)
        following = stage_of(number, rule, symbols, node.now().date())
        with node.queue() as queue:
            metrics["tasks"] = queue.add(served(node, new_works(stage, following)))
        write_stage(node.data_dir, following)
        metrics["promoted_to"] = number
    log.info("stage", **metrics)
    return metrics


def new_works(before: Stage, after: Stage) -> Iterator[Work]:
    """What a stage adds: all of the new symbols, what is older of those that were there."""
    for work in tasks_for(after):
        start = before.starts.get(work.dataset)
        if work.symbol not in before.symbols or start is None:
            yield work
        elif work.start < start:
            yield Work(work.dataset, work.start, start, work.kind, work.symbol)


def served(node: Node, wanted: Iterable[Work]) -> Iterator[Work]:
    """Work without what no vendor may be asked for."""
    vendors, today = usable_vendors(node.registry, node.settings), node.now().date()
    for work in wanted:
        start = max(work.start, served_from(work.dataset, node.registry, vendors, today))
        if start < work.end:
            yield replace(work, start=start)


def next_symbols(node: Node, stage: Stage, most: int) -> tuple[str, ...]:
    """The symbols of the next stage, the same for the same lake and listing.

    Those of the stage come first; then the share classes that the universe lets in, by the
    liquidity that the newest version knows; then, because a node has bars of little more than its
    stage, the listing by name.
    """
    chosen = dict.fromkeys((*stage.symbols, *_by_liquidity(node), *_listed(node)))
    return tuple(chosen)[:most]


def _by_liquidity(node: Node) -> Sequence[str]:
    query = """
        select symbol from reference.universe
        where is_let_in and is_listed
            and session_date = (select max(session_date) from reference.universe)
        order by is_eligible desc, adv60_usd desc nulls last, symbol
    """
    with lake.open_version(node.data_dir, lake.find_version(node.data_dir)) as connection:
        return [symbol for (symbol,) in connection.execute(query).fetchall()]


def _listed(node: Node) -> Sequence[str]:
    try:
        return tradable_equities(node.data_dir)
    except DataError:
        return ()
