"""The events and defects that a simulated market carries, each on a known name and session.

A real vendor's history is dirty; a simulated one is dirty on purpose, and says where, so that
tests and the demo can check that every rule finds its defect and nothing else.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.market.bars import Bars
from simulator.market.returns import Flags, Floats

GAP_SESSIONS = 8
SPIKE = 12.0
WRONG_CLOSE = 0.93
FEWEST_SESSIONS = 260
"""Below a year the schedule of events would collide with itself."""

LATE_ROW = -4
"""Three sessions before the last: the outage, and the opening at which a late split is served."""

Days = NDArray[np.datetime64]
Served = Literal["at_ex_date", "late", "between"]


@dataclass(frozen=True, slots=True)
class Event:
    """One planted event.

    Attributes:
        kind: Its kind, as in defects.json.
        name: Column of the name it happens to.
        row: Session it happens at; for a bar on a closed day, the session before.
        ratio: New shares per old one that the price really shows; 1 where it is not a split.
        published_ratio: The ratio that the splits table gives; None where it has no row.
        text: The description.
        served: When the vendor begins to serve its split row.
    """

    kind: str
    name: int
    row: int
    ratio: float
    published_ratio: float | None
    text: str
    served: Served


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the schedule; ``at`` is a part of the span, or sessions from the end (-1)."""

    kind: str
    at: float
    text: str
    ratio: float = 1.0
    published_ratio: float | None = None
    served: Served = "at_ex_date"


SCHEDULE = (
    _Entry("split", 0.35, "3-for-1 split, published on its ex-date", 3.0, 3.0),
    _Entry("split", 0.55, "2-for-1 split, published on its ex-date", 2.0, 2.0),
    _Entry("split", 0.45, "reverse split 1-for-10, published on its ex-date", 0.1, 0.1),
    _Entry(
        "late_split", -31, "2-for-1 split, published 3 sessions before the end", 2.0, 2.0, "late"
    ),
    _Entry(
        "late_split", -21, "3-for-1 split, published between the last nights", 3.0, 3.0, "between"
    ),
    _Entry("missing_split", 0.62, "the price halves, no split is published", 2.0, None),
    _Entry("wrong_ratio", 0.68, "the price halves, the split says 3-for-1", 2.0, 3.0),
    _Entry("delisting", -251, "last bar"),
    _Entry("rename", 0.60, "first session under the new symbol"),
    _Entry(
        "late_correction", -5, "close 7 % too low until it is corrected between the last nights"
    ),
    _Entry("gap", -401, f"first of {GAP_SESSIONS} sessions without a bar"),
    _Entry("toxic_spike", 0.50, f"close times {SPIKE:g} for one session"),
    _Entry("weekend_bar", 0.40, "a bar on a Saturday"),
    _Entry("holiday_bar", 0.58, "a bar on an exchange holiday"),
    _Entry("broken_ohlc", 0.66, "high below close"),
    _Entry("zero_volume", 0.72, "a bar with no volume"),
    _Entry("negative_price", 0.48, "low and close below zero"),
)
FEWEST_LATE = 4
FEWEST_SYMBOLS = len(SCHEDULE) + FEWEST_LATE + 3
"""One name per event, the late listings, and a few that nothing happens to."""


def schedule_events(candidates: list[int], sessions: Days, closed: Days) -> list[Event]:
    """Places the schedule on names and sessions, one name per event.

    Args:
        candidates: Columns of names with full history, at least ``len(SCHEDULE)``.
        sessions: Session dates.
        closed: Weekdays on which the exchange was shut.
    """
    events = []
    for entry, name in zip(SCHEDULE, candidates, strict=False):
        row = _row_of(entry, sessions, closed)
        events.append(
            Event(
                entry.kind, name, row, entry.ratio, entry.published_ratio, entry.text, entry.served
            )
        )
    return events


def _row_of(entry: _Entry, sessions: Days, closed: Days) -> int:
    count = len(sessions)
    if entry.at < 0:
        return max(count + int(entry.at), count // 5)
    row = int(entry.at * count)
    if entry.kind == "weekend_bar":
        fridays = np.flatnonzero(sessions.astype("datetime64[D]").astype(int) % 7 == 1)
        return int(fridays[np.abs(fridays - row).argmin()])
    if entry.kind == "holiday_bar":
        before = np.searchsorted(sessions, closed) - 1
        return int(before[np.abs(before - row).argmin()])
    return row


def closed_weekdays(sessions: Days) -> Days:
    """Weekdays between the first and the last session that are not sessions."""
    span = np.arange(sessions[0], sessions[-1])
    weekdays = span[(span.astype("datetime64[D]").astype(int) + 3) % 7 < 5]
    return np.setdiff1d(weekdays, sessions)


def true_ratios(events: list[Event], shape: tuple[int, int]) -> Floats:
    """New shares per old one that prices show, 1 where nothing happens."""
    ratios = np.ones(shape)
    for event in events:
        ratios[event.row, event.name] *= event.ratio
    return ratios


def present_bars(events: list[Event], first_row: NDArray[np.int64], sessions: int) -> Flags:
    """Which bars exist, shape (sessions, names): after listing, before delisting, outside gaps.

    Args:
        events: The placed events.
        first_row: First session per name.
        sessions: Number of sessions.
    """
    present: Flags = np.arange(sessions)[:, np.newaxis] >= first_row[np.newaxis, :]
    for event in events:
        if event.kind == "delisting":
            present[event.row + 1 :, event.name] = False
        elif event.kind == "gap":
            present[event.row : event.row + GAP_SESSIONS, event.name] = False
    return present


def spoil(bars: Bars, events: list[Event]) -> Bars:
    """The bars as the vendor first published them, with the wrong values planted."""
    spoilt = bars.copy()
    for event in events:
        at = (event.row, event.name)
        close = bars.close[at]
        if event.kind == "toxic_spike":
            spoilt.close[at] = spoilt.high[at] = np.round(close * SPIKE, 2)
        elif event.kind == "broken_ohlc":
            spoilt.high[at] = np.round(close * 0.98, 2)
        elif event.kind == "zero_volume":
            spoilt.volume[at] = 0.0
        elif event.kind == "negative_price":
            spoilt.close[at], spoilt.low[at] = -close, -close
        elif event.kind == "late_correction":
            spoilt.close[at] = np.round(close * WRONG_CLOSE, 2)
            spoilt.low[at] = min(bars.low[at], spoilt.close[at])
    return spoilt


def stray_dates(events: list[Event], sessions: Days, closed: Days) -> list[tuple[Event, date]]:
    """The bars on closed days: each event with its date (it repeats the session before)."""
    stray: list[tuple[Event, date]] = []
    for event in events:
        if event.kind == "weekend_bar":
            stray.append((event, sessions[event.row].item() + timedelta(days=1)))
        elif event.kind == "holiday_bar":
            stray.append((event, closed[closed > sessions[event.row]][0].item()))
    return stray


def split_published_at(event: Event, opens_at: list[datetime], between: datetime) -> datetime:
    """When the vendor begins to serve a split.

    Args:
        event: A split.
        opens_at: Opening time per session.
        between: A moment between the last two nights.
    """
    if event.served == "at_ex_date":
        return opens_at[event.row]
    return opens_at[LATE_ROW] if event.served == "late" else between
