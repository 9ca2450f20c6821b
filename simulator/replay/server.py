"""The replay vendor: a market directory served over loopback in the vendors' own wire formats."""

import gzip
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from simulator.replay import vendors
from simulator.replay.book import open_book
from simulator.replay.faults import Faults, parse_faults
from simulator.replay.protocol import Refusal, Reply, Request, Terms, Wire, json_reply
from simulator.replay.rate_limits import MinuteLimit
from trademl.errors import DataError


def _wires() -> dict[str, Callable[[Terms], Wire]]:
    """The ``WIRE`` of every module in ``vendors`` that has one; the others are their helpers."""
    modules = (
        import_module(f"{vendors.__name__}.{module.name}")
        for module in iter_modules(vendors.__path__)
    )
    wires = (module.WIRE for module in modules if hasattr(module, "WIRE"))
    return {wire.name: wire for wire in wires}


WIRES = _wires()
"""The vendors that are played, by name."""


class ReplayServer:
    """Serves one market as it was known at one clock, on 127.0.0.1.

    Use it as a context manager: it serves from a thread of its own until the block ends.

    Args:
        market: A market directory; files that are absent answer "no data".
        clock: Nothing that became known later is served.
        faults: What goes wrong and how often, see ``parse_faults``.
        keys: Accepted keys, see ``Terms.keys``; none accepts any that are not empty.
        port: 0 takes a free one.

    Raises:
        DataError: The market is not a directory.
    """

    def __init__(
        self,
        market: Path,
        clock: datetime,
        faults: str = "",
        keys: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        if not market.is_dir():
            raise DataError(f"{market} is not a market directory; make one with `trademl market`")
        plan = parse_faults(faults)
        book = open_book(market, clock)

        def opened(name: str) -> _Vendor:
            minute = MinuteLimit(plan.limit_of(name), time.monotonic)
            return _Vendor(
                WIRES[name](Terms(market, book, keys, plan.is_free(name), minute)), minute
            )

        self._desk = _Desk([opened(name) for name in WIRES], plan)
        self._http = _Server(("127.0.0.1", port), self._desk)
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


@dataclass(frozen=True, slots=True)
class _Vendor:
    """A wire and the minute that its requests are counted in."""

    wire: Wire
    minute: MinuteLimit


class _Desk:
    """Takes requests of all handlers: limits, keys, faults, then the vendor's wire."""

    def __init__(self, vendors: Sequence[_Vendor], faults: Faults) -> None:
        self.faults = faults
        self.closing = threading.Event()
        self.requests = 0
        self._vendors = vendors
        self._lock = threading.Lock()

    def serve(self, request: Request, now: float) -> tuple[Reply, str | None]:
        """The reply to a request, and the fault with which it is to be sent."""
        with self._lock:
            self.requests += 1
            for vendor in self._vendors:
                if vendor.wire.owns(request.path):
                    return self._serve(vendor, request, now)
        return json_reply({"message": "endpoint not found."}, 404), None

    def _serve(self, vendor: _Vendor, request: Request, now: float) -> tuple[Reply, str | None]:
        wire = vendor.wire
        try:
            allowed = vendor.minute.take(wire.cost(request))
            wire.check(request)
            fault = self.faults.draw(request.target, wire.name)
            if fault == "429" or not allowed:
                seconds = (
                    self.faults.retry_after if fault == "429" else vendor.minute.seconds_left()
                )
                return wire.refuse_rate(seconds, wire.limit_headers(now, seconds)), None
            limits = wire.limit_headers(now, None)
            if fault == "5xx":
                return _with(wire.fail(), limits), None
            return _with(wire.answer(request, fault), limits), fault
        except Refusal as refused:
            return refused.reply, None


def _with(reply: Reply, headers: Mapping[str, str]) -> Reply:
    return replace(reply, headers={**headers, **reply.headers})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A test may open a server where another has just closed.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], desk: _Desk) -> None:
        self.desk = desk
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is not news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Head and body go out in one packet: two would wait 40 ms for each other.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serves one request, with the fault that was drawn for it."""
        self._serve()

    def do_POST(self) -> None:
        """The same, with a body."""
        self._serve()

    def _serve(self) -> None:
        desk = self.server.desk
        reply, fault = desk.serve(self._request(), time.time())
        if fault == "timeout":
            desk.closing.wait(desk.faults.hang)
            self.close_connection = True
            return
        body, encoding = self._encoded(reply)
        if fault == "malformed":
            body, encoding = reply.body[:-1] + b",]", None
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
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

    def _request(self) -> Request:
        url = urlsplit(self.path)
        return Request(
            method=self.command,
            target=self.path,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
        )

    def _encoded(self, reply: Reply) -> tuple[bytes, str | None]:
        accepts_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (self.server.desk.faults.gzip and accepts_gzip):
            return reply.body, None
        return gzip.compress(reply.body, compresslevel=1), "gzip"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: they would fill the terminal of a demo."""
