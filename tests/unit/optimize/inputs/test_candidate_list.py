"""What counts as a list of candidates, and which list a run takes."""

import json
from datetime import UTC, datetime

import duckdb
import pytest

from ingest.discovery.export import write_candidates, write_validated
from optimize.inputs.candidate_list import find_candidates, read_candidates, require_in_lake
from optimize.inputs.foundation import FoundationReport
from optimize.profiles import load_profile
from tests.support.alpha_lakes import LAST_SESSION
from tests.support.scan_rows import LONG as LONG_SCAN
from tests.support.scan_rows import SHORT as SHORT_SCAN
from tests.support.scan_rows import candidate
from trademl.errors import ConfigError, DataError, GateFailed

LONG = load_profile("us_equities_long")
DAY = LAST_SESSION.isoformat()


def record(symbol="NYSE:AAA", **changes):
    return {"symbol": symbol, "direction": "LONG", **changes}


def write(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"meta": {}, "data": rows}])
def test_a_list_may_be_bare_or_under_data_and_names_each_symbol_once(tmp_path, wrap):
    rows = [
        record("NYSE:BRK.B", asset_type="equity", logic="trend", metadata={"a": 1}),
        record("AMEX:SPY", exchange="AMEX", physical_symbol="SPY", asset_type="etf"),
        record("NYSE:BRK.B", logic="other"),
    ]
    found = read_candidates(write(tmp_path / "c.json", wrap(rows)), LONG)
    assert found.keys == ("AMEX:SPY", "NYSE:BRK.B")
    assert found.symbols == {"SPY", "BRK.B"}
    assert found.content == (tmp_path / "c.json").read_bytes()


