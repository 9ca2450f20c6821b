"""Audit, repair and export on a published version made by hand: which gaps become which tasks."""

import json
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from ingest.control.tasks import Work
from ingest.landing.writer import Fetch, land
from ingest.node.export import export_nightly
from ingest.node.health import check_health
from ingest.node.instances import alone
from ingest.node.planning.audit import Scope, audit
from ingest.node.repair import DEPTH_DAYS, backfill, candidates_of, repair
from ingest.payloads.decode import Page, table_of
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    landed_rows,
    leftovers,
    small_market,
    trading_days,
)
from tests.support.nodes import ALL_DAYS, EQUITIES, Steps, cover, make_node, publish, red, tasks
from tests.support.replays import KEYS, run
from trademl import api
from trademl.cli.node import audit_group, node_group
from trademl.clock import iso
from trademl.errors import ConfigError, DataError, SchemaDrift, StaleData, TradeMLError

COINS = "curated/crypto_ohlcv"
BARS = "alpaca/bars_1d"


def gaps(node):
    return tasks(node, "symbol, start_date, end_date, kind")


@pytest.fixture
def server(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as serving:
        yield serving


@pytest.fixture
def node(data, server):
    return make_node(data, server, Steps())


def test_sessions_that_follow_each_other_are_one_task_and_weekends_do_not_part_them(node, data):
    doubtful = {("BBB", date(2020, 3, 4)): ("AMBER", "ZERO_VOLUME")}
    publish(data, red("AAA", 5, 6, 9, 12) | doubtful)
    (equities, *_) = audit(node, ALL_DAYS)
    assert (equities.red, equities.amber, equities.gaps) == (4, 1, 3)
    assert equities.green == equities.sessions - 5
    assert sorted(gaps(node)) == [
        ("AAA", "2020-03-05", "2020-03-10", "GAP"),
        ("AAA", "2020-03-12", "2020-03-13", "GAP"),
        ("BBB", "2020-03-04", "2020-03-05", "GAP"),
    ]
    assert audit(node, ALL_DAYS)[0].gaps == 0


def test_a_vendor_is_asked_under_the_symbol_of_the_day(node, data):
    renamed = date(2020, 3, 10)
    spells = (("OLD", "id-AAA", None, renamed), ("AAA", "id-AAA", renamed, None))
    publish(data, red("AAA", 9, 10), spells=spells)
    audit(node, ALL_DAYS)
    assert sorted(row[:3] for row in gaps(node)) == [
        ("AAA", "2020-03-10", "2020-03-11"),
        ("OLD", "2020-03-09", "2020-03-10"),
    ]


def test_an_outage_is_one_task_for_all_symbols(node, data):
    names = [f"N{number}" for number in range(6)]
    publish(data, {key: why for name in names for key, why in red(name, 5, 6).items()}, names)
    assert audit(node, ALL_DAYS)[0].gaps == 1
    assert gaps(node) == [("", "2020-03-05", "2020-03-07", "GAP")]


def test_only_the_window_and_the_tables_of_the_scope_are_looked_at(node, data):
    publish(data, red("AAA", 5, 12))
    assert audit(node, Scope(date(2020, 3, 6), date(2020, 3, 12), (EQUITIES,)))[0].gaps == 0
    assert audit(node, Scope(FIRST, LAST, (COINS,)))[0].sessions == 0
    with pytest.raises(
        ConfigError, match="'curated/tea' is not an audited table; there are: curated/"
    ):
        audit(node, Scope(FIRST, LAST, ("curated/tea",)))


def test_an_audit_of_days_after_the_newest_version_does_not_say_that_all_is_well(node, data):
    publish(data, {})
    after = MORNING_AFTER.date() + timedelta(days=1)
    with pytest.raises(StaleData, match="nothing of it is judged"):
        audit(node, Scope(after, after + timedelta(days=30)))


def test_what_the_vendor_was_asked_for_lately_is_not_asked_every_four_hours(node, data):
    publish(data, red("AAA", 5))
    audit(node, ALL_DAYS)
    assert backfill(node).of("done") == 1
    (equities, *_) = audit(node, ALL_DAYS)
    assert (equities.red, equities.asked, equities.gaps) == (1, 1, 0)
    node.wait(31 * 86_400)
    assert audit(node, ALL_DAYS)[0].gaps == 1


def test_an_answer_that_contradicted_itself_is_asked_for_again_the_next_day(node, data):
    """Not after thirty: what the vendor has is there, one of its two rows is only wrong."""
    publish(data, {("AAA", date(2020, 3, 5)): ("RED", "CONFLICTING_ROWS")})
    audit(node, ALL_DAYS)
    assert backfill(node).of("done") == 1
    (equities, *_) = audit(node, ALL_DAYS)
    assert (equities.red, equities.asked, equities.gaps) == (1, 1, 0)
    node.wait(25 * 3_600)
    assert audit(node, ALL_DAYS)[0].gaps == 1
    assert gaps(node) == [("AAA", "2020-03-05", "2020-03-06", "GAP")]


def candidates(data, *symbols):
    """Candidates of whom all was asked that a repair asks for, in vain."""
    begin = MORNING_AFTER.date() - timedelta(days=DEPTH_DAYS)
    cover(data, BARS, symbols, begin, LAST, MORNING_AFTER - timedelta(days=40))
    write_candidates(data, *symbols)


def write_candidates(data, *symbols, name="candidates_validated.json"):
    folder = data / "export" / "r1"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"symbol": f"NYSE:{name}", "asset_type": "equity"} for name in symbols]
    (folder / name).write_text(json.dumps({"meta": {}, "data": rows}))


