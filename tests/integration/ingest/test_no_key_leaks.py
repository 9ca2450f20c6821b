"""A planted key of every vendor: in no file under data/, no log, no error, no trace.

The vendor here is hostile: whatever it refuses, it says back every header and the whole address.
"""

import json
import logging
import threading
import traceback
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import structlog

from ingest.control.tasks import Work
from ingest.node.daemon import work
from ingest.sync import run_ingest
from ingest.transport.client import VendorClient
from ingest.transport.throttle import Pace
from ingest.vendors.registry import DATASETS
from simulator.replay.server import ReplayServer
from tests.support import replays, vendors
from tests.support.markets import MORNING_AFTER, write
from tests.support.nodes import Steps, make_node, tasks
from trademl.errors import ConfigError, TradeMLError
from trademl.log import redact
from trademl.settings import Settings

KEYS = {
    "alpaca_key_id": "planted-alpaca-id-1f0c",
    "alpaca_secret_key": "planted-alpaca-secret-9d2e",
    "massive_api_key": "planted-massive-77aa",
    "finnhub_api_key": "planted-finnhub-31bc",
    "alphavantage_key": "PLANTEDALPHAVANTAGE",
    "fmp_key": "planted/fmp+55==",
    "fred_key": "planted0fred0000000000000000abcd",
    "sec_user_agent": "Planted Name planted@example.org",
}
SHOWN = (*KEYS.values(), "planted%2Ffmp%2B55%3D%3D", "planted%40example.org")
"""Also as they look inside an address."""
VENDORS = (
    "alpaca",
    "alphavantage",
    "binance",
    "finnhub",
    "fmp",
    "fred",
    "massive",
    "sec_edgar",
    "tradingview",
)
WINDOW = {"start": date(2020, 3, 2), "end": date(2020, 3, 4)}
NAMES = {
    "fred": ("GDPX",),
    "binance": ("BTCUSDT",),
    "sec_edgar": ("11",),
    "tradingview": ("NYSE:AAA",),
}


TROUBLES = ("302", "401", "403", "429", "503", "malformed", "cut", "odd")


def quick(vendor, base_url, **options):
    """One try, and no certificates to read: there is no TLS on loopback."""
    plain = httpx.HTTPTransport(verify=False)
    once = {"timeout": 5, "tries": 1, "transport": plain}
    return VendorClient(vendor, base_url, **{**options, **once})


class Echo(BaseHTTPRequestHandler):
    """Says everything back that it was sent, in the way of the chosen trouble."""

    trouble = "401"

    def do_GET(self):
        told = " ".join([self.path, *self.headers.values()])
        whole = json.dumps({"message": f"no: {told}", "Error Message": told, "error": told})
        odd = json.dumps({"odd": told})
        status = int(self.trouble) if self.trouble.isdigit() else 200
        body = {"malformed": '{"data": [' + told, "odd": odd}.get(self.trouble, whole).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Location", f"/again?{told[:100]}".replace("\n", ""))
        self.send_header("Content-Length", str(len(body) + 50 * (self.trouble == "cut")))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_words):
        """Says nothing."""


@pytest.fixture
def hostile():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def data(tmp_path):
    """A data directory whose logs/ take everything that this process says, at level DEBUG."""
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    root, configured = logging.getLogger(), structlog.get_config()
    level, handler = root.level, logging.FileHandler(data / "logs" / "debug.log")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with open(data / "logs" / "trademl.jsonl", "a") as stream:
        structlog.configure(
            processors=[redact, structlog.processors.JSONRenderer(default=str)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.WriteLoggerFactory(file=stream),
        )
        yield data
    structlog.configure(**configured)
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


@pytest.fixture(autouse=True)
def _without_pace(monkeypatch):
    """Calls need not keep apart here: there is nobody whose limit could be broken."""
    monkeypatch.setattr(Pace, "wait", lambda _pace: None)


@pytest.fixture
def market(tmp_path):
    """Everything that any of the vendors tells."""
    market = vendors.wide_market(tmp_path / "market")
    write(market, "equities_minute", replays.minute_rows())
    return market


def ask(data, vendor, dataset, url):
    """Asks in the first way that the dataset takes; the error of a refusal, none without."""
    names = {"symbols": NAMES.get(vendor, ("AAA",))}
    for options in ({**names, **WINDOW}, names, WINDOW, {}):
        try:
            run_ingest(
                vendor,
                dataset,
                data_dir=data,
                clock=MORNING_AFTER,
                settings=Settings(**KEYS, _env_file=None),
                base_url=url,
                make_client=quick,
                **options,
            )
        except ConfigError:
            continue
        except TradeMLError as error:
            return error
        return None
    raise AssertionError(f"{vendor} {dataset} was not asked at all")


def assert_nothing_shown(data, said=""):
    for name in SHOWN:
        assert name not in said, said
        found = [
            str(path.relative_to(data))
            for path in data.rglob("*")
            if path.is_file() and name.encode() in path.read_bytes()
        ]
        assert found == [], name


def datasets(vendor):
    return [dataset for name, dataset in DATASETS if name == vendor]


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_lands_holds_no_key(data, market, vendor):
    with ReplayServer(market, MORNING_AFTER) as server:
        for dataset in datasets(vendor):
            ask(data, vendor, dataset, server.url)
        assert server.requests
    assert list((data / "raw" / vendor).rglob("*.parquet"))
    assert_nothing_shown(data)


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_refusal_shows_a_key(data, hostile, vendor):
    log, said = structlog.get_logger(), []
    # The name that EDGAR wants is not a key: settings may show it, nothing else does.
    shown = Settings(**{**KEYS, "sec_user_agent": ""}, _env_file=None)
    for trouble in TROUBLES:
        Echo.trouble = trouble
        for dataset in datasets(vendor):
            error = ask(data, vendor, dataset, hostile.url)
            assert error is not None, (dataset, trouble)
            trace = "".join(traceback.format_exception(error))
            log.error("refused", error=str(error), trace=trace, settings=shown)
            logging.getLogger("test").error("refused", exc_info=error)
            said.append(trace)
    assert all("Traceback" in trace for trace in said)
    assert_nothing_shown(data, "\n".join(said))


def test_neither_queue_nor_log_of_a_node_shows_a_key(data, hostile):
    Echo.trouble = "401"
    node = make_node(
        data, hostile, Steps(), make_client=quick, settings=Settings(**KEYS, _env_file=None)
    )
    days = (WINDOW["start"], WINDOW["end"] + timedelta(days=1))
    with node.queue() as queue:
        queue.add(
            Work(dataset, *days, "FORWARD", "AAA")
            for dataset in sorted({row.dataset for row in node.registry.rows})
        )
    outcomes = work(node).outcomes
    assert {vendor for vendor, _ in outcomes} >= {"alpaca", "finnhub", "fmp", "fred"}
    errors = [error for (error,) in tasks(node, "last_error") if error]
    assert any("***" in error for error in errors)
    assert_nothing_shown(data, repr(errors))


def test_the_vendor_of_these_tests_would_show_a_key(hostile):
    Echo.trouble = "401"
    answer = httpx.get(hostile.url, headers={"X-Key": KEYS["fmp_key"]})
    assert KEYS["fmp_key"] in answer.text
