"""``trademl ingest run`` against ``trademl replay`` in a process of its own."""

import json
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ingest.vendors.tradingview.scans import RATINGS
from tests.support.markets import landed_rows, small_market
from tests.support.paths import PROJECT_ROOT
from trademl.cli.ingest import ingest_group, replay_command
from trademl.errors import ConfigError, DataError

CLOCK = "2020-03-21T13:00:00Z"
# A shell that runs the tests in the background has its children ignore Ctrl-C.
REPLAY = """
import signal
from trademl.cli.ingest import replay_command

signal.signal(signal.SIGINT, signal.default_int_handler)
replay_command()
"""


@pytest.fixture
def replay(tmp_path):
    """The address of a replay of the small market; Ctrl-C ends it well."""
    market = small_market(tmp_path / "market")
    arguments = ["--market", str(market), "--clock", CLOCK, "--faults", "5xx:0.05;seed=3"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", REPLAY, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert process.stdout is not None
    greeting = process.stdout.readline()
    yield re.search(r"http://127\.0\.0\.1:\d+", greeting)[0]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert rest == "replay ended\n"
    assert process.returncode == 0


def run(tmp_path, *arguments):
    keys = {
        "APCA_API_KEY_ID": "test-key",
        "APCA_API_SECRET_KEY": "hush-hush",
        "TRADEML_CLOCK": CLOCK,
    }
    result = CliRunner().invoke(
        ingest_group,
        ["run", "--data", str(tmp_path / "data"), *arguments],
        env=keys,
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_a_night_by_hand(tmp_path, replay):
    host = ["--base-url", replay]
    for vendor, dataset in [("alpaca", "assets"), ("alpaca", "equities_bars_1d")]:
        said = run(tmp_path, "--vendor", vendor, "--dataset", dataset, *host)
        assert re.search(r"landed \d+ rows in 1 files with \d+ calls", said)
    again = run(tmp_path, "--vendor", "alpaca", "--dataset", "equities_bars_1d", *host)
    assert again == "nothing to do: 3 symbols are complete through 2020-03-20\n"
    few = ["--symbols", "BTCUSDT, ethusdt", "--start", "2020-03-01", "--end", "2020-03-02"]
    run(tmp_path, "--vendor", "binance", "--dataset", "crypto_bars_1d", *few, *host)
    found = landed_rows(tmp_path / "data", "binance/klines_1d", "select count(*) from landed")
    assert found == [(4,)]
    reference = ["--reference-dir", str(tmp_path / "market")]
    run(tmp_path, "--vendor", "file", "--dataset", "index_membership", *reference)
    assert landed_rows(tmp_path / "data", "file/index_membership", "select symbol from landed") == [
        ("AAA",)
    ]


def candidates(path, *records):
    """A list as discovery writes it."""
    data = [{"symbol": symbol, "asset_type": kind} for symbol, kind in records]
    path.write_text(json.dumps({"meta": {}, "data": data}))
    return ["--candidates", str(path)]


def test_candidates_name_what_is_landed(tmp_path, replay):
    mixed = candidates(
        tmp_path / "mixed.json",
        ("NYSE:BBB", "equity"),
        ("BINANCE:BTCUSDT", "spot"),
        ("BINANCE:ETHUSDT.P", "perp"),
    )
    more = candidates(tmp_path / "more.json", ("NYSE:BRK.B", "equity"), ("NYSE:BBB", "equity"))
    host = ["--base-url", replay]
    run(tmp_path, "--vendor", "alpaca", "--dataset", "equities_bars_1d", *mixed, *more, *host)
    run(tmp_path, "--vendor", "binance", "--dataset", "crypto_bars_1d", *mixed, *host)
    data, query = tmp_path / "data", "select distinct symbol from landed order by 1"
    assert landed_rows(data, "alpaca/bars_1d", query) == [("BBB",), ("BRK.B",)]
    assert landed_rows(data, "binance/klines_1d", query) == [("BTCUSDT",)]
    again = run(tmp_path, "--vendor", "binance", "--dataset", "crypto_bars_1d", *mixed, *host)
    assert again.startswith("nothing to do")


def test_candidates_that_name_nothing_are_refused(tmp_path):
    coins = candidates(tmp_path / "coins.json", ("BINANCE:BTCUSDT", "spot"))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "latin.json").write_bytes(b'[{"symbol": "NYSE:\xc9"}]')
    bars = ["--vendor", "alpaca", "--dataset", "equities_bars_1d"]
    for arguments, error, says in [
        (coins, ConfigError, "no candidate is equity or etf, as equities_bars_1d is"),
        ([*coins, "--symbols", "A"], ConfigError, "--symbols or --candidates, not both"),
        (["--candidates", str(tmp_path / "none.json")], ConfigError, "No such file"),
        (["--candidates", str(tmp_path / "broken.json")], DataError, "not a list of candidates"),
        (["--candidates", str(tmp_path / "latin.json")], DataError, "not a list of candidates"),
    ]:
        with pytest.raises(error, match=says):
            run(tmp_path, *bars, *arguments)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--start", "yesterday"], "--start 'yesterday' is not a date"),
        (["--symbols", " , "], "no symbol is named"),
        (["--symbols", "AAA,Bbb"], "'Bbb' is not a symbol"),
        (["--clock", "noon"], "clock 'noon' is not an ISO 8601 time"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        run(tmp_path, "--vendor", "alpaca", "--dataset", "assets", *arguments)


@pytest.mark.parametrize(
    ("vendor", "dataset", "text", "complaint"),
    [
        ("tradingview", RATINGS, "AAPL", "'AAPL' is not a symbol: .* such as NYSE:BRK.B"),
        ("massive", "splits", "NASDAQ:AAPL", "'splits' is not a dataset of massive"),
        ("massive", "equities_bars_1d", "NASDAQ:AAPL", "'NASDAQ:AAPL' is not a symbol"),
        # What is well written goes on, to the next thing that is missing.
        ("massive", "equities_aggs_1d", "AMpB", "massive needs a key"),
    ],
)
def test_symbols_are_spelt_as_the_vendor_wants_them(tmp_path, vendor, dataset, text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        run(tmp_path, "--vendor", vendor, "--dataset", dataset, "--symbols", text)


def test_a_port_in_use_and_wrong_faults_are_named(tmp_path, replay):
    market = ["--market", str(tmp_path / "market"), "--clock", CLOCK]
    port = replay.rsplit(":", 1)[1]
    runner = CliRunner()
    taken = runner.invoke(replay_command, [*market, "--port", port])
    assert isinstance(taken.exception, ConfigError)
    assert f"port {port} cannot be used" in str(taken.exception)
    wrong = runner.invoke(replay_command, [*market, "--faults", "gremlins:1"])
    assert isinstance(wrong.exception, ConfigError)
