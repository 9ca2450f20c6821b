"""Landing where the disk is full or read-only, and where the process is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.commands import in_namespace
from tests.support.markets import landed_files, leftovers
from tests.support.paths import PROJECT_ROOT

LAND = """
import sys, time
from datetime import UTC, date, datetime
from pathlib import Path
import numpy as np, pyarrow as pa
from ingest.vendors.registry import ENDPOINTS
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page, table_of
from trademl.errors import TradeMLError

BARS = ENDPOINTS["alpaca/bars_1d"]
PRICES = ("o", "h", "l", "c", "vw")
rng = np.random.default_rng(1)

def page(number, pause):
    time.sleep(pause)
    t = [datetime(2000 + number, 1, 1 + d % 28, d // 28, tzinfo=UTC) for d in range(600)]
    rows = [
        {"symbol": "AAA", "t": when, "v": 1.0, "n": 1, **{k: rng.random() for k in PRICES}}
        for when in t
    ]
    return Page(table_of(BARS, rows, pa.array(t, pa.timestamp("us", "UTC"))), "a" * 64, "u", "h")

def main(data, pages, pause):
    fetch = Fetch(BARS, "d", "h", date(2000, 1, 1), date(2020, 1, 1), ("AAA",))
    clock = datetime(2020, 3, 21, 13, tzinfo=UTC)
    made = (page(number, float(pause)) for number in range(int(pages)))
    try:
        print("landed", land(Path(data), fetch, made, clock).rows)
    except TradeMLError as error:
        print(type(error).__name__, error)

main(*sys.argv[1:])
"""


def command(data, pages, pause=0.0):
    return [sys.executable, "-c", LAND, str(data), str(pages), str(pause)]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    script = """
        mount -t tmpfs -o size=64k tmpfs "$1"; shift
        "$@"
        find "$4" -name '*.parquet' -o -name '*.part'
    """
    done = in_namespace(script, tmp_path, *command(tmp_path, 10))
    assert done.stdout.startswith("DataError cannot write alpaca/bars_1d under"), done
    assert "No space left on device" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_read_only_disk_is_one_line(tmp_path):
    script = """
        mount -t tmpfs -o ro tmpfs "$1"; shift
        "$@"
    """
    done = in_namespace(script, tmp_path, *command(tmp_path, 1))
    assert done.stdout.startswith("DataError cannot write alpaca/bars_1d under"), done
    assert "Read-only file system" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("after", [0.0, 0.15, 0.3])
def test_a_killed_landing_leaves_nothing_visible_and_the_next_one_sweeps(tmp_path, after):
    doomed = subprocess.Popen(
        command(tmp_path, 1000, 0.01), cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL
    )
    staging = tmp_path / "raw" / ".staging"
    deadline = time.monotonic() + 30
    while not list(staging.glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    assert len(leftovers(tmp_path)) == 1
    assert landed_files(tmp_path, "alpaca/bars_1d") == []

    done = subprocess.run(
        command(tmp_path, 2), cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "landed 1200\n", done
    assert leftovers(tmp_path) == [path.name for path in landed_files(tmp_path, "alpaca/bars_1d")]
