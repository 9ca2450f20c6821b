"""A vendor is added for real: its own folders and its row in the registry, and nothing else.

What ``docs/extending/vendor.md`` tells is done here in a copy of the project with the made-up vendor
of ``tests/support/made_up_vendor``.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.markets import MORNING_AFTER, SYMBOLS, small_market
from trademl.clock import iso

ROOT = Path(__file__).resolve().parents[3]
MADE_UP = ROOT / "tests" / "support" / "made_up_vendor"
COPIED = (
    *("ingest", "simulator", "trademl", "optimize", "models_ml"),
    *("dbt_project", "macros", "seeds", "snapshots", "tests/data"),
    *("dbt_project.yml", "profiles.yml", "pyproject.toml"),
)
SCRIPT = """
import json, sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import ingest.vendors.tidewater
from ingest.control.clock import NodeClock
from ingest.node.context import open_node
from ingest.node.daemon import work
from ingest.node.planning.forward import ages, forward
from ingest.sync import run_ingest
from simulator.replay.server import ReplayServer
from trademl.clock import parse_clock
from trademl.settings import Settings

market, data, clock = Path(sys.argv[1]), Path(sys.argv[2]), parse_clock(sys.argv[3])
settings = Settings(_env_file=None)


passed = [0.0]


def wait(seconds):
    passed[0] += seconds
    return False


def node_at(moment, url):
    wall, steady = lambda: moment + timedelta(seconds=passed[0]), lambda: 1000.0 + passed[0]
    return open_node(data, settings, NodeClock(wall, steady, "boot-1"), wait, None, url)


def landed():
    return len(list((data / "raw/tidewater/borrow_rates").rglob("*.parquet")))


with ReplayServer(market, clock + timedelta(days=3)) as server:
    land = partial(
        run_ingest, "tidewater", "borrow_rates", data_dir=data, clock=clock, settings=settings,
        base_url=server.url,
    )
    by_hand, again = land(), land()
    fresh = ages(node_at(clock, server.url))["borrow_rates"].is_fresh
    # Saturday's clock: the next session is over on Monday evening.
    node = node_at(clock + timedelta(days=3), server.url)
    fresh_later, before = ages(node)["borrow_rates"].is_fresh, landed()
    forward(node)
    work(node, is_done_when_idle=True)
print(json.dumps({
    "folder": str(Path(ingest.vendors.tidewater.__file__).parent),
    "by_hand": [by_hand.rows, by_hand.calls],
    "again": [again.rows, again.calls],
    "is_fresh": [fresh, fresh_later],
    "landed": [before, landed()],
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with one more vendor; what was changed besides adding folders is one file."""
    copy = tmp_path_factory.mktemp("project")
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, copy / name)
    for folder in ("ingest", "simulator", "dbt_project"):
        for source in (MADE_UP / folder).rglob("*"):
            target = copy / source.relative_to(MADE_UP)
            if source.is_file():
                assert not target.exists(), f"{target} is another's"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    rows = (MADE_UP / "vendor_capabilities_rows.csv").read_text(encoding="utf-8")
    with open(copy / "seeds" / "flow_data" / "vendor_capabilities.csv", "a", encoding="utf-8") as f:
        f.write(rows)
    return copy


def run(project, *command, **environment):
    """A command of the copied project, in it; what it printed."""
    given = os.environ | {"PYTHONPATH": str(project)} | environment
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=given, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def test_a_new_vendor_is_played_landed_kept_up_to_date_and_staged(project, tmp_path):
    market, data = tmp_path / "market", tmp_path / "data"
    small_market(market)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    told = json.loads(
        run(project, str(script), str(market), str(data), iso(MORNING_AFTER)).splitlines()[-1]
    )
    # Landed by hand, then complete; after the next session the node asks for it by itself.
    assert told == {
        "folder": str(project / "ingest" / "vendors" / "tidewater"),
        "by_hand": [len(SYMBOLS), 1],
        "again": [0, 0],
        "is_fresh": [True, False],
        "landed": [1, 2],
    }
    shown = run(
        project,
        *("-m", "dbt.cli.main", "show", "--quiet", "--output", "json", "--limit", "10"),
        *("--select", "stg_tidewater__borrow_rates"),
        *("--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")),
        TRADEML_DATA=str(data),
        TRADEML_CLOCK=iso(MORNING_AFTER),
    )
    rows = json.loads(shown[shown.index("{") :])["show"]
    assert {row["symbol"] for row in rows} == set(SYMBOLS)
    assert {row["borrow_fee_pct"] for row in rows} == {0.25}
