"""The node's memory over a simulated month of forward ingest, without builds: it is to stay flat.

Run it with ``python -m tests.bench.memory``. One process lives through all days; the replay is in it.
"""

import gc
import json
import logging
import tempfile
import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import psutil
import structlog

from ingest.node.daemon import work
from ingest.node.planning.forward import forward
from simulator.replay.server import ReplayServer
from tests.support.markets import COINS, FIRST, SYMBOLS, small_market, write
from tests.support.nodes import Steps, make_node
from trademl.sessions import sessions_between

DAYS, SHOWN = 30, (1, 10, 20, 30)
BEGIN = FIRST + timedelta(days=10)
POLLS = 4
"""A node polls 96 times a day, most of them with nothing to do."""


def bench_memory() -> dict[str, object]:
    """Prints and returns one JSON line: resident MB at the end of some days."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    process, resident = psutil.Process(), {}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        market, data = month(Path(folder) / "market"), Path(folder) / "data"
        steps = Steps(datetime.combine(BEGIN, time_of_day(2), UTC))
        for day in range(1, DAYS + 1):
            for _ in range(POLLS):
                with ReplayServer(market, steps.wall) as server:
                    node = make_node(data, server, steps)
                    forward(node)
                    work(node)
                    steps.wait(86_400 / POLLS)
            if day in SHOWN:
                gc.collect()
                resident[f"day {day}"] = round(process.memory_info().rss / 1e6, 1)
        files = sum(1 for _ in (data / "raw").rglob("*.parquet"))
    line: dict[str, object] = {
        "bench": "node_memory",
        "resident_mb": resident,
        "growth": round(resident["day 30"] / resident["day 10"], 3),
        "files": files,
        "cpu_seconds": round(time.process_time(), 1),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(line), flush=True)
    return line


def month(folder: Path) -> Path:
    """The small market with bars over all days of the bench."""
    small_market(folder)
    end = BEGIN + timedelta(days=DAYS)
    price = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    equities = [
        {"symbol": symbol, "date": session.day, **price, "volume": 1000}
        for symbol in SYMBOLS
        for session in sessions_between(FIRST, end)
    ]
    coins = [
        {"symbol": coin, "date": FIRST + timedelta(days=day), **price, "quote_volume": 5000.0}
        for coin in COINS
        for day in range((end - FIRST).days + 1)
    ]
    write(folder, "equities_daily", equities)
    write(folder, "crypto_daily", coins)
    return folder


if __name__ == "__main__":
    bench_memory()
