"""A node on a small market, with a clock that only the test moves."""

import threading
from datetime import date, timedelta
from functools import partial

import pyarrow as pa
from pydantic import SecretStr

from ingest.control.clock import NodeClock
from ingest.landing.writer import Fetch, land
from ingest.node.context import open_node
from ingest.node.planning.audit import Scope
from ingest.transport.client import VendorClient
from ingest.vendors.registry import ENDPOINTS
from tests.support.markets import FIRST, LAST, MORNING_AFTER, SYMBOLS, trading_days
from tests.support.published_tables import publish_tables
from trademl.clock import iso
from trademl.settings import Settings

EQUITIES = "curated/equities_ohlcv_adj"
ALL_DAYS = Scope(FIRST, LAST + timedelta(days=1))
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


QUARANTINE = pa.schema(
    [
        ("symbol", pa.string()),
        ("session_date", pa.date32()),
        ("reason", pa.string()),
        ("verdict", pa.string()),
    ]
)


def publish(data, missing, symbols=SYMBOLS, spells=(), toxic=(), more=None):
    """All sessions of the symbols GREEN but for ``{(symbol, day): (status, code)}``."""
    rows = [
        {"source_name": "alpaca", "table_name": EQUITIES, "symbol": f"id-{symbol}", "dt": day}
        | dict(zip(("status", "qc_code"), missing.get((symbol, day), ("GREEN", "OK")), strict=True))
        for symbol in symbols
        for day in trading_days()
    ]
    named = {name for name, *_ in spells}
    spells = [*spells, *((name, f"id-{name}", None, None) for name in symbols if name not in named)]
    columns = ("symbol", "security_id", "valid_from", "valid_to")
    identities = [
        dict(zip(columns, spell, strict=True)) | {"asset_class": "equity"} for spell in spells
    ]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("symbol", "security_id", "asset_class")),
            *((name, pa.date32()) for name in ("valid_from", "valid_to")),
        ]
    )
    return publish_tables(
        data,
        {
            "quality.partition_status": pa.Table.from_pylist(rows),
            "reference.symbols": pa.Table.from_pylist(identities, schema=schema),
            "curated.equities_ohlcv_adj": pa.table(
                {
                    "security_id": ["id-AAA"],
                    "session_date": [FIRST],
                    "close": [1.5],
                    "volume": [10.0],
                }
            ),
            "quality.quarantine_bars": pa.Table.from_pylist(
                [
                    dict(zip(QUARANTINE.names, (*key, "TOXIC_RETURN", "rejected"), strict=True))
                    for key in toxic
                ],
                schema=QUARANTINE,
            ),
            **(more or {}),
        },
        iso(MORNING_AFTER),
    )


def red(symbol, *days):
    return {(symbol, date(2020, 3, day)): ("RED", "NO_DATA") for day in days}
