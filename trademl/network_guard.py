"""The network guard of the alpha cycle.

Inside ``no_network()`` every attempt to reach a network raises, and the block fails at its end even
when the code swallowed the error. It listens to the interpreter's audit events, so it sees sockets
however they were made (``socket``, ``_socket``, asyncio, a C library that goes through Python).
DuckDB's own network code is not Python: the alpha connection forbids loading of further extensions.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trademl.errors import TradeMLError

_NETWORK_EVENTS = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.getnameinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
    }
)


class NetworkForbidden(TradeMLError):
    """Code of the offline cycle tried to reach a network."""


class _Guard:
    """The process-wide state behind ``no_network``: how many blocks are open, what was tried."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.attempts: list[str] = []
        self.is_installed = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuses network events while a block is open; everything else passes untouched."""
        if self.depth and event in _NETWORK_EVENTS:
            attempt = f"{event} {_target(arguments)}"
            self.attempts.append(attempt)
            raise NetworkForbidden(
                f"the alpha cycle is offline but tried {attempt}: land the data first, "
                "then build and rerun"
            )


_GUARD = _Guard()


def _target(arguments: tuple[Any, ...]) -> str:
    """The address of an event without the socket object, whose text holds descriptor numbers."""
    plain = [item for item in arguments if isinstance(item, str | int | bytes | tuple)]
    return " ".join(str(item) for item in plain) or "an address"


@contextmanager
def no_network() -> Iterator[None]:
    """Makes every connection attempt of this process an error while the block runs.

    Raises:
        NetworkForbidden: At the attempt, or at the end of the block where it was swallowed.
    """
    with _GUARD.lock:
        if not _GUARD.is_installed:
            sys.addaudithook(_GUARD.hook)
            _GUARD.is_installed = True
        _GUARD.depth += 1
        n_before = len(_GUARD.attempts)
    try:
        yield
    finally:
        with _GUARD.lock:
            _GUARD.depth -= 1
    if len(_GUARD.attempts) > n_before:
        raise NetworkForbidden(
            f"the alpha cycle is offline but tried {_GUARD.attempts[n_before]} and went on"
        )
