"""The data node's tables in the DuckDB CLI, without an extension for SQLite."""

import subprocess
import sys
from datetime import date

from ingest.control.tasks import Work
from tests.support.nodes import Steps, make_node, publish


class Nowhere:
    url = "http://127.0.0.1:1"


def asked(data, query):
    """What ``trademl shell`` answers."""
    command = [sys.executable, "-m", "trademl.cli", "shell", "--data", str(data), "-c", query]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_queue_and_runs_are_queried_as_they_are_now(data):
    publish(data, {})
    lake = "select count(*) > 0 as green from quality.partition_status where status = 'GREEN'"
    assert "true" in asked(data, lake)
    node = make_node(data, Nowhere, Steps())
    days = (date(2020, 3, 2), date(2020, 3, 3))
    query = "select dataset, symbol, start_date + 1 as after, status from backfill_queue"
    with node.queue() as queue:
        queue.add([Work("assets", *days, "GAP")])
        first = asked(data, query)
        assert all(word in first for word in ("assets", "NULL", "2020-03-03", "PENDING"))
        queue.add([Work("equities_bars_1d", *days, "GAP", "AAA")])
        assert "AAA" in asked(data, query)
    assert "0" in asked(data, "select count(*) from pipeline_runs")
