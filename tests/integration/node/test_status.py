"""``trademl node status`` and the dashboard of ``node run``: what they say, and that they disturb
nobody."""

import io
import threading
import time
from datetime import date

import pytest
from click.testing import CliRunner
from rich.console import Console

from ingest.control.database import control_path
from ingest.control.pipeline_runs import finish_run, start_run
from ingest.control.tasks import Work
from ingest.node.context import open_node
from tests.support.markets import MORNING_AFTER
from tests.support.nodes import Steps, no_build
from tests.support.replays import KEYS, SECRET
from trademl.cli.node import backfill_group, node_group
from trademl.cli.node_status import watch
from trademl.clock import iso
from trademl.errors import VendorError


@pytest.fixture
def node(tmp_path):
    steps = Steps()
    return open_node(tmp_path / "data", KEYS, steps.clock(), steps.wait, no_build)


def queue_work(node, *symbols):
    with node.queue() as queue:
        days = (date(2020, 3, 2), date(2020, 3, 3))
        queue.add([Work("equities_bars_1d", *days, "BOOTSTRAP", name) for name in symbols])


def freeze(node, vendor, seconds):
    with node.queue() as queue:
        queue.budget.freeze(vendor, seconds)


def fail_a_run(node, error):
    with node.control() as control:
        finish_run(control, start_run(control, "node_maintenance", {}), "FAILED", {"error": error})


def seen(node, *, is_terminal, until):
    """What is shown until a text is in it."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=is_terminal, width=160, color_system=None)
    with watch(node, console, 0.01):
        ends = time.monotonic() + 20
        while until not in screen.getvalue() and time.monotonic() < ends:
            time.sleep(0.01)
    return screen.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "journal"])
class TestWatch:
    def test_before_there_is_a_control_file(self, node, is_terminal):
        said = seen(node, is_terminal=is_terminal, until="no control file yet")
        assert "trademl setup node" in said
        assert not node.data_dir.exists()

    def test_an_empty_queue(self, node, is_terminal):
        queue_work(node)
        said = seen(node, is_terminal=is_terminal, until="vendor massive")
        assert "empty" in said
        assert "0 of 5000 calls today, 0 tasks in flight" in said
        assert "frozen" not in said

    def test_work_a_frozen_vendor_and_a_failed_run(self, node, is_terminal):
        queue_work(node, "AAA", "BBB")
        with node.queue() as queue:
            assert queue.lease_next("me", lambda _task: ["alpaca"])
        freeze(node, "massive", 600)
        fail_a_run(node, "[red] is not a markup [/] here")
        said = seen(node, is_terminal=is_terminal, until="node_maintenance")
        assert "queue BOOTSTRAP LEASED" in said
        assert "1 of 100000 calls today, 1 tasks in flight" in said
        assert "0 of 5000 calls today, 0 tasks in flight, frozen until 13:10:00 UTC" in said
        assert "FAILED at 2020-03-21 13:00 UTC [red] is not a markup [/] here" in said
        assert SECRET not in said
        assert "test-key" not in said

    def test_what_changes_is_shown(self, node, is_terminal):
        queue_work(node)
        threading.Timer(0.1, queue_work, (node, "AAA")).start()
        said = seen(node, is_terminal=is_terminal, until="queue BOOTSTRAP PENDING")
        assert "empty" in said

    def test_a_file_that_is_no_control_file_is_said(self, node, is_terminal):
        path = control_path(node.data_dir)
        path.parent.mkdir(parents=True)
        path.write_text("tea" * 1000)
        assert "cannot be read" in seen(node, is_terminal=is_terminal, until="cannot be read")


def test_a_journal_gets_one_whole_line_a_look(node):
    queue_work(node, "AAA")
    fail_a_run(node, "a long story " * 30)
    said = seen(node, is_terminal=False, until="node_maintenance")
    assert all(line.startswith("node ") for line in said.splitlines())
    assert "\x1b" not in said


@pytest.fixture
def status(node, monkeypatch):
    monkeypatch.setenv("TRADEML_DATA", str(node.data_dir))
    monkeypatch.setenv("TRADEML_CLOCK", iso(MORNING_AFTER))
    monkeypatch.setenv("ALPACA_SECRET_KEY", SECRET)
    monkeypatch.setenv("ALPACA_API_KEY", "test-key")
    return lambda *options: CliRunner().invoke(node_group, ["status", *options])


def test_status_of_an_empty_directory_makes_nothing_of_it(node, status):
    done = status()
    assert done.exit_code == 0
    assert "equities_bars_1d: behind, newest nothing, expected 2020-03-20" in done.output
    assert "queue: no control file yet" in done.output
    assert not control_path(node.data_dir).exists()


def test_status_neither_waits_for_a_node_nor_moves_its_clock(node, status):
    queue_work(node, "AAA")
    freeze(node, "alpaca", 60)
    with node.control() as control, control.transaction() as tx:
        tx.con.execute("delete from backfill_queue")
        begun = time.monotonic()
        done = status("--clock", "2031-01-01")
        assert time.monotonic() - begun < 10  # a writer would wait for a minute and then fail
    assert "queue BOOTSTRAP PENDING: 1\n" in done.output  # what was last committed
    assert SECRET not in done.output
    with node.queue() as queue:
        assert queue.budget.state("alpaca").is_frozen


@pytest.mark.parametrize(
    ("group", "command"), [(node_group, "once"), (backfill_group, "run")], ids=["once", "backfill"]
)
def test_a_pass_in_which_nothing_could_be_asked_fails(node, monkeypatch, no_waits, group, command):
    data = node.data_dir
    monkeypatch.chdir(data.parent)
    # What is not there to answer is left alone for this long before the next try.
    monkeypatch.setenv("VENDOR_FREEZE_SECONDS_DEFAULT", "1")
    with node.queue() as queue:
        days = (date(2020, 3, 2), date(2020, 3, 3))
        queue.add([Work("crypto_bars_1d", *days, "GAP", "BTCUSDT")])
    where = ["--data", str(data), "--base-url", "http://127.0.0.1:1", "--clock", iso(MORNING_AFTER)]
    failed = CliRunner().invoke(group, [command, *where])
    assert isinstance(failed.exception, VendorError), failed.output
    assert "no task was done" in str(failed.exception)
    assert "broke off" in str(failed.exception)
    assert "tasks: " in failed.output
    assert ("no lake was built" in failed.output) == (command == "once")
    assert not (data / "lakehouse").exists()
    assert not (data / "exports").exists()
