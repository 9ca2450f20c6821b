"""Discovery against the replay's screener, over loopback: from scanners to candidates."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
import pytest
from click.testing import CliRunner

from ingest.discovery import rules
from ingest.discovery.pipeline import run_discovery
from ingest.discovery.scanner_config import load_scanner
from ingest.sync import run_ingest
from ingest.transport.client import VendorClient
from ingest.vendors.tradingview import client as tradingview
from ingest.vendors.tradingview.client import Scan
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    MORNING_AFTER,
    SYMBOLS,
    crypto_rows,
    equity_rows,
    landed_files,
    landed_rows,
    leftovers,
    small_market,
    write,
)
from tests.support.published_tables import publish_tables
from trademl.cli.discover import discover_command
from trademl.clock import iso
from trademl.errors import (
    ConfigError,
    DataError,
    GateFailed,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
)
from trademl.settings import Settings

SETTINGS = Settings(_env_file=None)
SCAN = "tradingview/scan"
COINS_HELD = ("BTCUSDT", "BTCUSDC", "ETHUSDT")
STOCKS = """
base_preset: universe/us_stocks.yml
metadata: {intent: LONG, logic: trend}
"""
COINS = """
base_preset: universe/binance_spot.yml
metadata: {intent: SHORT, logic: trend}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_waits):
    """No waits between tries; pages of two rows, so that small markets have some."""
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 2)


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path / "market")


@pytest.fixture
def scanner(tmp_path):
    """Writes a scanner file and loads it."""

    def make(name, text):
        path = tmp_path / f"{name}.yml"
        path.write_text(text)
        return load_scanner(str(path))

    return make


def publish(
    data,
    held=((*SYMBOLS, "equity"), (*COINS_HELD, "crypto")),
    ends=None,
    toxic=(),
    as_of=MORNING_AFTER,
):
    """A lake that holds all symbols of a group up to the clock's day, but for what ``ends`` says.

    Toxic are symbols on days; a class may be said, else it is a share.
    """
    ends = ends or {}
    catalog = [
        {"asset_class": kind, "symbol": name, "end_date": ends.get(name, MORNING_AFTER.date())}
        for *names, kind in held
        for name in names
    ]
    rejected = [
        {
            "asset_class": kind[0] if kind else "equity",
            "symbol": name,
            "session_date": day,
            "reason": "TOXIC_RETURN",
            "verdict": "rejected",
        }
        for name, day, *kind in (*toxic, ("NOBODY", MORNING_AFTER.date()))
    ]
    tables = {
        "quality.lakehouse_catalog": pa.Table.from_pylist(catalog),
        "quality.quarantine_bars": pa.Table.from_pylist(rejected),
    }
    return publish_tables(data, tables, iso(as_of)).name


def discover(server, data, *scanners, run_id="r", clock=MORNING_AFTER, lake_holds=True, **options):
    if lake_holds and not (data / "lakehouse").exists():
        publish(data, as_of=clock)
    chosen = {"settings": SETTINGS, "base_url": server.url, **options}
    return run_discovery(run_id, scanners, data_dir=data, clock=clock, **chosen)


def filters(server, data, clock=MORNING_AFTER):
    """Lands Binance's filters, where ticks and lots of pairs come from."""
    options = {"settings": SETTINGS, "base_url": server.url}
    return run_ingest("binance", "crypto_filters", data_dir=data, clock=clock, **options)


def read(path):
    content = json.loads(path.read_bytes())
    return content["meta"], content["data"]


def ask(server, **words):
    """The screener's answer, symbol by symbol."""
    chosen = {"market": "america", "columns": ("close",), "filters": (), "sort_by": "name", **words}
    with VendorClient("tradingview", server.url, timeout=2) as client:
        pages = list(tradingview.scan(client, Scan(**chosen)))
    return [row for page in pages for row in page.rows.to_pylist()]


# --- the connector against the replay


