"""The control tables as docs/specification/control-plane.md has them, read as any SQL client reads them."""

import sqlite3

import pytest

from ingest.control.database import Control, control_path
from ingest.control.pipeline_runs import finish_run, pipeline_runs, start_run
from ingest.control.reader import read_state
from tests.support.queues import NOON, FakeTime, Node, work
from trademl.errors import DataError, SchemaDrift

QUEUE = [
    "id", "dataset", "symbol", "start_date", "end_date", "kind", "priority", "status", "attempts",
    "lease_owner", "lease_expires_at", "next_not_before", "last_error", "created_at", "updated_at",
]  # fmt: skip
RUNS = [
    "id", "pipeline_name", "params_json", "status", "started_at", "finished_at", "metrics_json",
    "artifact_uri",
]  # fmt: skip


@pytest.fixture
def con(tmp_path):
    """A second connection to a node's file, as a stranger has it."""
    path = control_path(tmp_path)
    node = Node(path=path)
    node.queue.add([work("A"), work(None)])
    con = sqlite3.connect(path, isolation_level=None)
    yield con
    con.close()
    node.control.close()


def test_columns_constraints_and_index_are_those_of_the_specification(con):
    for table, columns in (
        ("backfill_queue", QUEUE),
        ("backfill_tasks", QUEUE),
        ("pipeline_runs", RUNS),
    ):
        assert [row[1] for row in con.execute(f"pragma table_info({table})")] == columns
    index = con.execute("pragma index_info(idx_backfill_queue_status)").fetchall()
    assert [row[2] for row in index] == ["status", "priority", "created_at"]
    unique = con.execute("pragma index_info(sqlite_autoindex_backfill_queue_1)").fetchall()
    assert [row[2] for row in unique] == ["dataset", "symbol", "start_date", "end_date", "kind"]
    assert con.execute("pragma journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'LATER'",
        "status = 'LOST'",
        "status = 'LEASED'",
        "lease_owner = 'me'",
        "end_date = start_date",
        "attempts = -1",
        "symbol = null",
        "symbol = 'A'",
        "dataset = ''",
    ],
)
def test_the_file_itself_refuses_nonsense(con, change):
    with pytest.raises(sqlite3.IntegrityError):
        con.execute(f"update backfill_queue set {change} where id = 2")


def test_the_next_task_is_found_by_index(con):
    plan = con.execute(
        "explain query plan select * from backfill_queue where status = 'PENDING'"
        " order by priority, created_at limit 1"
    ).fetchall()
    assert "USING INDEX idx_backfill_queue_status" in plan[0][3]
    assert len(plan) == 1


@pytest.fixture
def record(tmp_path):
    time = FakeTime()
    with Control(tmp_path / "node.sqlite", time.clock()) as control:
        yield control, time


def test_a_run_is_recorded_from_its_start_to_its_end(record):
    control, time = record
    run_id = start_run(control, "equities_xs_train", {"seed": 7})
    (running,) = pipeline_runs(control)
    assert (running.status, running.params, running.finished_at) == ("RUNNING", {"seed": 7}, None)
    time.passes(90)
    finish_run(control, run_id, "SUCCEEDED", {"dsr": 0.9}, "models/1")
    (ended,) = pipeline_runs(control, "equities_xs_train")
    assert (ended.status, ended.metrics, ended.artifact_uri) == (
        "SUCCEEDED",
        {"dsr": 0.9},
        "models/1",
    )
    assert (ended.started_at, (ended.finished_at - NOON).total_seconds()) == (NOON, 90)


def test_runs_come_latest_first_and_each_has_its_own_id(record):
    control, _time = record
    ids = [start_run(control, name, {}) for name in ("a", "b", "a")]
    assert len(set(ids)) == 3
    assert [run.id for run in pipeline_runs(control)] == ids[::-1]
    assert [run.id for run in pipeline_runs(control, "a")] == [ids[2], ids[0]]


def test_a_run_ends_once(record):
    control, _time = record
    run_id = start_run(control, "a", {})
    finish_run(control, run_id, "FAILED")
    for unknown in (run_id, "no-such-run"):
        with pytest.raises(DataError, match="is running"):
            finish_run(control, unknown, "SUCCEEDED")
    assert pipeline_runs(control)[0].status == "FAILED"


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_what_json_cannot_hold_is_refused_in_words(record, value):
    control, _time = record
    with pytest.raises(DataError, match="cannot record"):
        start_run(control, "a", {"value": value})
    assert pipeline_runs(control) == []


def test_what_a_task_failed_of_is_a_code_beside_its_message(con, tmp_path):
    """Programs compare the code: whoever rewords a message changes nothing."""
    node = Node(path=control_path(tmp_path))
    node.queue.fail(node.lease(), "the words do not matter", SchemaDrift.code)
    node.queue.defer(node.lease(), "stopped")
    node.control.close()
    kept = con.execute(
        "select last_error, code, vendor from task_errors"
        " inner join backfill_queue on id = task_id order by code"
    )
    assert kept.fetchall() == [
        ("the words do not matter", "SCHEMA_DRIFT", "acme"),
        ("stopped", "STOPPED", "acme"),
    ]
    # A task that only waits for its turn is not a trouble.
    state = read_state(control_path(tmp_path), NOON, ("acme",), 5)
    assert state.troubles == ("1 of equities_bars_1d: the words do not matter",)


def test_a_file_of_the_first_schema_is_upgraded_where_it_lies(con, tmp_path):
    con.execute("update backfill_queue set last_error = 'said long ago' where id = 1")
    con.execute("update backfill_queue set last_error = 'budget' where id = 2")
    con.execute("drop table task_errors")
    con.execute("pragma user_version = 1")
    looked = read_state(control_path(tmp_path), NOON, ("acme",), 5)
    assert con.execute("pragma user_version").fetchone() == (1,), "a look changes nothing"
    Control(control_path(tmp_path), FakeTime().clock()).close()
    assert con.execute("pragma user_version").fetchone() == (2,)
    kept = con.execute("select * from task_errors order by 1").fetchall()
    assert kept == [(1, "UNKNOWN", None), (2, "BUDGET", None)]
    upgraded = read_state(control_path(tmp_path), NOON, ("acme",), 5)
    assert looked.troubles == upgraded.troubles == ("1 of equities_bars_1d: said long ago",)
    assert con.execute("select count(*) from backfill_queue").fetchone() == (2,)
