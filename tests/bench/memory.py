"""The node's memory over a simulated month of forward ingest, without builds: it is to stay flat.

Run it with ``python -m tests.bench.memory``. One process lives through all days; the replay is in it.
"""

import gc
import json
import logging
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
import structlog

from ingest.forward import forward
from ingest.node import work
from ingest.replay.server import ReplayServer
from tests.integration.node_support import Steps, make_node
from tests.unit.ingest.markets import FIRST, LAST, small_market
from tests.unit.ingest.markets import MORNING_AFTER as END

SHOWN = (1, 10, 20)


def bench_memory() -> dict[str, object]:
    """Prints and returns one JSON line: resident MB at the end of some days."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    process, resident = psutil.Process(), {}
    days = (LAST - FIRST).days
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        market, data = small_market(Path(folder) / "market"), Path(folder) / "data"
        steps = Steps(END - timedelta(days=days))
        for day in range(1, days + 1):
            with ReplayServer(market, steps.wall) as server:
                node = make_node(data, server, steps)
                for _ in range(4):
                    forward(node)
                    work(node)
                    steps.wait(6 * 3600)
            if day in SHOWN or day == days:
                gc.collect()
                resident[f"day {day}"] = round(process.memory_info().rss / 1e6, 1)
    line: dict[str, object] = {
        "bench": "node_memory",
        "resident_mb": resident,
        "growth": round(list(resident.values())[-1] / resident["day 10"], 3),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(line), flush=True)
    return line


if __name__ == "__main__":
    bench_memory()
