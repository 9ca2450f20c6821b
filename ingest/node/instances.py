"""Node instances in one data directory: numbered locks say who leads and who works the queue.

The lowest free number is taken. A lock ends with its process, so whoever takes a number knows that
its earlier holder is dead. The holder of number 0 runs the loops.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from ingest.control.database import control_path
from ingest.control.pipeline_runs import interrupt_runs
from ingest.node.context import Node
from ingest.node.stages.gate import GATE
from ingest.node.stages.missing_history import MISSING_HISTORY
from trademl.errors import ConfigError

LIGHT, HEAVY, MAINTENANCE = "node_plan_light", "node_plan_heavy", "node_maintenance"
"""The loops' runs in ``pipeline_runs``; only who leads has such."""
MOST_NODES = 16

log = structlog.get_logger()


class Instance:
    """A node's place among those of its data directory, until it is left.

    Attributes:
        node: The node, under an owner of its own.
    """

    def __init__(self, node: Node, lock: FileLock) -> None:
        self.node = node
        self._locks = [lock]
        self._leads = node.slot == 0

    def leads(self) -> bool:
        """Whether this node runs the loops; it does from now on where nobody else does."""
        if not self._leads and (lock := _take(self.node, 0)) is not None:
            self._locks.append(lock)
            self._leads = True
            log.info("lead", owner=self.node.owner)
        return self._leads

    def leave(self) -> None:
        """Ends it."""
        for lock in self._locks:
            lock.release()


@contextmanager
def join_instance(node: Node) -> Iterator[Instance]:
    """The first free place; what its earlier holder left behind is given back.

    Raises:
        ConfigError: There are too many nodes already.
    """
    for slot in range(MOST_NODES):
        numbered = replace(node, slot=slot)
        if (lock := _take(numbered, slot)) is not None:
            instance = Instance(numbered, lock)
            try:
                yield instance
            finally:
                instance.leave()
            return
    raise ConfigError(f"{MOST_NODES} nodes are at work in {node.data_dir}; stop one")


@contextmanager
def alone(node: Node) -> Iterator[None]:
    """Leads while it lasts, so that no node runs the loops meanwhile.

    Raises:
        ConfigError: A node is running already.
    """
    lock = _take(node, 0)
    if lock is None:
        raise ConfigError(
            f"a node is at work in {node.data_dir}; it audits and fills gaps by itself, or stop it"
        )
    try:
        yield
    finally:
        lock.release()


def _take(node: Node, slot: int) -> FileLock | None:
    """Takes a number and gives back what a dead holder held; none where one lives."""
    path = _path(node.data_dir, slot)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    try:
        with node.queue() as queue, node.control() as control:
            queue.abandon(replace(node, slot=slot).owner)
            if slot == 0:
                interrupt_runs(control, (LIGHT, HEAVY, MISSING_HISTORY, GATE, MAINTENANCE))
    except BaseException:
        lock.release()
        raise
    return lock


def _path(data_dir: Path, slot: int) -> Path:
    return control_path(data_dir).with_name(f"node.{slot}.lock" if slot else "node.lock")