def test_a_repair_fills_the_gaps_of_the_candidates_and_of_nobody_else(node, data, server):
    candidates(data, "AAA")
    publish(data, red("AAA", 5, 12) | red("BBB", 5))
    done = repair(node, "r1")
    assert (done.symbols, done.summary.of("done"), done.summary.calls) == (("AAA",), 2, 2)
    assert landed_rows(data, BARS, "select symbol, t::date from landed order by 2") == [
        ("AAA", date(2020, 3, 5)),
        ("AAA", date(2020, 3, 12)),
    ]
    again = repair(node, "r1")
    assert (sum(one.gaps for one in again.tables), again.summary.calls) == (0, 0)
    assert server.requests == 2


def test_a_repair_asks_for_candidates_that_no_bar_was_ever_landed_of(node, data, server):
    write_candidates(data, "AAA", "BBB")
    publish(data, {}, symbols=("AAA",))
    begin = MORNING_AFTER.date() - timedelta(days=DEPTH_DAYS)
    cover(data, BARS, ("AAA",), begin, LAST)
    cover(data, BARS, ("BBB",), begin, FIRST - timedelta(days=1))
    done = repair(node, "r1")
    assert (sum(one.gaps for one in done.tables), done.summary.of("done"), server.requests) == (
        0,
        1,
        1,
    )
    assert landed_rows(data, BARS, "select distinct symbol, count(*) from landed group by 1") == [
        ("BBB", len(trading_days()))
    ]
    done.require_whole()
    assert (repair(node, "r1").summary.calls, server.requests) == (0, 1)


def test_a_repair_that_could_not_land_all_says_so(node, data, server):
    write_candidates(data, "AAA", "BBB")
    publish(data, {})
    run(server, data, "alpaca", "assets")
    done = repair(node, "r1", most_fills=3)
    assert done.summary.of("done") == 3
    with pytest.raises(DataError, match="bars of 2 candidates are not landed: AAA, BBB"):
        done.require_whole()


def test_a_repair_fills_no_more_than_it_may(node, data):
    candidates(data, "AAA", "BBB")
    publish(data, red("AAA", 2, 6, 12) | red("BBB", 3))
    done = repair(node, "r1", most_fills=2)
    assert (sum(one.gaps for one in done.tables), done.summary.of("done")) == (2, 2)


