"""Whatever a vendor sends, a connector lands it or says in one error what is wrong with it."""

import json
import os
import random
from datetime import date

import httpx
import pytest

from ingest.sync import run_ingest
from ingest.transport import throttle
from ingest.transport.client import VendorClient
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.alpaca import options as alpaca_options
from ingest.vendors.binance import client as binance
from ingest.vendors.fred import client as fred
from ingest.vendors.massive import bars as massive_bars
from ingest.vendors.massive import client as massive
from ingest.vendors.massive import options as massive_options
from ingest.vendors.registry import DATASETS
from ingest.vendors.tradingview import client as tradingview
from simulator.replay.server import ReplayServer
from simulator.replay.vendors import sec_edgar
from simulator.replay.vendors.sec_removals import FIRST_CIK
from tests.support.markets import MORNING_AFTER
from tests.support.weeks import ALL_KEYS, whole_market
from trademl.errors import TradeMLError

CALLS = 100
"""More than any dataset of this market asks for."""
VALUES = (
    *("null", "true", "-1", "0", "1.5", "1e308", "1e999", "NaN", "-Infinity"),
    *(str(2**63), str(-(2**63) - 1), str(10**30), "9" * 5_000, "253402300800000"),
    *('""', '"x"', '"NaN"', '"9999-99-99"', '"0001-01-01"', '"9999-12-31T23:59:59-10:00"'),
    *('"http://["', r'"/\u0000"', r'"\ud800"', '"\x80"', '"' + "x" * 70_000 + '"'),
    *("[]", "{}", "[null]", "[[]]", '{"a":1}', "[" * 50_000, "[" * 5_000 + "]" * 5_000),
)
TEXTS = ("", "null", "-1", "9" * 400, "9999-99-99", "NaN", "\x00", '"', "<", "&x;", "x" * 200_000)
DAY, MARCH = {"start": date(2020, 3, 20)}, {"start": date(2020, 3, 2)}
ALL, ONE, SERIES = {}, {"symbols": ["AAA"]}, {"symbols": ["GDPX"]}
COMPANY = {"symbols": [str(FIRST_CIK)]}
ASKED = {
    "alpaca": {
        "assets": ALL,
        "calendar": {**MARCH, "end": date(2020, 3, 31)},
        "corp_actions": MARCH,
        "options_chain": ONE,
    },
    "alphavantage": {
        "corp_actions_dividends": {"symbols": ["BRK.B"]},
        "corp_actions_splits": ONE,
        "delistings": ALL,
        "earnings_history": ONE,
        "options_chain": ONE,
        "universe_pit": ALL,
    },
    "binance": {"crypto_bars_1d": {"symbols": ["BTCUSDT"]}, "crypto_filters": ALL},
    "finnhub": {"earnings_calendar": DAY, "options_chain": ONE},
    "fmp": {
        "corp_actions_dividends": MARCH,
        "corp_actions_splits": MARCH,
        "delistings": ALL,
        "earnings_calendar": DAY,
        "fundamentals_statements": ONE,
    },
    "fred": dict.fromkeys(["macro_series", "macro_vintages", "macro_vintage_dates"], SERIES),
    "massive": {
        "corp_actions_dividends": MARCH,
        "corp_actions_splits": MARCH,
        "delistings": ALL,
        "equities_bars_1d": DAY,
        "options_chain": ONE,
        "universe_pit": ALL,
    },
    "sec_edgar": {
        **dict.fromkeys(["companies", "filings_index", "fundamentals_facts"], COMPANY),
        "company_tickers": ALL,
        "delistings": {"start": date(2020, 1, 1)},
    },
    "tradingview": {"technical_rating_live": ALL},
}
"""What is asked for; of every other dataset, of bars, a symbol's March."""
PAGES = (
    (alpaca, "BARS_PER_PAGE", 9),
    (alpaca, "ACTIONS_PER_PAGE", 1),
    (alpaca_options, "SNAPSHOTS_PER_PAGE", 5),
    (binance, "KLINES_PER_PAGE", 9),
    (fred, "OBSERVATIONS_PER_PAGE", 3),
    (fred, "VINTAGE_DATES_PER_PAGE", 3),
    (massive, "ROWS_PER_PAGE", 1),
    (massive_bars, "BASE_AGGREGATES_PER_PAGE", 40),
    (massive_options, "CONTRACTS_PER_PAGE", 5),
    (sec_edgar, "RECENT_FILINGS", 1),
    (tradingview, "ROWS_PER_PAGE", 2),
)
"""Small ones, so that what leads to the next is mangled too."""
NETWORK = sorted(pair for pair in DATASETS if pair[0] not in ("file", "exchange_calendars"))


