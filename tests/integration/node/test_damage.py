"""A landed file with a sound footer and damaged rows: it is named, and the node goes on."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from ingest.control.pipeline_runs import pipeline_runs
from ingest.control.tasks import Task
from ingest.landing import bookmarks
from ingest.landing.unanswered import unanswered_symbols
from ingest.node.daemon import run_once, tick, work
from ingest.node.instances import HEAVY, alone
from ingest.node.planning.probes import compare
from ingest.node.stage_file import Stage, tasks_for, write_stage
from ingest.node.stages.missing_history import MISSING_HISTORY
from ingest.vendors.dataset import newest_rows
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from tests.support.markets import LAST, MORNING_AFTER, landed_files, small_market
from tests.support.nodes import Steps, make_node, tasks
from tests.support.replays import run
from tests.support.weeks import whole_market
from trademl.errors import DataError

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

DAYS, MINUTES = "alpaca/bars_1d", "alpaca/bars_1m"


def damage(path):
    """Spoils the pages of all columns and leaves the footer; another file, as restored ones are."""
    blob = bytearray(path.read_bytes())
    group = pq.read_metadata(path).row_group(0)
    for column in (group.column(number) for number in range(group.num_columns)):
        first = column.dictionary_page_offset or column.data_page_offset
        for place in range(first, first + min(60, column.total_compressed_size)):
            blob[place] ^= 0xFF
    spoiled = path.with_suffix(".spoiled")
    spoiled.write_bytes(blob)
    spoiled.replace(path)


def newest_run(node, name):
    with node.control() as control:
        return pipeline_runs(control, name)[0]


@pytest.mark.parametrize("place", [DAYS, MINUTES])
def test_the_node_goes_on_with_all_that_can_be_read(tmp_path, place):
    data, steps = tmp_path / "data", Steps()
    starts = dict.fromkeys(("equities_bars_1d", "equities_bars_1m"), LAST - timedelta(days=3))
    with ReplayServer(whole_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets")
        stage = Stage(0, LAST + timedelta(days=1), starts, ("AAA", "BBB"))
        write_stage(data, stage)
        with node.queue() as queue:
            queue.add(tasks_for(stage))
        with alone(node):
            work(node)
            damage(landed_files(data, place)[-1])
            tick(node, None, lambda _maintenance: None)
        # Forward ingest of the others, and the planner.
        queued = {dataset for dataset, kind in tasks(node, "dataset, kind") if kind == "FORWARD"}
        assert {"crypto_filters", "options_chain"} <= queued
        assert newest_run(node, HEAVY).status == "SUCCEEDED"
        if place == MINUTES:
            found = newest_run(node, MISSING_HISTORY)
            assert found.status == "FAILED"
            assert str(data / "raw" / MINUTES) in found.metrics["error"]
        node = make_node(data, server, steps, lambda _data, _clock: stop())
        with pytest.raises(DataError, match="the build was reached"):
            run_once(node)


def stop():
    raise DataError("the build was reached")


@pytest.mark.parametrize("spoil", [damage, lambda path: path.unlink()])
def test_who_reads_rows_names_the_file_or_its_folder(tmp_path, spoil, monkeypatch):
    data = tmp_path / "data"
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(data, server, Steps())
        run(server, data, "alpaca", "assets")
        run(server, data, "alpaca", "equities_bars_1d", symbols=("AAA",))
    assets, bars = ENDPOINTS["alpaca/assets"], ENDPOINTS[DAYS]
    known = {place: bookmarks.landed(data, place) for place in (assets, bars)}
    # Gone since they were listed.
    monkeypatch.setattr(bookmarks, "landed", lambda _data, place, *_since: known[place])
    (listing,), (landed,) = known[assets], known[bars]
    spoil(listing.path)
    spoil(landed.path)
    with pytest.raises(DataError, match=f"{listing.path} cannot be read"):
        newest_rows(data, assets, "assets", ["symbol"])
    with pytest.raises(DataError, match=f"{landed.path} cannot be read"):
        unanswered_symbols([(bars, landed)], LAST, lambda moment: moment.date())
    task = Task(0, "equities_bars_1d", "AAA", LAST, LAST + timedelta(days=1), "QC_PROBE", 0, 0)
    with pytest.raises(DataError, match=f"{data / 'raw' / DAYS} cannot be read"):
        compare(node, task, "massive")
