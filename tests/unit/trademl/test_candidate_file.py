"""The one schema of candidates files: what ingestion takes from them."""

import json

import pytest

from trademl.candidate_file import listed_symbols, read_candidate_file, write_candidate_file
from trademl.errors import ConfigError, DataError

RECORDS = [
    {"symbol": "NYSE:BRK.B", "asset_type": "equity", "direction": "SHORT", "more": {"a": 1}},
    {"symbol": "BINANCE:BTCUSDT", "asset_type": "spot"},
    {"symbol": "BINANCE:ETHUSDT"},
    {"symbol": "AMEX:SPY", "asset_type": "etf", "physical_symbol": "SPY", "exchange": "AMEX"},
    {"symbol": "NASDAQ:BRK.B", "asset_type": "equity"},
]


def test_what_is_written_is_what_was_given_and_can_be_read(tmp_path):
    path = write_candidate_file(tmp_path / "c.json", RECORDS, {"version": "v000001"})
    assert json.loads(path.read_text()) == {"meta": {"version": "v000001"}, "data": RECORDS}
    assert path.read_bytes().startswith(b'{\n "meta": {')
    found = read_candidate_file(path)
    assert [record.symbol for record in found.records] == [one["symbol"] for one in RECORDS]
    assert (found.records[0].direction, found.meta.version) == ("SHORT", "v000001")
    assert found.content == path.read_bytes()


@pytest.mark.parametrize(
    ("types", "symbols"),
    [(("equity", "etf"), ("BRK.B", "SPY")), (("spot",), ("BTCUSDT", "ETHUSDT")), (("perp",), ())],
)
def test_symbols_of_a_type_are_listed_once_in_order(tmp_path, types, symbols):
    path = write_candidate_file(tmp_path / "c.json", RECORDS, {})
    assert listed_symbols(path, types) == symbols


def test_what_is_not_such_a_file_is_refused(tmp_path):
    path = tmp_path / "c.json"
    with pytest.raises(ConfigError, match="No such file"):
        listed_symbols(path, ("spot",))
    for text, says in [
        ("{", "is not a list of candidates"),
        ('[{"symbol": "BTCUSDT"}]', "is not a list of candidates"),
        ('[{"symbol": "NYSE:../x"}]', "is not a list of candidates"),
        ('[{"symbol": "NYSE:A", "physical_symbol": "B"}]', "has exchange NYSE and physical_symbol"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=says):
            listed_symbols(path, ("spot",))