def test_what_discovery_writes_is_such_a_list(tmp_path):
    """The two packages share nothing but the file and its schema."""
    found = [candidate("NYSE:BRK.B", LONG_SCAN), candidate("AMEX:SPY", LONG_SCAN, type="fund")]
    meta = {"run_id": "R1", "generated_at": "2020-12-30T13:00:00Z", "version": "v000007"}
    for path in (
        write_candidates(tmp_path, found, meta),
        write_validated(tmp_path, found, meta, frozenset({"equity:SPY"})),
    ):
        listed = read_candidates(path, LONG)
        assert listed.keys == ("AMEX:SPY", "NYSE:BRK.B")
        assert listed.generated_at == datetime(2020, 12, 30, 13, tzinfo=UTC)
        assert listed.version == "v000007"
    short = write_candidates(tmp_path, [candidate("NYSE:BRK.B", SHORT_SCAN)], meta)
    with pytest.raises(GateFailed, match="CANDIDATES_DIRECTION"):
        read_candidates(short, LONG)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not json", "is not a list of candidates"),
        ('{"meta": {}}', "missing required field `data`"),
        ("[]", "has no candidates"),
        ('{"data": [], "meta": {"generated_at": "noon"}}', "Invalid RFC3339"),
        ([{"symbol": "NYSE:AAA"}], "missing required field `direction`"),
        ([record(direction="long")], "Invalid enum value 'long'"),
        ([record("AAA")], "is not a list of candidates"),
        ([record("NYSE:../../x")], "is not a list of candidates"),
        ([record(exchange="NASDAQ")], "NYSE:AAA has exchange NASDAQ"),
        ([record(physical_symbol="BBB")], "physical_symbol BBB"),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path, content, says):
    with pytest.raises(DataError, match=says) as caught:
        read_candidates(write(tmp_path / "c.json", content), LONG)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_no_text_is_one_error(tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(b'[{"symbol": "NYSE:\xc9", "direction": "LONG"}]')
    with pytest.raises(DataError, match="is not a list of candidates"):
        read_candidates(path, LONG)


def test_a_list_that_is_not_there_is_wrong_usage(tmp_path):
    with pytest.raises(ConfigError, match=r"c\.json: No such file"):
        read_candidates(tmp_path / "c.json", LONG)


def test_a_short_is_never_bought_nor_a_swap_taken_for_its_coin(tmp_path):
    """A trap of older systems: a lost direction made a long sleeve of a short scan."""
    path = write(tmp_path / "c.json", [record(), record("NYSE:BBB", direction="SHORT")])
    with pytest.raises(GateFailed, match=r"is LONG, 1 of 2 candidates are not: NYSE:BBB:"):
        read_candidates(path, LONG)
    with pytest.raises(GateFailed, match="is SHORT, 1 of 2 candidates are not: NYSE:AAA:"):
        read_candidates(path, load_profile("us_equities_short"))
    crypto = load_profile("crypto_long")
    for kind in ("perp", "equity"):
        write(path, [record("BINANCE:BTCUSDT", asset_type=kind)])
        with pytest.raises(GateFailed, match=r"CANDIDATES_ASSET_TYPE.*BINANCE:BTCUSDT"):
            read_candidates(path, crypto)
    write(path, [record("BINANCE:BTCUSDT", asset_type="spot")])
    assert read_candidates(path, crypto).keys == ("BINANCE:BTCUSDT",)


def test_the_list_asked_for_goes_before_discovery_s_and_the_one_of_the_start(tmp_path):
    assert find_candidates(tmp_path, "R1", None) is None
    copy = write(tmp_path / "snapshots/R1/candidates.json", [record()])
    assert find_candidates(tmp_path, "R1", None) == copy
    export = tmp_path / "export" / "R1"
    validated = write(export / "candidates_validated.json", [record()])
    assert find_candidates(tmp_path, "R1", None) == validated
    assert find_candidates(tmp_path, "R1", copy) == copy
    assert find_candidates(tmp_path, "R2", None) is None


def test_a_discovery_that_failed_its_gate_is_not_taken_for_none(tmp_path):
    write(tmp_path / "export/R1/candidates.json", [record()])
    with pytest.raises(GateFailed, match="CANDIDATES_NOT_VALIDATED: discovery of run R1"):
        find_candidates(tmp_path, "R1", None)


def lake(rows):
    """A lake of (symbol, exchange, last bar or none, whether it has features on the last day)."""
    connection = duckdb.connect()
    connection.execute("create schema matrices")
    for name in ("returns_matrix", "features_matrix"):
        connection.execute(
            f"create table matrices.{name} "
            "(symbol varchar, exchange varchar, asset_class varchar, session_date date)"
        )
    for symbol, exchange, last_bar, has_features in rows:
        if last_bar:
            connection.execute(
                "insert into matrices.returns_matrix values ($1, $2, 'equity', $3)",
                [symbol, exchange, last_bar],
            )
        if has_features:
            connection.execute(
                "insert into matrices.features_matrix values ($1, $2, 'equity', $3)",
                [symbol, exchange, DAY],
            )
    return connection


def judged(tmp_path, rows, *keys):
    listed = read_candidates(write(tmp_path / "c.json", [record(key) for key in keys]), LONG)
    gate = FoundationReport((), {}, LAST_SESSION)
    with lake(rows) as connection:
        report = require_in_lake(connection, gate, listed, LONG)
    return {finding.code: finding.message for finding in report.findings}


def test_missing_and_stale_candidates_are_named_together(tmp_path):
    rows = [
        ("GOOD", "NYSE", DAY, True),
        ("LATE", "NYSE", "2020-12-29", False),
        ("BARE", "NYSE", DAY, False),
        ("NOBAR", "NYSE", None, True),
    ]
    found = judged(
        tmp_path, rows, *(f"NYSE:{name}" for name in ("GOOD", "LATE", "BARE", "NOBAR", "NONE"))
    )
    assert found == {
        "CANDIDATES_MISSING": f"3 of 5 candidates are missing at {DAY}: NYSE:BARE, NYSE:NOBAR, "
        "NYSE:NONE: land and build, or leave them out",
        "CANDIDATES_STALE": f"1 of 5 candidates are stale at {DAY}: NYSE:LATE (last bar "
        "2020-12-29): land and build, or leave them out",
    }


def test_a_ticker_of_another_exchange_is_not_the_candidate(tmp_path):
    rows = [
        ("AAA", "NASDAQ", DAY, True),
        ("SPY", "ARCA", DAY, True),
        ("ITA", "BATS", DAY, True),
        ("BTCUSDT", None, DAY, True),
    ]
    assert judged(tmp_path, rows, "NASDAQ:AAA", "AMEX:SPY", "ARCA:SPY", "CBOE:ITA") == {}
    found = judged(tmp_path, rows, "NYSE:AAA", "NASDAQ:SPY", "NYSE:BTCUSDT")
    assert "3 of 3 candidates are missing" in found["CANDIDATES_MISSING"]


def test_many_names_end_in_a_count(tmp_path):
    found = judged(tmp_path, [], *(f"NYSE:A{number:02d}" for number in range(20)))
    message = found["CANDIDATES_MISSING"]
    assert "NYSE:A07 and 12 more: land" in message
    assert "A08" not in message