def test_a_repair_is_also_of_what_discovery_refused_for_its_gaps(node, data):
    write_candidates(data, "AAA")
    assert list(candidates_of(node, "r1")) == ["AAA"]
    write_candidates(data, "AAA", "STALE", name="candidates.json")
    assert list(candidates_of(node, "r1")) == ["AAA", "STALE"]


def test_a_repair_needs_candidates_and_a_data_directory_of_its_own(node, data):
    with pytest.raises(DataError, match="no candidates: run `trademl discover --run-id r1`"):
        repair(node, "r1")
    candidates(data, "AAA")
    publish(data, red("AAA", 5))
    with alone(node), pytest.raises(ConfigError, match="a node is at work"):
        repair(node, "r1")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_backfill_lands_the_same_whoever_shares_the_work(tmp_path, server, workers):
    data = tmp_path / f"by-{workers}"
    many = KEYS.model_copy(update={"max_inflight": {"default": workers}})
    node = make_node(data, server, Steps(), settings=many)
    publish(data, red("AAA", 2, 6, 12) | red("BBB", 3, 6))
    audit(node, ALL_DAYS)
    assert backfill(node).of("done") == 5
    assert landed_rows(data, BARS, "select symbol, t::date from landed order by all") == [
        *(("AAA", date(2020, 3, day)) for day in (2, 6, 12)),
        *(("BBB", date(2020, 3, day)) for day in (3, 6)),
    ]
    before = leftovers(data)
    assert backfill(node).outcomes.total() == 0
    assert leftovers(data) == before


def test_a_backfill_makes_no_more_calls_than_it_may(node, data, server):
    publish(data, red("AAA", 2, 6, 12))
    audit(node, ALL_DAYS)
    assert backfill(node, {"alpaca": 2}).of("done") == 2
    assert server.requests == 2
    assert backfill(node, 0).outcomes.total() == 0
    assert backfill(node).of("done") == 1
    with pytest.raises(ConfigError, match="budget tea: 1"):
        backfill(node, {"tea": 1})


def test_an_export_holds_what_its_manifest_says_and_is_made_once_a_version(data):
    first = publish(data, {})
    folder = export_nightly(data, LAST)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["version"], [file["rows"] for file in manifest["files"]]) == (
        first.name,
        [1, len(SYMBOLS) * len(trading_days())],
    )
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert export_nightly(data, LAST) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    second = publish(data, red("AAA", 5))
    assert json.loads((export_nightly(data, LAST) / "manifest.json").read_text())["version"] == (
        second.name
    )
    assert [path.name for path in folder.parent.iterdir()] == [LAST.isoformat()]


def test_an_export_holds_the_queue_and_the_runs_for_whoever_has_no_sqlite(data, node):
    publish(data, {})
    next_day = FIRST + timedelta(days=1)
    with node.queue() as queue:
        queue.add(
            [
                Work("equities_bars_1d", FIRST, next_day, "GAP"),
                Work("crypto_bars_1d", FIRST, next_day, "GAP", "BTCUSDT"),
            ]
        )
        queue.complete(queue.lease_next("me", node.providers))
    check_health(node)
    folder = export_nightly(data, LAST)
    with duckdb.connect() as connection:
        queued, runs = (
            connection.execute(
                f"select {columns} from '{folder}/control.{name}.parquet'"
            ).fetchall()
            for columns, name in (
                ("dataset, symbol, start_date, kind, status", "backfill_queue"),
                ("pipeline_name, status, started_at::date", "pipeline_runs"),
            )
        )
    assert queued == [
        ("equities_bars_1d", None, FIRST, "GAP", "DONE"),
        ("crypto_bars_1d", "BTCUSDT", FIRST, "GAP", "PENDING"),
    ]
    assert runs == [("audit_health", "SUCCEEDED", MORNING_AFTER.date())]
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = {file["name"]: file["rows"] for file in manifest["files"]}
    assert (rows["control.backfill_queue.parquet"], rows["control.pipeline_runs.parquet"]) == (2, 1)