class Tape(httpx.BaseTransport):
    """Records what the replay answers; then plays it with the body of one call mangled."""

    def __init__(self, network):
        self.network, self.answers, self.calls, self.mangled = network, {}, 0, {}

    def handle_request(self, request):
        key = (request.method, str(request.url), request.read())
        if key not in self.answers:
            answer = self.network.handle_request(request)
            self.answers[key] = answer.status_code, answer.read()
        status, body = self.answers[key]
        self.calls += 1
        assert self.calls < CALLS, "asks without an end"
        if self.calls in self.mangled:
            body = mangle(body, self.mangled[self.calls])
        return httpx.Response(status, content=body)

    def close(self):
        """The network is needed by the next client."""


def mangle(body, rng):
    """A body with one value, cell or byte replaced or left out; or cut, doubled, turned."""
    if rng.random() < 0.1:
        cut = body[: rng.randrange(len(body) + 1)]
        return rng.choice((b"", cut, body + body, b"\xff\xfe" + body, body[::-1]))
    try:
        content = json.loads(body)
    except ValueError:
        return mangle_text(body, rng)
    root = [content]
    parent, name = rng.choice(list(places(root)))
    if rng.random() < 0.15 and parent is not root:
        del parent[name]
    else:
        parent[name] = "<here>"
    return json.dumps(root)[1:-1].replace('"<here>"', rng.choice(VALUES), 1).encode("latin-1")


def mangle_text(body, rng):
    if rng.random() < 0.3:
        place = rng.randrange(len(body) + 1)
        return body[:place] + bytes([rng.randrange(256)]) + body[place + 1 :]
    mark = rng.choice([",", "|", "<", ">", "\n"])
    cells = body.decode().split(mark)
    cells[rng.randrange(len(cells))] = rng.choice(TEXTS)
    return mark.join(cells).encode()


def places(parent):
    """Every place of a value; of a list the first and the last."""
    names = (
        list(parent) if isinstance(parent, dict) else [*range(len(parent))][:: len(parent) - 1 or 1]
    )
    for name in names:
        yield parent, name
        if isinstance(parent[name], dict | list):
            yield from places(parent[name])


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    market = whole_market(tmp_path_factory.mktemp("market") / "market")
    with ReplayServer(market, MORNING_AFTER) as server, httpx.HTTPTransport() as network:
        yield server.url, network


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(throttle.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    for module, name, rows in PAGES:
        monkeypatch.setattr(module, name, rows)


@pytest.mark.parametrize(("vendor", "dataset"), NETWORK)
@pytest.mark.parametrize(
    "count", [pytest.param(20, id="few"), pytest.param(400, id="many", marks=pytest.mark.accept)]
)
def test_only_errors_of_our_own_come_out(replay, tmp_path, vendor, dataset, count):
    host, network = replay
    tape = Tape(network)
    options = ASKED[vendor].get(dataset, {**ONE, **MARCH})

    def make_client(name, host, **known):
        return VendorClient(name, host, **{**known, "transport": tape, "tries": 1})

    def land(folder):
        tape.calls = 0
        run = {"data_dir": tmp_path / folder, "clock": MORNING_AFTER, "settings": ALL_KEYS}
        return run_ingest(vendor, dataset, **run, base_url=host, make_client=make_client, **options)

    assert land("whole").rows > 0
    asked = tape.calls
    for number in range(count):
        rng = random.Random(f"{vendor} {dataset} {number}")
        tape.mangled = {rng.randint(1, asked): rng}
        try:
            land(f"mangled {number}")
        except TradeMLError:
            continue
        except Exception as error:
            pytest.fail(f"body {number} of {vendor} {dataset}: {type(error).__name__}: {error}")
