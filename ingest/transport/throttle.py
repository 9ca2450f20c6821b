"""Throttling before each call: a vendor's limit per second, a budget."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Turn(Protocol):
    """Something to wait for before each call."""

    def wait(self) -> None:
        """Returns when the next call may be made, or raises where none may be."""


@dataclass(slots=True)
class Pace:
    """At most one call in so many seconds, over all clients and threads of this process.

    Attributes:
        seconds: Between the beginnings of two calls.
    """

    seconds: float
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Returns when the next call may be made."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self.seconds
        if begin > now:
            time.sleep(begin - now)


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment for each call, then the vendor's own pace.

    Attributes:
        pay: Returns when the call is paid for, or raises where it may not be made.
        pace: The vendor's, if it has one.
    """

    pay: Callable[[], None]
    pace: Turn | None

    def wait(self) -> None:
        """Returns when the next call is paid for and may be made."""
        self.pay()
        if self.pace is not None:
            self.pace.wait()