def test_new_toxic_bars_are_told_once_and_fail(data, node):
    publish(data, {}, toxic=[("AAA", date(2020, 3, 5))])
    first = check_health(node)
    assert first.new_toxic == ("AAA 2020-03-05",)
    assert first.lines()[0] == "toxic: 1 bars rejected for their return, 1 new: AAA 2020-03-05"
    with pytest.raises(TradeMLError, match="1 new toxic bars: AAA 2020-03-05; they are") as error:
        first.require_no_new_toxic()
    assert error.value.exit_code == 1
    again = check_health(node)
    assert (again.toxic, again.new_toxic) == (first.toxic, ())
    again.require_no_new_toxic()
    publish(data, {}, toxic=[("AAA", date(2020, 3, 5)), ("BBB", date(2020, 3, 6))])
    assert check_health(node).new_toxic == ("BBB 2020-03-06",)


def test_the_audit_command_fails_on_new_toxic_bars_after_it_has_queued_the_gaps(data, monkeypatch):
    monkeypatch.setenv("TRADEML_CLOCK", iso(MORNING_AFTER))
    monkeypatch.setenv("TRADEML_DATA", str(data))
    publish(data, red("AAA", 5), toxic=[("AAA", date(2020, 3, 5))])
    done = CliRunner().invoke(audit_group, ["gaps"])
    assert isinstance(done.exception, TradeMLError)
    assert "1 RED; 1 GAP tasks queued" in done.output
    assert CliRunner().invoke(audit_group, ["gaps"]).exit_code == 0


def test_fields_that_a_vendor_adds_and_shapes_that_are_refused_are_drift(data, node):
    publish(data, {})
    assert check_health(node).drifting == ()
    for day, extra in enumerate(('{"a": 1}', '{"a": 2}', '{"a": 3, "b": 1}', '{"b": 1}')):
        land_assets(data, MORNING_AFTER + timedelta(days=day), extra)
        expected = ("alpaca/assets",) if day == 2 else ()
        assert check_health(node).drifting == expected, day
    with node.queue() as queue:
        queue.add([Work("equities_bars_1d", FIRST, LAST, "GAP", "AAA")])
        lease = queue.lease_next("me", lambda _task: ["alpaca"])
        queue.fail(lease, "field c is absent", SchemaDrift.code)
    assert check_health(node).drifting == ("equities_bars_1d",)


def land_assets(data, clock, extra):
    endpoint = ENDPOINTS["alpaca/assets"]
    row = {
        "id": "1",
        "symbol": "AAA",
        "class": "us_equity",
        "exchange": "NYSE",
        "status": "active",
        "tradable": True,
    }
    table = table_of(endpoint, [row])
    table = table.set_column(table.column_names.index("extra"), "extra", pa.array([extra]))
    land(data, Fetch(endpoint, "assets", "hash"), [Page(table, "sha", "uri", "hash")], clock)


def test_the_commands_and_the_public_function_do_the_same(data, monkeypatch):
    monkeypatch.setenv("TRADEML_CLOCK", iso(MORNING_AFTER))
    monkeypatch.setenv("TRADEML_DATA", str(data))
    publish(data, red("AAA", 5))
    api.audit_scan([EQUITIES])
    done = CliRunner().invoke(audit_group, ["gaps", "--tables", EQUITIES])
    assert (done.exit_code, done.output) == (
        0,
        f"{EQUITIES}: 57 partitions, 56 GREEN, 0 AMBER, 1 RED; 0 GAP tasks queued, "
        "0 asked for lately\n"
        "toxic: 0 bars rejected for their return\n"
        "stale: 2 datasets: crypto_filters, crypto_bars_1d\n"
        "drifting: 0 endpoints\n",
    )
    status = CliRunner().invoke(node_group, ["status"])
    assert "queue GAP PENDING: 1\n" in status.output
    assert "crypto_bars_1d: behind, newest nothing, expected 2020-03-20\n" in status.output
