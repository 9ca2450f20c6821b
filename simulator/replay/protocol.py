"""The shared protocol of the wire formats: requests, replies, refusals, repeated pages."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from simulator.replay.book import Book
from simulator.replay.rate_limits import MinuteLimit

Query = Mapping[str, str]

_REMEMBERED_PAGES = 8


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request.

    Attributes:
        method: ``GET`` or ``POST``.
        target: Path and query as sent.
        path: The path.
        query: The query; of a name that is sent twice the last value.
        headers: Headers, names in lower case.
        body: The body, empty for ``GET``.
    """

    method: str
    target: str
    path: str
    query: Query
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    Attributes:
        status: Status code.
        body: The body.
        headers: Headers beside type and length.
        content_type: What the body is.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def json_reply(content: Any, status: int = 200) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, orjson.dumps(content))


class Refusal(Exception):
    """A request that the vendor would not serve.

    Args:
        reply: What it answers instead.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Terms:
    """What a wire is opened with.

    Attributes:
        market: The market directory, for files of which the book knows nothing.
        book: What may be told of bars, listings and corporate actions.
        keys: Accepted keys, or none to accept any that is not empty: the secret by key id where a
            vendor has pairs (Alpaca), the key by the vendor's name elsewhere.
        is_free: Whether the free plan is played.
        minute: Counts what is used of the vendor's minute.
    """

    market: Path
    book: Book
    keys: Mapping[str, str] | None
    is_free: bool
    minute: MinuteLimit

    def accepts(self, vendor: str, key: str) -> bool:
        """Whether a vendor with single keys knows this one."""
        return bool(key) and (self.keys is None or self.keys.get(vendor) == key)


class Wire(Protocol):
    """One vendor's side of the conversation. The server calls it from one thread at a time."""

    name: str
    """The vendor, as in the fault ``massive/429``."""

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""

    def check(self, request: Request) -> None:
        """Raises the vendor's ``Refusal`` when keys are missing or wrong."""

    def cost(self, request: Request) -> int:
        """What a request uses of the minute."""

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:
        """How the vendor states its limit on every answer.

        Args:
            now: Time of the answer, seconds since 1970.
            seconds: Seconds until the reset where they are not the window's own.
        """

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers; a fault such as ``wrong_symbol`` or ``shuffle`` changes what is said."""

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:
        """Says "too fast" in the vendor's own way.

        Args:
            seconds: Until it may be asked again.
            headers: What ``limit_headers`` says.
        """

    def fail(self) -> Reply:
        """A server error as the vendor sends it."""


class IssuedPages:
    """The last pages that a wire handed out, to be able to send one twice."""

    def __init__(self) -> None:
        self._pages: OrderedDict[str, Reply] = OrderedDict()

    def keep(self, name: str, reply: Reply) -> None:
        """Remembers a page under what its successor will be asked by."""
        self._pages[name] = reply
        while len(self._pages) > _REMEMBERED_PAGES:
            self._pages.popitem(last=False)

    def find(self, name: str | None) -> Reply | None:
        """The page that came before the one asked for, none where it is not remembered."""
        return self._pages.get(name) if name is not None else None
