"""The context of a data node: settings, clock, registry, limits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.clock import NodeClock
from ingest.control.database import Control, control_path
from ingest.control.limits import NodeLimits, limits_from
from ingest.control.queue import Providers, Queue
from ingest.control.reader import spent_lately
from ingest.control.tasks import KINDS, Kind
from ingest.node.providers import providers_of
from ingest.node.stage_file import read_stage
from ingest.transport.client import ClientFactory, VendorClient
from trademl.errors import ConfigError
from trademl.settings import Settings

Wait = Callable[[float], bool]
"""Lets so many seconds pass, fewer where the node is told to stop; whether it is to stop."""
Build = Callable[[Path, datetime], str]
"""Builds the lake of a data directory as of a time; the name of the version published."""


@dataclass(frozen=True, slots=True)
class Node:
    """One data node.

    Attributes:
        data_dir: The data directory.
        settings: Hosts, keys and limits.
        clock: The node's clock.
        wait: Lets time pass.
        build: The nightly build; the command line knows it, ``ingest`` does not.
        registry: What vendors serve.
        limits: What this node allows itself.
        base_url: Replaces every vendor's host, e.g. by a replay.
        make_client: Opens a client.
        durable: Whether the control file survives a power cut at every moment.
        slot: Its number among the nodes of its data directory, 0 for the one that leads.
    """

    data_dir: Path
    settings: Settings
    clock: NodeClock
    wait: Wait
    build: Build
    registry: Registry
    limits: NodeLimits
    base_url: str | None = None
    make_client: ClientFactory = VendorClient
    durable: bool = True
    slot: int = 0
    providers: Providers = field(init=False)

    def __post_init__(self) -> None:
        spent = spent_lately(control_path(self.data_dir), self.clock)
        providers = providers_of(self.registry, self.settings, lambda: self.now().date(), spent)
        object.__setattr__(self, "providers", providers)

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return self.clock.read().wall

    @property
    def owner(self) -> str:
        """Who holds the leases: no two nodes of a data directory have the same number."""
        return f"{self.settings.node_id}.{self.slot}" if self.slot else self.settings.node_id

    def is_stopping(self) -> bool:
        """Whether the node was told to stop."""
        return self.wait(0)

    @contextmanager
    def control(self) -> Iterator[Control]:
        """The control file, for one thread."""
        path = control_path(self.data_dir)
        with Control(path, self.clock, durable=self.durable) as control:
            yield control

    @contextmanager
    def queue(self) -> Iterator[Queue]:
        """The queue, for one thread."""
        with self.control() as control:
            yield Queue(control, self.registry, self.limits)

    def universe(self) -> Sequence[str] | None:
        """The symbols of the current stage; none where there are no stages: all that is listed.

        Raises:
            ConfigError: The stage's file cannot be read.
        """
        stage = read_stage(self.data_dir)
        return stage.symbols if stage else None

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of work that this environment does: without backfill, nothing of the past."""
        return KINDS if self.settings.backfill_enabled else ("FORWARD",)

    def require_backfill(self) -> None:
        """Refuses to fetch history where the environment disables it.

        Raises:
            ConfigError: It does.
        """
        if not self.settings.backfill_enabled:
            raise ConfigError("backfill_enabled is false here: see `trademl config show`")


def open_node(
    data_dir: Path,
    settings: Settings,
    clock: NodeClock,
    wait: Wait,
    build: Build,
    base_url: str | None = None,
) -> Node:
    """A node with the project's registry and the limits of its settings.

    Raises:
        ConfigError: The registry or a limit makes no sense.
    """
    registry = Registry.of(read_capabilities())
    limits = limits_from(settings, registry.vendors)
    return Node(data_dir, settings, clock, wait, build, registry, limits, base_url)
