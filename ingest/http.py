"""The one door to the network: GET with keys in headers, time limits and at most three tries."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
import stamina

from trademl import __version__
from trademl.errors import RateLimited, Rejected, Unavailable
from trademl.files import sha256_of_bytes

# httpx logs every URL with its query at level INFO; queries stay out of logs.
logging.getLogger("httpx").setLevel(logging.WARNING)

Decoded = TypeVar("Decoded")
Params = Mapping[str, str | int]

LONGEST_WAIT = 90.0
"""Seconds: a vendor's minute window, with some room. Longer waits belong to the caller."""


class Banned(RateLimited):
    """The vendor has shut this address out for a while; asking again makes it longer."""


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
        timeout: Seconds for each of connect, read and write.
        tries: Attempts per call, the first included.
        longest_wait: Seconds that a single wait between tries may take at most.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        tries: int = 3,
        longest_wait: float = LONGEST_WAIT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.vendor = vendor
        self.calls = 0
        self._base_url = base_url.rstrip("/")
        self._secrets = tuple(value for value in (headers or {}).values() if value)
        self._tries = tries
        self._longest_wait = longest_wait
        self._client = httpx.Client(
            base_url=self._base_url,
            headers={"User-Agent": f"trademl/{__version__}", **(headers or {})},
            timeout=timeout,
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
    ) -> Answer[Decoded]:
        """Asks until an answer can be decoded, three times at most.

        Args:
            path: Path on the host.
            params: The request's parameters, part of its identity.
            decode: Makes a value of the body; an ``Unavailable`` from it is worth another try.
            page: Parameters that only choose the page; they add to or replace ``params``.

        Raises:
            RateLimited: Still too fast after the tries, or the wait asked for is too long.
            Unavailable: No usable answer after the tries.
            Rejected: The vendor refuses the request.
        """
        for attempt in stamina.retry_context(
            on=self._backoff, attempts=self._tries, timeout=None, wait_initial=0.5, wait_max=8.0
        ):
            with attempt:
                response = self._send(path, {**params, **(page or {})})
                return Answer(
                    decode(response.content),
                    sha256_of_bytes(response.content),
                    self._uri(path, params),
                    request_hash(self.vendor, path, params),
                    response.headers,
                )
        raise AssertionError("unreachable: the last try either returns or raises")

    def _backoff(self, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds."""
        if isinstance(error, Banned) or not isinstance(error, RateLimited | Unavailable):
            return False
        wait = error.retry_after if isinstance(error, RateLimited) else None
        return True if wait is None else wait if wait <= self._longest_wait else False

    def _send(self, path: str, params: Params) -> httpx.Response:
        self.calls += 1
        try:
            response = self._client.get(path, params=dict(params))
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self.vendor} {path} did not answer in time; try later") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = self._one_line(str(error)) or type(error).__name__
            raise Unavailable(f"{self.vendor} {path} broke off: {reason}; try later") from error
        if not response.is_success:
            self._refuse(path, response)
        return response

    def _refuse(self, path: str, response: httpx.Response) -> None:
        status = response.status_code
        said = self._one_line(_message(response.content))
        what = f"{self.vendor} {path} answered HTTP {status}: {said or 'no message'}"
        wait = retry_after(response.headers)
        if status == 418:
            raise Banned(f"{what}; do not ask before the ban of {wait or 120:.0f} s ends", wait)
        if status == 429:
            hint = f"in {wait:.0f} s" if wait is not None else "in a minute"
            raise RateLimited(f"{what}; run again {hint}, what is landed is kept", wait)
        if status >= 500 or status == 408:
            raise Unavailable(f"{what}; try later")
        if status in (401, 403):
            raise Rejected(f"{what}; check the {self.vendor} keys in the environment and the plan")
        raise Rejected(f"{what}; check symbols, dates and base URL")

    def _uri(self, path: str, params: Params) -> str:
        query = urlencode(params, safe=",:-")
        return f"{self._base_url}{path}" + (f"?{query}" if query else "")

    def _one_line(self, text: str) -> str:
        """A vendor's words in one short line, without any key it may have echoed."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:200]


def request_hash(vendor: str, path: str, params: Params) -> str:
    """The identity of a request: vendor, path and parameters, whatever the host."""
    return sha256_of_bytes(msgspec.json.encode([vendor, path, dict(params)], order="sorted"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``Retry-After``, else ``X-RateLimit-Reset`` against the answer's ``Date``.

    The vendor's own ``Date`` is used, so a wrong clock on this machine does no harm.
    """
    if (written := headers.get("retry-after", "")).isdigit():
        return float(written)
    reset, sent = headers.get("x-ratelimit-reset", ""), _date(headers.get("date", ""))
    if not reset.isdigit() or sent is None:
        return None
    return max(0.0, float(reset) - sent.timestamp())


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _message(body: bytes) -> str:
    """The message in a vendor's error body, or the body's beginning."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:200].decode(errors="replace")
    if not isinstance(content, dict):
        return str(content)
    return str(content.get("message") or content.get("msg") or content)