def test_all_pages_land_with_the_rows_of_the_market(market, data, scanner):
    with ReplayServer(market, MORNING_AFTER) as server:
        discover(server, data, scanner("s", STOCKS))
        assert server.requests == 2
    closes = landed_rows(
        data,
        SCAN,
        "select symbol, cast(value as double), total_count from landed where field = 'close' order by 1",
    )
    last = {row["symbol"]: row["close"] for row in equity_rows()}
    assert closes == [(f"NYSE:{symbol}", last[symbol], 3) for symbol in SYMBOLS]
    (evidence,) = landed_rows(
        data,
        SCAN,
        "select distinct source_name, source_uri, ingested_at, extra, vendor_ts from landed",
    )
    assert evidence == (
        "tradingview_scanner",
        f"{server.url}/america/scan",
        MORNING_AFTER,
        None,
        None,
    )
    assert landed_rows(data, SCAN, "select count(distinct payload_sha256) from landed") == [(2,)]


@pytest.mark.parametrize(
    "fault", ["429", "5xx", "cut", "malformed", "timeout", "duplicate_page", "shuffle"]
)
def test_faults_are_retried_until_the_rows_are_those_of_a_quiet_day(market, fault):
    with ReplayServer(market, MORNING_AFTER) as server:
        expected = ask(server)
    assert len(expected) == 9
    order = [(row["symbol"], row["field"]) for row in expected]
    with ReplayServer(market, MORNING_AFTER, f"{fault}:0.3;seed=4;hang=3") as server:
        found = ask(server)
        assert fault == "shuffle" or server.requests > 2
    assert sorted(found, key=lambda row: order.index((row["symbol"], row["field"]))) == expected


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", RateLimited),
        ("5xx", Unavailable),
        ("cut", Unavailable),
        ("malformed", Unavailable),
        ("duplicate_page", Unavailable),
        ("wrong_symbol", SchemaDrift),
    ],
)
def test_what_does_not_pass_is_reported_in_its_own_kind(market, data, scanner, fault, error):
    one = scanner("s", STOCKS)
    always = f"tradingview/{fault}:1"
    with ReplayServer(market, MORNING_AFTER, always) as server, pytest.raises(error, match="s: "):
        discover(server, data, one)
    assert leftovers(data) == []


def test_a_minutes_limit_is_told_in_two_ways_and_both_are_understood(market):
    with ReplayServer(market, MORNING_AFTER, "tradingview/limit=2") as server:
        assert ask(server)
        with pytest.raises(RateLimited) as caught:
            ask(server)
        assert caught.value.retry_after in (None, 60.0)
        assert server.requests == 5


def test_the_screener_refuses_what_it_does_not_know(market):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(Rejected, match='HTTP 400: Unknown field "xyz"'):
            ask(server, columns=("xyz",))
        crossing = {"left": "close", "operation": "crosses", "right": 1}
        with pytest.raises(Rejected, match='Unknown operation "crosses"'):
            ask(server, filters=(crossing,))
        with pytest.raises(Rejected, match="Invalid filter"):
            ask(server, filters=({"left": "close", "operation": "greater", "right": "x"},))
        with pytest.raises(Rejected, match="HTTP 404"):
            ask(server, market="atlantis")
        assert ask(server, market="bond") == []
        assert ask(server, tickers=("NYSE:NOPE",)) == []


def test_the_free_plan_is_delayed_and_says_so(market):
    with ReplayServer(market, MORNING_AFTER, "tradingview/free=1") as server:
        assert {row["update_mode"] for row in ask(server)} == {"delayed_streaming_900"}


def test_ratings_land_by_command_and_a_second_run_asks_nothing(market, data):
    options = {"data_dir": data, "clock": MORNING_AFTER, "settings": SETTINGS}
    run = partial(run_ingest, "tradingview", "technical_rating_live", **options)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(base_url=server.url)
        assert (report.calls, len(report.files)) == (2, 1)
        idle = run(base_url=server.url)
        assert (idle.calls, idle.files) == (0, ())
        assert idle.skipped == ("/america/scan was answered at 2020-03-21 13:00 UTC",)
        some = run(base_url=server.url, symbols=["NYSE:AAA"])
        assert some.rows == report.rows / 3
        with pytest.raises(DataError, match="does not know NYSE:NOPE"):
            run(base_url=server.url, symbols=["NYSE:AAA", "NYSE:NOPE"])
        later = MORNING_AFTER + timedelta(hours=12)
        again = run(base_url=server.url, clock=later)
        assert len(again.files) == 1


