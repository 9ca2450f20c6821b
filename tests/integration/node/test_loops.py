"""The node's four loops with a lake: what is missing turns RED, is queued, filled and GREEN."""

import json
from datetime import date, timedelta

from ingest.control.pipeline_runs import pipeline_runs
from ingest.control.tasks import Work
from ingest.landing import bookmarks
from ingest.node.daemon import maintain, plan, run_once, work
from ingest.node.instances import HEAVY, MAINTENANCE
from ingest.node.planning.probes import RESULT, SAMPLE_SIZE
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from tests.support.lakes import open_newest, publish
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    believable_market,
    equity_rows,
    landed_files,
    write,
)
from tests.support.nodes import PROBING, QUICK, Steps, make_node, spent, tasks
from trademl.files import sha256_of_file

EQUITIES, COINS = "curated/equities_ohlcv_adj", "curated/crypto_ohlcv"
GAP = (date(2020, 3, 2), date(2020, 3, 5))
"""Three sessions."""
CONTRADICTED = ("BBB", date(2020, 3, 16))
"""The draw of that night has it."""


def full_build(data, clock):
    """The nightly build, from the landed files alone: a lake remembers rows whose file is gone."""
    return publish(data, clock, "--full-refresh").name


def statuses(data, table=EQUITIES):
    with open_newest(data) as connection:
        return dict(
            connection.execute(
                "select status, count(*) from quality.partition_status where table_name = $table"
                " group by 1",
                {"table": table},
            ).fetchall()
        )


def doubts(data):
    with open_newest(data) as connection:
        return connection.execute(
            "select qc_code, symbol, dt from quality.partition_status where status = 'AMBER'"
        ).fetchall()


def doubting_market(market):
    """The believable market, but for one bar that is 0.3 % higher."""
    prices = ("open", "high", "low", "close")
    rows = [
        {**row, **{name: row[name] * 1.003 for name in prices}}
        if (row["symbol"], row["date"]) == CONTRADICTED
        else row
        for row in equity_rows()
    ]
    write(believable_market(market), "equities_daily", rows)
    return market


def second_vendor(name, url):
    """Opens clients that ask one vendor elsewhere."""

    def client(vendor, base_url, **options):
        return QUICK(vendor, url if vendor == name else base_url, **options)

    return client


def exported(data):
    """The manifest of the only nightly export, its files checked against it."""
    (folder,) = (data / "exports" / "nightly").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        assert sha256_of_file(folder / file["name"]) == file["sha256"]
    names = {file["name"] for file in manifest["files"]}
    assert names | {"manifest.json"} == {path.name for path in folder.iterdir()}
    return folder.name, manifest["version"], names


def seed(node):
    """History in two files a table, so that one of them can be lost."""
    days = [(FIRST, GAP[0]), GAP, (GAP[1], LAST + timedelta(days=1))]
    with node.queue() as queue:
        queue.add(
            [
                Work(dataset, start, end, "BOOTSTRAP", symbol)
                for start, end in days
                for dataset, symbol in (
                    ("equities_bars_1d", "AAA"),
                    ("equities_bars_1d", "BBB"),
                    ("crypto_bars_1d", "BTCUSDT"),
                )
            ]
        )


def test_a_lost_partition_is_red_queued_filled_and_green(tmp_path):
    market, data, steps = believable_market(tmp_path / "market"), tmp_path / "data", Steps()
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        ReplayServer(doubting_market(tmp_path / "other"), MORNING_AFTER) as other,
    ):
        client = second_vendor("massive", other.url)
        node = make_node(data, server, steps, full_build, client, PROBING)
        seed(node)
        summary = run_once(node)
        queued = tasks(node)
        probes = [row for row in queued if row[2:] == ("QC_PROBE", "PENDING")]
        assert len(probes) == SAMPLE_SIZE
        assert summary.of("done") == summary.outcomes.total() == len(queued) - len(probes)
        assert sum(spent(node).values()) == server.requests + other.requests
        assert statuses(data).keys() == {"GREEN"}
        assert statuses(data, COINS).keys() == {"GREEN"}
        assert exported(data)[0] == "2020-03-21"
        assert {"curated.equities_ohlcv_adj.parquet", "quality.partition_status.parquet"} <= (
            exported(data)[2]
        )
        before, calls, lists = statuses(data), server.requests, other.requests

        # A second vendor is asked for every session of the sample, and contradicts one bar: that
        # one is asked for again, in vain, because it was landed a moment ago.
        tallies = [work(node), work(node)]
        assert sum(one.outcomes["massive", "done"] for one in tallies) == SAMPLE_SIZE
        assert sum(one.outcomes["alpaca", "done"] for one in tallies) == 1
        assert sorted(verdicts(node)) == ["CROSS_VENDOR_MISMATCH"] + ["OK"] * (SAMPLE_SIZE - 1)
        assert len(landed_files(data, "massive/grouped_1d")) == other.requests - lists
        assert len(landed_files(data, "node/qc_probe")) == SAMPLE_SIZE
        assert server.requests == calls

        # The same pass again: no call, no file, the same version's export.
        files = len(list(data.rglob("raw/**/*.parquet")))
        assert [one.gaps for one in plan(node, heavy=True)] == [0, 0, 0, 0]
        assert work(node).outcomes.total() == 0
        assert (server.requests, len(list(data.rglob("raw/**/*.parquet")))) == (calls, files)

        lost = [path for path in landed_files(data, "alpaca/bars_1d") if is_of(path, "AAA", GAP[0])]
        assert lost
        for path in lost:
            path.unlink()
        maintain(node)
        assert statuses(data)["RED"] == 3
        assert doubts(data) == [("CROSS_VENDOR_MISMATCH", *CONTRADICTED)]
        (equities, *others) = plan(node)
        assert (equities.red, equities.gaps) == (3, 1)
        assert (equities.amber, equities.asked) == (1, 1)
        assert [one.gaps for one in others] == [0, 0, 0]
        assert tasks(node)[-1] == ("equities_bars_1d", "AAA", "GAP", "PENDING")
        assert tasks(node, "start_date, end_date")[-1] == tuple(day.isoformat() for day in GAP)
        assert plan(node)[0].gaps == 0
        assert work(node).of("done") == 1
        assert server.requests == calls + 1
        maintain(node)
        assert statuses(data) == {"GREEN": before["GREEN"] - 1, "AMBER": 1}
        assert [one.gaps for one in plan(node)] == [0, 0, 0, 0]
        assert work(node).outcomes.total() == 0
        assert server.requests == calls + 1
    assert list(recorded(node, MAINTENANCE)) == list(recorded(node, HEAVY)) == ["SUCCEEDED"]


def recorded(node, name):
    with node.control() as control:
        return {run.status: run.metrics for run in pipeline_runs(control, name)}


def verdicts(node):
    with node.control() as control:
        return [run.metrics["verdict"] for run in pipeline_runs(control, RESULT)]


def is_of(path, symbol, day):
    data = path.parents[4]
    found = next(
        one for one in bookmarks.landed(data, ENDPOINTS["alpaca/bars_1d"]) if one.path == path
    )
    return found.symbols == {symbol} and found.start == day
