import pytest

from ingest.spelling import HYPHENS, ours, theirs


@pytest.mark.parametrize("vendor", sorted(HYPHENS))
def test_a_share_class_has_a_hyphen_there_and_a_dot_here(vendor):
    assert theirs(vendor, "BRK.B") == "BRK-B"
    assert ours(vendor, "BRK-B") == "BRK.B"
    assert theirs(vendor, "BRK-B") == "BRK-B"
    assert ours(vendor, "BRK.B") == "BRK.B"


@pytest.mark.parametrize(
    "symbol", ["AAPL", "BRK.B", "BRK-B", "BAC.PRL", "BAC-PL", "BTCUSDT", "0000320193", "7203.T", ""]
)
def test_what_is_no_share_class_there_or_another_vendor_s_stays(symbol):
    for vendor in ("alpaca", "massive", "tradingview", "finnhub"):
        assert theirs(vendor, symbol) == ours(vendor, symbol) == symbol
    if symbol not in ("BRK.B", "BRK-B"):
        assert theirs("fmp", symbol) == ours("fmp", symbol) == symbol