# --- discovery


def test_stocks_become_candidates_with_the_ticks_of_their_price(market, data, scanner):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS))
    _, found = read(report.candidates)
    meta, chosen = read(report.validated)
    assert [item["symbol"] for item in chosen] == ["NYSE:BRK.B", "NYSE:BBB", "NYSE:AAA"]
    assert [item["atom_id"] for item in chosen] == [f"{s}_trend_LONG" for s in SYMBOLS[::-1]]
    assert {(item["direction"], item["tick_size"], item["lot_size"]) for item in chosen} == {
        ("LONG", 0.01, 1.0)
    }
    assert set(found[0]) == {
        *("symbol", "exchange", "asset_type", "identity", "direction", "logic"),
        *("market_cap_rank", "volume_24h", "sector", "industry", "metadata"),
    }
    assert set(found[0]) < set(chosen[0])
    last = next(row for row in reversed(equity_rows()) if row["symbol"] == "BRK.B")
    assert chosen[0]["value_traded"] == pytest.approx(last["close"] * last["volume"])
    assert meta["generated_at"] == "2020-03-21T13:00:00Z"
    assert (data / meta["scanners"][0]["source"]).is_file()
    assert meta["metadata_coverage"] == {"tick_size": 1, "lot_size": 1, "price_precision": 1}
    assert meta["funnel"] == report.funnel
    assert list(report.funnel.values()) == [3] * 11


def test_pairs_need_landed_filters_and_the_list_for_ingestion_is_there_without(
    market, data, scanner
):
    coins = scanner("s", COINS)
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(GateFailed, match=r"METADATA_COVERAGE: tick_size .* crypto_filters"):
            discover(server, data, coins)
        folder = data / "export" / "r"
        assert [path.name for path in folder.iterdir()] == ["candidates.json"]
        filters(server, data)
        report = discover(server, data, coins)
    _, chosen = read(report.validated)
    assert [(item["identity"], item["direction"]) for item in chosen] == [
        ("crypto:ETH", "SHORT"),
        ("crypto:BTC", "SHORT"),
    ]
    assert [item["tick_size"] for item in chosen] == [0.01, 0.01]
    assert [item["is_benchmark"] for item in chosen] == [False, True]
    assert chosen[0]["instrument_source"].startswith("binance/exchange_info/")


def test_a_failing_guardrail_leaves_no_older_validated_list_behind(market, data, scanner):
    with ReplayServer(market, MORNING_AFTER) as server:
        first = discover(server, data, scanner("a", STOCKS))
        assert first.validated.is_file()
        with pytest.raises(GateFailed):
            discover(server, data, scanner("b", COINS))
    assert not first.validated.exists()


def test_the_same_run_gives_the_same_bytes_without_a_call(market, data, scanner):
    one = scanner("s", STOCKS)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, one)
        before = report.candidates.read_bytes(), report.validated.read_bytes()
        calls = server.requests
        again = discover(server, data, one)
        assert server.requests == calls
    assert (report.candidates.read_bytes(), report.validated.read_bytes()) == before
    assert again.notes == ("s: /america/scan was answered at 2020-03-21 13:00 UTC",)
    assert not list(report.validated.parent.glob(".*"))


def test_one_scanner_that_fails_names_itself_and_does_not_stop_the_others(market, data, scanner):
    broken = scanner("broken", STOCKS + "columns: [xyz]\n")
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, broken, scanner("fine", STOCKS))
        meta, chosen = read(report.validated)
        assert len(chosen) == 3
        assert list(report.failed) == ["broken"]
        assert 'Unknown field "xyz"' in meta["failed"]["broken"]
        assert [one["name"] for one in meta["scanners"]] == ["fine"]
        with pytest.raises(Rejected, match=r'broken: .*"xyz"'):
            discover(server, data, broken, scanner("fine", STOCKS), strict=True)
        other = scanner("other", COINS + "columns: [abc]\n")
        with pytest.raises(Rejected, match=r"broken: .*xyz.*; other: .*abc"):
            discover(server, data, broken, other, run_id="none")
    assert not (data / "export" / "none").exists()


