"""The HTTP client of all vendors: keys in headers, time limits and at most three tries."""

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote, quote_plus, urlencode

import httpx
import msgspec
import stamina

from ingest.transport.throttle import Turn
from trademl import __version__
from trademl.errors import (
    NotEntitled,
    RateLimited,
    Rejected,
    TradeMLError,
    Unavailable,
    UnknownSymbol,
    VendorError,
    WrongKey,
)
from trademl.files import sha256_of_bytes

# httpx logs every URL with its query at level INFO, httpcore every header of an answer at DEBUG, in
# which a vendor may say a key back; neither comes into a log, whatever its level.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

Decoded = TypeVar("Decoded")
Params = Mapping[str, str | int]
ClassifyRefusal = Callable[[int, str], type[VendorError] | None]
"""What a status and the vendor's words mean to one vendor; none for the usual meaning. It sees all
that was said, on one line and without keys."""
IsRefusalBody = Callable[[bytes], bool]
"""Whether a body with a good status is a refusal all the same, to be judged as one."""

_ESCAPE = re.compile(r"%[0-9A-F]{2}")
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not JSON, the last one where brackets never end."""

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]*)?")
_MARKUP = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>")
_SHOWN, _LOOKED_AT = 200, 10_000
"""Characters of a vendor's words in a message, and of a page that they are looked for in."""

LONGEST_WAIT = 90.0
"""Seconds: a vendor's minute window, with some room. Longer waits belong to the caller."""
BAN = 600.0
"""Seconds to stay away where a vendor that has shut us out does not say for how long."""
LONGEST_BAN = 7 * 86_400.0
"""Seconds: no vendor shuts anybody out for longer; a header that says so is a slip."""


class Banned(RateLimited):
    """The vendor has shut this address out for a while; asking again makes it longer."""


class Exhausted(Banned):
    """The calls of a day or a month are used up; asking again today is of no use."""


_ADVICE: Mapping[type[VendorError], str] = {
    NotEntitled: "the plan or the place does not cover this, another key or vendor may",
    Rejected: "check the key in the environment, symbols, dates and base URL",
    WrongKey: "check the key in the environment",
    UnknownSymbol: "check symbols, dates and base URL",
    Exhausted: "run again when the vendor's day is over, what is landed is kept",
}
_USUAL: Mapping[int, type[VendorError]] = {429: RateLimited, 418: Banned}


@dataclass(frozen=True, slots=True)
class Answer(Generic[Decoded]):
    """A decoded body with the evidence of where it came from.

    Attributes:
        value: What ``decode`` made of the body.
        payload_sha256: Hash of the body as received (after decompression).
        source_uri: The URL without page parameters; keys are never in it.
        request_hash: Hash of vendor, path and parameters, page parameters excluded.
        headers: The response's headers, names in lower case.
    """

    value: Decoded
    payload_sha256: str
    source_uri: str
    request_hash: str
    headers: Mapping[str, str]


