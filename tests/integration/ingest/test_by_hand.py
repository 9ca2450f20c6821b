"""Commands typed by hand share the data node's budget, and leave its clock alone."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.budget import Budget
from ingest.control.clock import machine_clock, stamp
from ingest.control.database import Control, control_path
from ingest.control.limits import NodeLimits
from ingest.control.metered_client import client_by_hand
from simulator.replay.server import ReplayServer
from tests.support.markets import MORNING_AFTER, landed_files, small_market
from trademl.cli.discover import discover_command
from trademl.cli.ingest import ingest_group
from trademl.errors import DataError, VendorError

REGISTRY = Registry.of(read_capabilities())
NODE_TIME = datetime(2031, 5, 6, 12, tzinfo=UTC)
"""What the node's clock says; the commands are given another."""
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
CALLS = 2
"""Of one landing of the assets: the active ones and the others."""
CAP = REGISTRY.row("alpaca", "assets").soft_daily_cap


@pytest.fixture
def server(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as serving:
        yield serving


class Running:
    """The control file of a node at work."""

    def __init__(self, data):
        ahead = NODE_TIME - datetime.now(UTC)
        clock = machine_clock(lambda: datetime.now(UTC) + ahead)
        self.control = Control(control_path(data), clock, durable=False)
        self.budget = Budget(self.control, REGISTRY, NodeLimits())
        self.budget.state("alpaca")

    def spends(self, calls, dataset="assets"):
        with self.control.transaction() as tx:
            state = self.budget.look(tx, "alpaca")
            self.budget.spend(tx, state, "alpaca", dataset, calls)

    def spent(self, vendor="alpaca"):
        return dict(self.budget.state(vendor).spent)

    def clock(self):
        with self.control.transaction() as tx:
            return tx.con.execute("select * from node_clock").fetchall()


@pytest.fixture
def node(data):
    return Running(data)


def by_hand(server, data, dataset="assets", **changes):
    words = ["run", "--vendor", "alpaca", "--dataset", dataset, "--data", str(data)]
    keys = {"APCA_API_KEY_ID": "test-key", "APCA_API_SECRET_KEY": "hush-hush"}
    return CliRunner().invoke(
        ingest_group,
        [*words, "--base-url", server.url, "--clock", MORNING_AFTER.isoformat()],
        env={**keys, **changes},
    )


def test_calls_by_hand_are_some_of_the_nodes(server, data, node):
    before = node.clock()
    assert by_hand(server, data).exit_code == 0
    assert node.spent() == {"assets": CALLS}
    assert node.clock() == before
    # What needs no call costs none.
    assert "nothing to do" in by_hand(server, data).output
    assert node.spent() == {"assets": CALLS}


def test_a_spent_day_ends_the_command_before_it_asks(server, data, node):
    node.spends(CAP)
    refused = by_hand(server, data)
    assert isinstance(refused.exception, VendorError)
    assert "the day's calls of assets at alpaca are spent" in str(refused.exception)
    assert node.spent() == {"assets": CAP}
    assert landed_files(data, "alpaca/assets") == []


def test_the_last_calls_of_the_day_are_nobody_elses(server, data, node):
    node.spends(CAP - CALLS)
    assert by_hand(server, data).exit_code == 0
    assert node.budget.take("alpaca", "assets", "FORWARD").value == "day_spent"


def test_a_vendor_that_refused_the_node_is_left_alone_by_hand_too(server, data, node):
    node.budget.freeze("alpaca", 600)
    refused = by_hand(server, data)
    assert "left alone" in str(refused.exception)
    assert isinstance(refused.exception, VendorError)
    assert node.spent() == {}


def test_what_has_no_row_of_its_own_counts_at_its_vendor(server, data, node):
    assert by_hand(server, data).exit_code == 0
    assert by_hand(server, data, "corp_actions").exit_code == 0
    assert sum(node.spent().values()) > CALLS
    assert node.spent()["assets"] == CALLS


def test_without_a_token_the_command_waits(data, node):
    waited = []

    def wait(seconds):
        waited.append(seconds)
        with node.control.transaction() as tx:
            tx.con.execute("update vendor_buckets set tokens = 1")

    client = client_by_hand(data, "alphavantage", "universe_pit", NODE_TIME, wait)
    with client("alphavantage", "http://127.0.0.1:1", tries=1, timeout=1) as asking:
        for _ in range(2):
            with pytest.raises(VendorError, match="broke off"):
                asking.get("/query", {}, bytes)
    assert waited == [1.0]
    assert node.spent("alphavantage") == {"universe_pit": 2}


def test_a_discovery_counts_too(server, data, node):
    named = ["--run-id", "r", "--scanner", "us_equities_momentum_long", "--data", str(data)]
    where = ["--base-url", server.url, "--clock", MORNING_AFTER.isoformat()]
    CliRunner().invoke(discover_command, [*named, *where])
    assert node.spent("tradingview")["technical_rating_live"] >= 1


def test_without_a_node_nothing_is_counted(server, data):
    assert by_hand(server, data).exit_code == 0
    assert not control_path(data).exists()


def test_a_control_file_that_cannot_be_used_is_named(server, data):
    control_path(data).parent.mkdir(parents=True)
    control_path(data).write_text("tea" * 1000)
    refused = by_hand(server, data)
    assert isinstance(refused.exception, DataError)
    assert "node.sqlite cannot be read" in str(refused.exception)


def test_a_chosen_clock_does_not_move_that_of_a_node_that_is_down(server, data, node):
    with node.control.transaction() as tx:
        tx.con.execute("update node_clock set boot = 'an earlier one'")
        tx.con.execute("update vendor_buckets set refilled_at = ?", (stamp(YESTERDAY),))
    assert by_hand(server, data).exit_code == 0
    with node.control.transaction() as tx:
        days = tx.con.execute("select distinct day from vendor_days").fetchall()
    assert all(day >= YESTERDAY.date().isoformat() for (day,) in days)