def test_nothing_found_is_an_error_that_shows_the_funnel_and_is_asked_again(market, data, scanner):
    none = scanner("s", STOCKS + "filters: [{left: close, operation: greater, right: 100000}]\n")
    with ReplayServer(market, MORNING_AFTER) as server:
        for _ in range(2):
            with pytest.raises(DataError, match=r"run r has no candidates .*discovered 0"):
                discover(server, data, none)
        assert server.requests == 2
    assert not (data / "export").exists()


def test_an_explorer_gives_no_candidate_because_it_takes_no_side(market, data, scanner):
    explorer = scanner("s", STOCKS.replace("LONG", "DISCOVERY"))
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(DataError, match="rejected: direction_missing 3"):
            discover(server, data, explorer)
        with pytest.raises(DataError, match=r"strict discovery: 3 rows .*direction_missing 3"):
            discover(server, data, explorer, scanner("t", STOCKS), strict=True)
        report = discover(server, data, explorer, scanner("t", STOCKS))
    meta, chosen = read(report.validated)
    assert {item["direction"] for item in chosen} == {"LONG"}
    assert {item["metadata"]["scanners"][0] for item in chosen} == {"t"}
    assert [item["reason"] for item in meta["rejected"]] == ["direction_missing"] * 3
    assert (report.funnel["discovered"], report.funnel["well_formed"]) == (6, 3)


def test_a_symbol_in_a_long_and_a_short_scan_keeps_both_sides(market, data, scanner):
    short = scanner("short", STOCKS.replace("LONG", "SHORT"))
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("long", STOCKS), short)
        assert server.requests == 2
    _, chosen = read(report.validated)
    assert len(chosen) == 6
    assert len({(item["symbol"], item["direction"]) for item in chosen}) == 6


def test_other_quotes_of_one_coin_are_counted_out_or_become_alternatives(market, data, scanner):
    bars = crypto_rows()
    others = [
        {**bar, "symbol": symbol, "quote_volume": 9e9}
        for bar in bars
        if bar["symbol"] == "BTCUSDT"
        for symbol in ("BTCUSDC", "LTCBTC")
    ]
    write(market, "crypto_daily", [*bars, *others])
    every_quote = scanner(
        "s",
        COINS + "filters: [{left: currency, operation: in_range, right: [USDT, USDC, BTC]}]\n",
    )
    with ReplayServer(market, MORNING_AFTER) as server:
        filters(server, data)
        report = discover(server, data, every_quote)
    meta, chosen = read(report.validated)
    bitcoin, ether = chosen
    assert (bitcoin["symbol"], ether["symbol"]) == ("BINANCE:BTCUSDC", "BINANCE:ETHUSDT")
    assert [item["symbol"] for item in bitcoin["implementation_alternatives"]] == [
        "BINANCE:BTCUSDT"
    ]
    assert meta["scanners"][0]["not_in_dollars"] == ["BINANCE:LTCBTC"]
    funnel = report.funnel
    assert (funnel["discovered"], funnel["quote_normalised"], funnel["deduplicated"]) == (4, 3, 2)


def test_the_pool_is_capped_by_value_and_names_what_it_leaves_out(
    market, data, scanner, monkeypatch, tmp_path
):
    small = tmp_path / "rules.yml"
    small.write_text(
        "{pool_cap: 2, metadata_coverage: 0.95, benchmarks: [], stale_hours: 168, toxic_days: 30}"
    )
    monkeypatch.setattr("ingest.discovery.pipeline.read_rules", partial(rules.read_rules, small))
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS))
    meta, chosen = read(report.validated)
    assert [item["symbol"] for item in chosen] == ["NYSE:BRK.B", "NYSE:BBB"]
    assert meta["rejected"] == [{"symbol": "NYSE:AAA", "scanner": "s", "reason": "beyond_pool_cap"}]


