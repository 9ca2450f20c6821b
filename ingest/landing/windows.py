"""Windows of symbols that are still to be fetched."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

Span = tuple[date, date]
"""First and last day, inclusive."""

ROWS_PER_FETCH = 250_000
"""Bars that one fetch may hold at most: 25 pages of Alpaca, some 30 MB in memory at the end."""
SYMBOLS_PER_FETCH = 500
"""A URL with 500 symbols has some 4 kB; about 8 kB are accepted."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One fetch to make.

    Attributes:
        symbols: In order.
        start: First day.
        end: Last day, inclusive.
    """

    symbols: tuple[str, ...]
    start: date
    end: date


def plan_fetches(
    symbols: Sequence[str],
    begin: Callable[[str], date | None],
    end: date,
    rows_per_session: int = 1,
    most: int = SYMBOLS_PER_FETCH,
) -> list[Ask]:
    """Groups symbols that need the same window into bounded fetches.

    Args:
        symbols: All symbols wanted.
        begin: The day from which a symbol has to be asked, none when it is complete.
        end: Last day wanted.
        rows_per_session: Bars that a symbol has in a session at most. Windows in which one symbol
            alone has more than a fetch may hold are cut into several.
        most: Symbols that one fetch may hold at most.
    """
    by_start: dict[date, list[str]] = {}
    for symbol in sorted(set(symbols)):
        start = begin(symbol)
        if start is not None and start <= end:
            by_start.setdefault(start, []).append(symbol)
    return [
        Ask(tuple(part), first, last)
        for start in sorted(by_start)
        for first, last in _windows(start, end, rows_per_session)
        for part in _parts(
            by_start[start], min(most, _symbols_per_fetch(first, last, rows_per_session))
        )
    ]


def first_missing_day(
    spans: Mapping[str, Sequence[Span]],
    symbol: str,
    start: date | None,
    end: date,
    history: date,
    step_back: Callable[[date], date],
) -> date | None:
    """The day from which a symbol has to be asked.

    A symbol that nothing covers is asked from the beginning. One that is covered to some day is
    asked from a few sessions before that day, so that late corrections and recovered outages are
    seen. One that is covered to the end is complete.

    Args:
        spans: Covered days per symbol, merged.
        symbol: The symbol.
        start: First day that the caller wants, none for "go on where it ended".
        end: Last day wanted.
        history: Where a dataset begins when nobody says otherwise.
        step_back: The day to go on from, given the last covered one.
    """
    covered = spans.get(symbol)
    if not covered:
        return start or history
    if start is None:
        return None if covered[-1][1] >= end else step_back(covered[-1][1])
    for first, last in covered:
        if first <= start <= last:
            return None if last >= end else max(start, step_back(last))
    return start


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans of days in order, joined where they overlap or follow each other day by day."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1] + timedelta(days=1):
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def _windows(start: date, end: date, rows_per_session: int) -> Iterable[Span]:
    """The window, cut where one symbol alone would be too much."""
    days = max(1, ROWS_PER_FETCH // rows_per_session * 365 // 252)
    while (end - start).days >= days:
        yield start, start + timedelta(days=days - 1)
        start += timedelta(days=days)
    yield start, end


def _symbols_per_fetch(start: date, end: date, rows_per_session: int) -> int:
    sessions = max(1, (end - start).days * 252 // 365)
    return max(1, min(SYMBOLS_PER_FETCH, ROWS_PER_FETCH // (sessions * rows_per_session)))


def _parts(symbols: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (symbols[first : first + size] for first in range(0, len(symbols), size))
