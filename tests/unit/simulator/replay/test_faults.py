from collections import Counter

import pytest

from simulator.replay.faults import parse_faults
from simulator.replay.rate_limits import MinuteLimit
from trademl.errors import ConfigError


def test_rates_and_options_are_read():
    faults = parse_faults("429:0.05, 5xx:0.02,timeout:0.01;seed=7;hang=2")
    assert faults.rates == {"429": 0.05, "5xx": 0.02, "timeout": 0.01}
    assert (faults.seed, faults.hang, faults.limit) == (7, 2, 0)
    assert parse_faults("").rates == {}


def test_kinds_and_options_may_be_for_one_vendor():
    faults = parse_faults("massive/429:1;limit=9;massive/limit=5;finnhub/free=1;weight=7")
    assert faults.draw("/x", "massive") == "429"
    assert faults.draw("/x", "alpaca") is None
    limits = [faults.limit_of(vendor) for vendor in ("massive", "alpaca", "binance")]
    assert limits == [5, 9, 7]
    assert [faults.is_free(vendor) for vendor in ("finnhub", "massive")] == [True, False]


@pytest.mark.parametrize(
    "spec",
    [
        "503:0.1",
        "massive/503:0.1",
        "massive/seed=1",
        "cut",
        "cut:often",
        "seed:7",
        "cut=1",
        "seed=x",
        "cut:0.6,429:0.6",
        "cut:-1",
    ],
)
def test_what_is_not_understood_is_refused(spec):
    with pytest.raises(ConfigError, match="faults"):
        parse_faults(spec)


def draws(seed, targets):
    faults = parse_faults(f"429:0.2,cut:0.1;seed={seed}")
    return {target: [faults.draw(target) for _ in range(20)] for target in targets}


def test_the_draw_hangs_on_the_request_and_not_on_the_order():
    names = [f"/x?{number}" for number in range(50)]
    assert draws(1, names) == draws(1, names[::-1])
    assert draws(1, names) != draws(2, names)


def test_rates_are_met():
    drawn = Counter(kind for kinds in draws(3, map(str, range(200))).values() for kind in kinds)
    assert 0.17 < drawn["429"] / 4000 < 0.23
    assert 0.08 < drawn["cut"] / 4000 < 0.12


def test_a_minute_is_counted_and_begins_anew():
    now = [0.0]
    limit = MinuteLimit(2, lambda: now[0])
    assert [limit.take(1) for _ in range(3)] == [True, True, False]
    assert limit.headers(1000.0, None)["X-RateLimit-Remaining"] == "0"
    assert limit.headers(1000.0, None)["X-RateLimit-Reset"] == "1060"
    now[0] = 61.0
    assert limit.take(1)
    assert limit.violations == 1