def test_named_symbols_alone_are_asked_and_a_filter_may_leave_some_out(
    market, data, scanner, tmp_path
):
    (tmp_path / "few.txt").write_text("NYSE:AAA\nNYSE:BBB\n")
    dear = (
        "include_symbol_files: [few.txt]\nfilters: [{left: close, operation: greater, right: 19}]\n"
    )
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS + dear))
    assert [item["symbol"] for item in read(report.candidates)[1]] == ["NYSE:BBB"]


def test_only_what_the_lake_holds_fresh_and_sound_is_validated(market, data, scanner):
    day = MORNING_AFTER.date()
    aaa, bbb, brk = SYMBOLS
    name = publish(
        data,
        held=((aaa, bbb, "equity"), (brk, "crypto")),
        ends={bbb: day - timedelta(days=7)},
        toxic=[
            (aaa, day - timedelta(days=31)),
            (bbb, day + timedelta(days=1)),
            (bbb, day, "crypto"),
        ],
    )
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS))
    meta, chosen = read(report.validated)
    # A share is not the coin of the same name; seven days are not too old, a month is forgiven.
    assert [item["physical_symbol"] for item in chosen] == [bbb, aaa]
    assert meta["version"] == name
    assert meta["rejected"] == [{"symbol": f"NYSE:{brk}", "scanner": "s", "reason": "not_in_lake"}]
    assert (report.funnel["consolidated"], report.funnel["in_lake"]) == (3, 2)
    assert len(read(report.candidates)[1]) == 3


def test_stale_and_toxic_symbols_are_refused_and_nothing_left_is_an_error(market, data, scanner):
    day = MORNING_AFTER.date()
    aaa, bbb, _brk = SYMBOLS
    old = {aaa: day - timedelta(days=8)}
    publish(data, held=((aaa, bbb, "equity"),), ends=old, toxic=[(bbb, day - timedelta(days=29))])
    says = r"in_lake 0; rejected: not_in_lake 1, stale_in_lake 1, toxic_in_lake 1"
    with ReplayServer(market, MORNING_AFTER) as server, pytest.raises(DataError, match=says):
        discover(server, data, scanner("s", STOCKS))
    assert [path.name for path in (data / "export" / "r").iterdir()] == ["candidates.json"]


def test_an_alternative_that_the_lake_holds_stands_in(market, data, scanner):
    others = [
        {**bar, "symbol": "BTCUSDC", "quote_volume": 9e9}
        for bar in crypto_rows()
        if bar["symbol"] == "BTCUSDT"
    ]
    write(market, "crypto_daily", [*crypto_rows(), *others])
    publish(data, held=(("BTCUSDT", "crypto"),))
    with ReplayServer(market, MORNING_AFTER) as server:
        filters(server, data)
        report = discover(server, data, scanner("s", COINS))
    assert [item["symbol"] for item in read(report.validated)[1]] == ["BINANCE:BTCUSDT"]


def test_a_version_of_after_the_clock_says_nothing(market, data, scanner):
    aaa, bbb, _brk = SYMBOLS
    later = MORNING_AFTER + timedelta(seconds=1)
    with ReplayServer(market, MORNING_AFTER) as server:
        publish(data, as_of=later)
        assert discover(server, data, scanner("s", STOCKS)).validated is None
    data = data.parent / "other"
    known = publish(data, held=((aaa, "equity"),))
    publish(data, held=((bbb, "equity"),), as_of=later)
    with ReplayServer(market, MORNING_AFTER) as server:
        meta, chosen = read(discover(server, data, scanner("s", STOCKS)).validated)
    assert (meta["version"], [item["physical_symbol"] for item in chosen]) == (known, [aaa])


def test_without_a_version_there_is_a_list_for_ingestion_only(market, data, scanner):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS), lake_holds=False)
    assert report.validated is None
    assert [path.name for path in (data / "export" / "r").iterdir()] == ["candidates.json"]
    assert len(read(report.candidates)[1]) == 3