class VendorClient:
    """Asks one host of one vendor.

    Args:
        vendor: Name in messages.
        base_url: Scheme and host, e.g. ``https://data.alpaca.markets``.
        headers: Keys go here; they are never shown, nor is any query string.
        query_keys: Keys of vendors that want them in the query; in no address that is kept.
        classify_refusal: The vendor's own meaning of some statuses.
        is_refusal_body: Tells refusals that come with a good status from data.
        window: Seconds to wait after "too fast" where the vendor does not say how long.
        pace: Waited for before each call, where the vendor counts by the second.
        timeout: Seconds for each of connect, read and write.
        tries: Attempts per call, the first included.
        on_rate_limit: Hears of every "too fast", in place of a wait here; whether to try again.
        on_body: Is given every body that was answered and decoded.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query_keys: Mapping[str, str] | None = None,
        classify_refusal: ClassifyRefusal | None = None,
        is_refusal_body: IsRefusalBody | None = None,
        pace: Turn | None = None,
        window: float | None = None,
        timeout: float = 60.0,
        tries: int = 3,
        on_rate_limit: Callable[[RateLimited], bool] | None = None,
        on_body: Callable[[bytes], None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.vendor = vendor
        self.calls = 0
        self._base_url = base_url.rstrip("/")
        self._query_keys = dict(query_keys or {})
        kept = (*(headers or {}).values(), *self._query_keys.values())
        self._secrets = _secret_forms(kept)
        self._classify_refusal = classify_refusal
        self._is_refusal_body = is_refusal_body
        self._pace = pace
        self._window = window
        self._tries = tries
        self._on_rate_limit = on_rate_limit
        self._keep_body = on_body
        self._client = httpx.Client(
            base_url=self._base_url,
            headers={"User-Agent": f"trademl/{__version__}", **(headers or {})},
            timeout=timeout,
            verify=_trusted(),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes], Decoded],
        page: Params | None = None,
        following: str | None = None,
    ) -> Answer[Decoded]:
        """Asks until an answer can be decoded, three times at most.

        Args:
            path: Path on the host.
            params: The request's parameters, part of its identity.
            decode: Makes a value of the body; an ``Unavailable`` from it is worth another try.
            page: Parameters that only choose the page; they add to or replace ``params``.
            following: Path and query that the vendor gave for a further page of this request;
                asked as they are, in place of ``path`` and ``params``.

        Raises:
            RateLimited: Still too fast after the tries, or the wait asked for is too long.
            Unavailable: No usable answer after the tries.
            NotEntitled: The plan does not cover the request.
            Rejected: The vendor refuses the request.
        """
        try:
            url = httpx.URL(following or path)
        except httpx.InvalidURL as error:
            reason = self._one_line(str(error))
            raise Rejected(f"{self.vendor} has no address {path[:60]!r}: {reason}") from error
        request_params = {} if following else {**params, **(page or {})}
        query = (*url.params.multi_items(), *request_params.items(), *self._query_keys.items())
        bare = url.copy_with(query=None)
        response, value = self._answered(path, lambda: self._client.get(bare, params=query), decode)
        return Answer(
            value,
            sha256_of_bytes(response.content),
            self._uri(path, params),
            request_hash(self.vendor, path, params),
            response.headers,
        )

    def post(
        self,
        path: str,
        content: Mapping[str, Any],
        decode: Callable[[bytes], Decoded],
        page: Mapping[str, Any] | None = None,
    ) -> Answer[Decoded]:
        """Asks as ``get`` does, with a JSON body; for questions only, since a failure repeats it.

        Args:
            path: Path on the host.
            content: The body, part of the request's identity.
            decode: Makes a value of the answer.
            page: Keys that only choose the page; they add to or replace ``content``.

        Raises:
            RateLimited: Still too fast after the tries, or the wait asked for is too long.
            Unavailable: No usable answer after the tries.
            NotEntitled: The plan does not cover the request.
            Rejected: The vendor refuses the request.
        """
        body = {**content, **(page or {})}
        response, value = self._answered(
            path, lambda: self._client.post(path, params=self._query_keys, json=body), decode
        )
        return Answer(
            value,
            sha256_of_bytes(response.content),
            self._uri(path, {}),
            request_hash(self.vendor, path, content),
            response.headers,
        )

    def _answered(
        self, path: str, send: Callable[[], httpx.Response], decode: Callable[[bytes], Decoded]
    ) -> tuple[httpx.Response, Decoded]:
        """Sends until an answer can be decoded."""
        for attempt in stamina.retry_context(
            on=self._backoff, attempts=self._tries, timeout=None, wait_initial=0.5, wait_max=8.0
        ):
            with attempt:
                response = self._send(path, send)
                value = self._decoded(decode, response.content)
                self._keep(response.content)
                return response, value
        raise AssertionError("unreachable: the last try either returns or raises")

    def _keep(self, body: bytes) -> None:
        """Hands a body on; one in which the vendor echoes a key is in nobody's hands."""
        if self._keep_body and not any(secret.encode() in body for secret in self._secrets):
            self._keep_body(body)

    def _decoded(self, decode: Callable[[bytes], Decoded], body: bytes) -> Decoded:
        """Decodes a body; a refusal that is found in it does not show the key it may echo."""
        try:
            return decode(body)
        except TradeMLError as error:
            error.args = (self._masked(str(error)), *error.args[1:])
            raise

    def _backoff(self, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds."""
        if not isinstance(error, RateLimited) or isinstance(error, Banned):
            return isinstance(error, Unavailable)
        if self._on_rate_limit:
            return 0.0 if self._on_rate_limit(error) else False
        wait = error.retry_after
        return True if wait is None else wait if wait <= LONGEST_WAIT else False

    def _send(self, path: str, send: Callable[[], httpx.Response]) -> httpx.Response:
        self.calls += 1
        if self._pace is not None:
            self._pace.wait()
        try:
            response = send()
        except (httpx.TransportError, httpx.DecodingError) as error:
            error.args = (self._masked(str(error)),)  # a traceback shows the cause as well
            if isinstance(error, httpx.TimeoutException):
                message = f"{self.vendor} {path} did not answer in time; try later"
                raise Unavailable(message) from error
            reason = self._one_line(str(error)) or type(error).__name__
            raise Unavailable(f"{self.vendor} {path} broke off: {reason}; try later") from error
        if not response.is_success or (
            self._is_refusal_body and self._is_refusal_body(response.content)
        ):
            self._refuse(path, response)
        return response

    def _refuse(self, path: str, response: httpx.Response) -> None:
        status = response.status_code
        message = " ".join(self._masked(_message(response.content)).split())
        refusal = f"{self.vendor} {path} answered HTTP {status}: {_shown(message) or 'no message'}"
        wait = retry_after(response.headers)
        refusal_kind = self._classify_refusal(status, message) if self._classify_refusal else None
        meaning = refusal_kind or _USUAL.get(status)
        # Vendors refuse in JSON or text; a page comes from a firewall in front of them.
        is_page = message.startswith("<")
        if meaning is RateLimited:
            wait = self._window if wait is None else wait
            hint = f"in {wait:.0f} s" if wait is not None else "in a minute"
            raise RateLimited(f"{refusal}; run again {hint}, what is landed is kept", wait)
        if meaning is Banned:
            wait = BAN if wait is None else wait
            raise Banned(
                f"{refusal}; do not ask again for {wait:.0f} s, what is landed is kept", wait
            )
        if meaning is not None:
            raise meaning(f"{refusal}; {_ADVICE.get(meaning, 'try later')}")
        if status >= 500 or status == 408 or (status == 403 and is_page):
            raise Unavailable(f"{refusal}; try later")
        if status in (402, 451):
            raise NotEntitled(f"{refusal}; {_ADVICE[NotEntitled]}")
        if status in (401, 403):
            raise WrongKey(
                f"{refusal}; check the {self.vendor} keys in the environment and the plan"
            )
        raise Rejected(f"{refusal}; check symbols, dates and base URL")

    def _uri(self, path: str, params: Params) -> str:
        query = urlencode(params, safe=",:-")
        return f"{self._base_url}{path}" + (f"?{query}" if query else "")

    def _one_line(self, text: str) -> str:
        """A vendor's words in one short line, without any key it may have echoed."""
        return " ".join(self._masked(text).split())[:_SHOWN]

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


@cache
def _trusted() -> ssl.SSLContext:
    """Whom all clients trust; reading it takes 23 ms, and a node makes a client for every task."""
    return httpx.create_ssl_context()


def _secret_forms(values: Iterable[str]) -> tuple[str, ...]:
    """Keys as they are and as an address or a JSON body writes them, the longest first."""
    forms = set()
    for value in values:
        for key in (value, value.removeprefix("Bearer ")):
            escaped = json.dumps(key), json.dumps(key, ensure_ascii=False)
            quoted = quote(key), quote(key, safe=""), quote_plus(key), urlencode({"": key})[1:]
            lower = (_ESCAPE.sub(lambda match: match[0].lower(), text) for text in quoted)
            forms |= {key, *quoted, *lower, str(httpx.QueryParams({"": key}))[1:]}
            forms |= {text[1:-1] for text in escaped}
    return tuple(sorted(filter(None, forms), key=lambda form: (-len(form), form)))


def request_hash(vendor: str, path: str, params: Mapping[str, Any]) -> str:
    """The identity of a request: vendor, path and parameters, whatever the host."""
    return sha256_of_bytes(msgspec.json.encode([vendor, path, dict(params)], order="sorted"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``Retry-After``, else ``X-RateLimit-Reset`` against the answer's ``Date``.

    Against a date the vendor's ``Date`` counts, not this machine's; a reset a day off is none.
    """
    sent, written = _date(headers.get("date", "")), headers.get("retry-after", "")
    seconds, until = _seconds(written), _date(written)
    reset = _seconds(headers.get("x-ratelimit-reset", ""))
    if seconds is None and sent is not None:
        left = (until.timestamp() if until else reset or 0.0) - sent.timestamp()
        seconds = max(0.0, left) if until or (reset and abs(left) < 86_400) else None
    return None if seconds is None else min(seconds, LONGEST_BAN)


def _seconds(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(message: str) -> str:
    """The first words of a message; of a page without its markup, which comes first."""
    return " ".join(_MARKUP.sub(" ", message[:_LOOKED_AT]).split())[:_SHOWN]


def _message(body: bytes) -> str:
    """The message in a vendor's error body, or the whole body: keys are masked before a cut."""
    try:
        content = msgspec.json.decode(body)
    except NOT_JSON:
        return body.decode(errors="replace")
    if not isinstance(content, dict):
        return str(content)
    names = ("message", "msg", "error", "error_message", "Error Message", "Information", "Note")
    return str(next((content[name] for name in names if content.get(name)), content))


ClientFactory = Callable[..., VendorClient]
"""``VendorClient`` or something that is called like it (tests give shorter time limits)."""
