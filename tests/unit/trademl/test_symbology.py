import pytest

from trademl.symbology import HYPHENS, from_vendor, to_vendor


@pytest.mark.parametrize("vendor", sorted(HYPHENS))
def test_a_share_class_has_a_hyphen_there_and_a_dot_here(vendor):
    assert to_vendor(vendor, "BRK.B") == "BRK-B"
    assert from_vendor(vendor, "BRK-B") == "BRK.B"
    assert to_vendor(vendor, "BRK-B") == "BRK-B"
    assert from_vendor(vendor, "BRK.B") == "BRK.B"


@pytest.mark.parametrize(
    "symbol", ["AAPL", "BRK.B", "BRK-B", "BAC.PRL", "BAC-PL", "BTCUSDT", "0000320193", "7203.T", ""]
)
def test_what_is_no_share_class_there_or_another_vendor_s_stays(symbol):
    for vendor in ("alpaca", "massive", "tradingview", "finnhub"):
        assert to_vendor(vendor, symbol) == from_vendor(vendor, symbol) == symbol
    if symbol not in ("BRK.B", "BRK-B"):
        assert to_vendor("fmp", symbol) == from_vendor("fmp", symbol) == symbol
