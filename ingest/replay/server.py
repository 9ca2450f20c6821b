"""The replay vendor: a market directory served over loopback in the vendors' own wire formats."""

import gzip
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import orjson

from ingest.replay.alpaca_wire import AlpacaWire
from ingest.replay.binance_wire import BinanceWire
from ingest.replay.book import open_book
from ingest.replay.faults import Faults, parse_faults
from ingest.replay.limits import MinuteLimit
from ingest.replay.wire import Query, Refusal, Reply, json_reply
from trademl.errors import DataError

_REMEMBERED_PAGES = 8
_RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you "
    "received this message in error."
)


class ReplayServer:
    """Serves one market as it was known at one clock, on 127.0.0.1.

    Use it as a context manager: it serves from a thread of its own until the block ends.

    Args:
        market: A market directory; files that are absent answer "no data".
        clock: Nothing that became known later is served.
        faults: What goes wrong and how often, see ``parse_faults``.
        keys: Accepted Alpaca key ids with their secrets; none accepts any that are not empty.
        port: 0 takes a free one.
        monotonic: Seconds, for the vendors' minute windows.

    Raises:
        DataError: The market is no directory.
    """

    def __init__(
        self,
        market: Path,
        clock: datetime,
        faults: str = "",
        keys: Mapping[str, str] | None = None,
        port: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not market.is_dir():
            raise DataError(f"{market} is no market directory; make one with `trademl market`")
        plan = parse_faults(faults)
        book = open_book(market, clock)
        desk = _Desk(AlpacaWire(book, keys, bool(plan.free)), BinanceWire(book), plan, monotonic)
        self._desk = desk
        self._http = _Server(("127.0.0.1", port), desk)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, for every host of every vendor."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def requests(self) -> int:
        """Requests received so far."""
        return self._desk.requests

    def serve_forever(self) -> None:
        """Serves in this thread until it is interrupted."""
        try:
            self._http.serve_forever(poll_interval=0.1)
        finally:
            self._desk.closing.set()
            self._http.server_close()

    def __enter__(self) -> Self:
        serve = self._http.serve_forever
        self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._desk.closing.set()
        self._http.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._http.server_close()


class _Desk:
    """Takes requests of all handlers: keys, limits, faults, then the vendor's wire."""

    def __init__(
        self,
        alpaca: AlpacaWire,
        binance: BinanceWire,
        faults: Faults,
        monotonic: Callable[[], float],
    ) -> None:
        self.faults = faults
        self.closing = threading.Event()
        self.requests = 0
        self._alpaca, self._binance = alpaca, binance
        self._alpaca_limit = MinuteLimit(faults.limit, monotonic)
        self._binance_limit = MinuteLimit(faults.weight, monotonic)
        self._lock = threading.Lock()
        self._issued: OrderedDict[str, Reply] = OrderedDict()

    def serve(
        self, target: str, headers: Mapping[str, str], now: float
    ) -> tuple[Reply, str | None]:
        """The reply to a request, and the fault with which it is to be sent."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        with self._lock:
            self.requests += 1
            try:
                if url.path in self._alpaca.paths():
                    return self._serve_alpaca(target, url.path, query, headers, now)
                if url.path in self._binance.paths():
                    return self._serve_binance(target, url.path, query)
            except Refusal as refused:
                return refused.reply, None
        return json_reply({"message": "endpoint not found."}, 404), None

    def _serve_alpaca(
        self, target: str, path: str, query: Query, headers: Mapping[str, str], now: float
    ) -> tuple[Reply, str | None]:
        allowed = self._alpaca_limit.take(1)
        limits = self._alpaca_limit.headers(now, self.faults.retry_after if not allowed else None)
        self._alpaca.check_keys(headers)
        fault = self.faults.draw(target)
        if fault == "429" or not allowed:
            seconds = self.faults.retry_after if fault == "429" else None
            limits = self._alpaca_limit.headers(now, seconds)
            return Reply(429, b'{"message":"too many requests."}', limits), None
        if fault == "5xx":
            return json_reply({"message": "internal server error."}, 503), None
        if fault == "duplicate_page" and query.get("page_token") in self._issued:
            return self._issued[query["page_token"]], None
        reply = replace(self._alpaca.answer(path, query, fault), headers=limits)
        self._remember(reply, query.get("page_token"))
        return reply, fault

    def _serve_binance(self, target: str, path: str, query: Query) -> tuple[Reply, str | None]:
        allowed = self._binance_limit.take(self._binance.weight(path))
        used = {"X-MBX-USED-WEIGHT-1M": str(self._binance_limit.used)}
        fault = self.faults.draw(target)
        if fault == "429" or not allowed:
            return self._binance_too_fast(used, fault), None
        if fault == "451":
            return Reply(451, orjson.dumps({"code": 0, "msg": _RESTRICTED}), used), None
        if fault == "5xx":
            return Reply(502, b'{"code":-1001,"msg":"Internal error."}', used), None
        if fault == "duplicate_page" and query.get("symbol") in self._issued:
            return self._issued[query["symbol"]], None
        reply = replace(self._binance.answer(path, query, fault), headers=used)
        if path == "/api/v3/klines":
            self._keep(query["symbol"], reply)
        return reply, fault

    def _binance_too_fast(self, used: Mapping[str, str], fault: str | None) -> Reply:
        wait = self.faults.retry_after if fault else self._binance_limit.seconds_left()
        if self._binance_limit.violations > 3:
            text = "Way too much request weight used; IP banned until 1772500000000."
            status, wait = 418, 120
        else:
            text = (
                "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
            )
            status = 429
        body = orjson.dumps({"code": -1003, "msg": text})
        return Reply(status, body, {**used, "Retry-After": str(wait)})

    def _remember(self, reply: Reply, token: str | None) -> None:
        """Keeps a page under the token it hands out, to be able to send it twice."""
        if "duplicate_page" in self.faults.rates and b'"next_page_token":"' in reply.body:
            following = reply.body.rsplit(b'"next_page_token":"', 1)[1].split(b'"')[0].decode()
            if following != token:
                self._keep(following, reply)

    def _keep(self, name: str, reply: Reply) -> None:
        self._issued[name] = reply
        while len(self._issued) > _REMEMBERED_PAGES:
            self._issued.popitem(last=False)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A test may open a server where another has just closed.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], desk: _Desk) -> None:
        self.desk = desk
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Head and body go out in one packet: two would wait 40 ms for each other.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serves one request, with the fault that was drawn for it."""
        desk = self.server.desk
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply, fault = desk.serve(self.path, headers, time.time())
        if fault == "timeout":
            desk.closing.wait(desk.faults.hang)
            self.close_connection = True
            return
        body, encoding = self._encoded(reply)
        if fault == "malformed":
            body, encoding = reply.body[:-1] + b",]", None
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "cut":
            self.close_connection = True
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()

    def _encoded(self, reply: Reply) -> tuple[bytes, str | None]:
        wanted = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (self.server.desk.faults.gzip and wanted):
            return reply.body, None
        return gzip.compress(reply.body, compresslevel=1), "gzip"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: they would fill the terminal of a demo."""
