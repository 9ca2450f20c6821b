"""Exchange sessions of New York (XNYS), from the exchange_calendars library."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from trademl.errors import ConfigError

EXCHANGE = "XNYS"
_MARGIN = timedelta(days=15)
"""The longest closure since 1940 is seven days (2001-09-11); a margin holds a session for sure."""


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day of New York.

    Attributes:
        day: The exchange's date.
        open_at: Opening, UTC.
        close_at: Closing, UTC.
        is_early_close: Whether it closes before the usual time.
    """

    day: date
    open_at: datetime
    close_at: datetime
    is_early_close: bool


def sessions_between(start: date, end: date) -> list[Session]:
    """The XNYS sessions of a closed span of days.

    Raises:
        ConfigError: The calendar does not reach that far.
    """
    return [session for session in _of_years(start.year, end.year) if start <= session.day <= end]


@lru_cache(maxsize=8)
def _of_years(first: int, last: int) -> tuple[Session, ...]:
    """The sessions of whole years: the library takes half a second for every other span."""
    start, end = date(first, 1, 1), date(last, 12, 31)
    try:
        # It imports pandas, which takes longer than most commands.
        import exchange_calendars

        known: Any = exchange_calendars.get_calendar(
            EXCHANGE, start=start - _MARGIN, end=end + _MARGIN
        )
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"no {EXCHANGE} calendar for {start}..{end}: {reason}") from error
    early = {stamp.date() for stamp in known.early_closes}
    schedule = known.schedule.loc[slice(str(start), str(end))]
    return tuple(
        Session(stamp.date(), _utc(opened), _utc(closed), stamp.date() in early)
        for stamp, opened, closed in zip(
            schedule.index, schedule["open"], schedule["close"], strict=True
        )
    )


def last_completed(clock: datetime, lag: timedelta) -> date:
    """The last session whose close, plus a publication lag, is over at the clock."""
    today = clock.astimezone(UTC).date()
    over = [s.day for s in sessions_between(today - _MARGIN, today) if s.close_at + lag <= clock]
    return over[-1]


def sessions_before(day: date, count: int) -> date:
    """The session ``count`` sessions before a day (the day itself counts when it is one)."""
    span = sessions_between(day - timedelta(days=2 * count) - _MARGIN, day)
    return span[max(0, len(span) - count)].day


def _utc(stamp: Any) -> datetime:
    moment: datetime = stamp.to_pydatetime()
    return moment.astimezone(UTC)