def test_excluded_symbols_are_left_out_by_name(market, data, scanner):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = discover(server, data, scanner("s", STOCKS + 'exclude_symbols: ["NYSE:AAA"]\n'))
    meta, chosen = read(report.validated)
    assert "NYSE:AAA" not in [item["symbol"] for item in chosen]
    assert meta["scanners"][0]["excluded"] == ["NYSE:AAA"]
    assert (report.funnel["well_formed"], report.funnel["not_excluded"]) == (3, 2)


def test_the_packaged_rules_are_the_specifications():
    assert rules.read_rules().pool_cap == 200
    assert rules.read_rules().metadata_coverage == 0.95


# --- the command


def command(tmp_path, *arguments):
    environment = {"TRADEML_CLOCK": "2020-03-21T13:00:00Z", "TRADEML_DATA": str(tmp_path / "data")}
    return CliRunner().invoke(discover_command, list(arguments), env=environment)


def test_the_command_shows_the_funnel_and_where_the_list_is(market, tmp_path, scanner):
    scanner("good", STOCKS)
    scanner("bad", STOCKS + "columns: [xyz]\n")
    both = [f"--scanner={tmp_path / name}.yml" for name in ("good", "bad")]
    publish(tmp_path / "data")
    with ReplayServer(market, MORNING_AFTER) as server:
        done = command(tmp_path, *both, "--run-id=r", f"--base-url={server.url}")
    assert done.exit_code == 0, done.output
    assert "failed: bad: " in done.stderr
    assert "       3  pooled\n" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("export/r/candidates_validated.json")
    assert len(landed_files(tmp_path / "data", SCAN)) == 1


def test_without_a_version_the_command_says_what_comes_next(market, tmp_path, scanner):
    scanner("good", STOCKS)
    asked = [f"--scanner={tmp_path / 'good.yml'}", "--run-id=r"]
    with ReplayServer(market, MORNING_AFTER) as server:
        done = command(tmp_path, *asked, f"--base-url={server.url}")
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[-1].endswith("export/r/candidates.json")
        assert "land them with `trademl ingest run --candidates`, build" in done.stderr
        publish(tmp_path / "data")
        calls = server.requests
        again = command(tmp_path, *asked, f"--base-url={server.url}")
        assert again.stdout.splitlines()[-1].endswith("export/r/candidates_validated.json")
        assert (again.stderr, server.requests) == ("", calls)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--scanner=nope", "--run-id=r"], ConfigError, "'nope' is not a scanner"),
        (["--scanner=us_equities_momentum_long", "--run-id=../r"], ConfigError, "run id '../r'"),
        (["--scanner=us_equities_momentum_long", "--run-id=r"], ConfigError, "has no history"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(market, tmp_path, arguments, error, says):
    base = [] if "history" in says else ["--base-url=http://127.0.0.1:9"]
    done = command(tmp_path, *arguments, *base)
    assert isinstance(done.exception, error)
    assert says in str(done.exception)
    assert done.exception.exit_code == 2
    assert not (tmp_path / "data").exists()


def test_no_candidates_end_with_3(market, tmp_path):
    arguments = ["--scanner=us_equities_momentum_long", "--run-id=r"]
    with ReplayServer(market, MORNING_AFTER) as server:
        done = command(tmp_path, *arguments, f"--base-url={server.url}")
    assert isinstance(done.exception, DataError)
    assert done.exception.exit_code == 3
    assert "has no candidates" in str(done.exception)


def test_the_clock_of_the_landed_rows_is_the_runs(market, data, scanner):
    earlier = datetime(2020, 3, 19, 13, tzinfo=UTC)
    with ReplayServer(market, earlier) as server:
        report = discover(server, data, scanner("s", STOCKS), clock=earlier)
    meta, _ = read(report.validated)
    assert meta["generated_at"] == "2020-03-19T13:00:00Z"
    assert "ingest_date=2020-03-19" in meta["scanners"][0]["source"]
