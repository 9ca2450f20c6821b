"""A vendor's budget of calls or weight per minute."""

import math
from collections.abc import Callable

_MINUTE = 60.0
_UNLIMITED = 10_000


class MinuteLimit:
    """Counts what is used in windows of one minute.

    Args:
        limit: What a minute allows, 0 for no limit.
        monotonic: Seconds of some clock that never goes back.
    """

    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        self.used = 0
        self.violations = 0
        self._limit = limit
        self._monotonic = monotonic
        self._began = monotonic()

    def take(self, weight: int) -> bool:
        """Uses some of the minute; false when it is more than there is."""
        now = self._monotonic()
        if now - self._began >= _MINUTE:
            self.used, self._began = 0, now
        self.used += weight
        allowed = not self._limit or self.used <= self._limit
        self.violations += not allowed
        return allowed

    def seconds_left(self) -> int:
        """Whole seconds until the next window."""
        return max(0, math.ceil(self._began + _MINUTE - self._monotonic()))

    def headers(self, now: float, seconds: int | None) -> dict[str, str]:
        """The limit as Alpaca states it on every answer.

        Args:
            now: Time of the answer, seconds since 1970.
            seconds: Seconds until the reset where they are not the window's own.
        """
        limit = self._limit or _UNLIMITED
        wait = self.seconds_left() if seconds is None else seconds
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - self.used)),
            "X-RateLimit-Reset": str(int(now) + wait),
        }
