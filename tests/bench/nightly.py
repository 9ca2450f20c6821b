"""The nightly build of one new day beside the full build, wall time and peak memory of each step.

On the real market where its folder is beside the checkout, else on a simulated one of 500 names.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psutil

from simulator.market.clocks import market_clock, previous_clock
from simulator.market.simulate import simulate_market
from trademl.clock import iso
from trademl.lake import versions as lake

REAL_MARKET = lake.PROJECT_ROOT.parent / "shared" / "data" / "market_us"
LAND = """
import sys
from pathlib import Path
from ingest.sync import run_ingest
from trademl.cli.demo import datasets_of, replayed_vendors, symbols_of
from trademl.clock import parse_clock
market, data, clock = Path(sys.argv[1]), Path(sys.argv[2]), parse_clock(sys.argv[3])
with replayed_vendors(market, clock, "") as (url, settings):
    for vendor, dataset in datasets_of(market):
        base = url if vendor in ("alpaca", "binance") else None
        run_ingest(vendor, dataset, data_dir=data, clock=clock, settings=settings, base_url=base,
                   symbols=symbols_of(market, dataset))
"""


def lines() -> Iterator[dict[str, Any]]:
    """One measurement a step, and the ratio of the nightly build to the full one."""
    with tempfile.TemporaryDirectory() as folder:
        market, data = _market(Path(folder)), Path(folder) / "data"
        walls: dict[str, float] = {}
        for name, clock in (
            ("full", previous_clock(market, sessions_back=1)),
            ("nightly", market_clock(market)),
        ):
            yield _step(f"land_{name}", walls, [sys.executable, "-c", LAND], market, data, clock)
            build = [sys.executable, "-m", "trademl.cli", "build", "--data", str(data)]
            yield _step(f"build_{name}", walls, [*build, "--clock", iso(clock)])
        yield {
            "bench": "nightly_over_full_build",
            "market": market.name,
            "ratio": round(walls["build_nightly"] / walls["build_full"], 3),
            "goal": "<= 0.2",
        }


def _market(folder: Path) -> Path:
    if REAL_MARKET.is_dir():
        return REAL_MARKET
    market = folder / "simulated"
    simulate_market(market, seed=7, n_symbols=500, start=date(2010, 1, 4), end=date(2024, 12, 31))
    return market


def _step(
    name: str,
    walls: dict[str, float],
    command: list[str],
    market: Path | None = None,
    data: Path | None = None,
    clock: datetime | None = None,
) -> dict[str, Any]:
    if market is not None and data is not None and clock is not None:
        command = [*command, str(market), str(data), iso(clock)]
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process))
        time.sleep(0.1)
    walls[name] = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{name} ended with exit code {process.returncode}")
    return {"bench": name, "seconds": round(walls[name], 1), "peak_rss_gb": round(peak / 1e9, 2)}


def _resident(process: psutil.Popen) -> int:
    """Resident bytes of the process and its children."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        return total
    return total


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line), flush=True)
