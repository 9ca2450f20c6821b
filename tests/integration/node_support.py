"""A node on a small market, with a clock that only the test moves."""

import threading
from datetime import timedelta
from functools import partial

from pydantic import SecretStr

from ingest.control.clock import NodeClock
from ingest.landing.writer import Fetch, land
from ingest.node.context import open_node
from ingest.transport.client import VendorClient
from ingest.vendors.registry import ENDPOINTS
from tests.unit.ingest.markets import MORNING_AFTER
from trademl.settings import Settings

KEYS = Settings(alpaca_key_id="test-key", alpaca_secret_key="hush-hush", _env_file=None)
"""The vendors of the lake, and no other."""
PROBING = KEYS.model_copy(update={"massive_api_key": SecretStr("hush-hush")})
"""With a second vendor to ask."""
QUICK = partial(VendorClient, timeout=5, tries=1)


class Steps:
    """Both clocks, moved by whoever waits; ``stop`` ends whoever waits next."""

    def __init__(self, wall=MORNING_AFTER):
        self.wall, self.steady, self.stop = wall, 1000.0, False
        self._lock = threading.Lock()

    def wait(self, seconds):
        with self._lock:
            self.wall += timedelta(seconds=seconds)
            self.steady += seconds
        return self.stop

    def clock(self):
        return NodeClock(lambda: self.wall, lambda: self.steady, "boot-1")


def no_build(_data, _clock):
    raise AssertionError("nothing is to be built")


def make_node(data, server, steps, build=no_build, make_client=QUICK, settings=KEYS):
    node = open_node(data, settings, steps.clock(), steps.wait, build, server.url)
    object.__setattr__(node, "make_client", make_client)
    object.__setattr__(node, "durable", False)
    return node


def cover(data, endpoint, symbols, first, last, clock=MORNING_AFTER):
    """Lands a file without rows: the vendor was asked for the window, and had nothing."""
    place = ENDPOINTS[endpoint]
    fetch = Fetch(place, place.name, f"{first}", first, last, tuple(symbols))
    return land(data, fetch, [], clock).path


def tasks(node, columns="dataset, symbol, kind, status"):
    with node.control() as control, control.transaction() as tx:
        return tx.con.execute(f"select {columns} from backfill_queue order by id").fetchall()


def spent(node):
    """Calls of the day by vendor, where there were any."""
    with node.queue() as queue:
        found = {v: queue.budget.state(v).spent_today for v in node.registry.vendors}
    return {vendor: calls for vendor, calls in found.items() if calls}
