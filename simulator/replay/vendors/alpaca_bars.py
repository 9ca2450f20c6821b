"""Alpaca's bars of the market: days and minutes, symbol by symbol, page by page."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

import numpy.typing as npt

from simulator.replay.book import NEW_YORK, Bars, day_number, day_of, new_york
from simulator.replay.minutes import minute_number
from simulator.replay.protocol import Query
from simulator.replay.vendors.alpaca_query import limit_of, place_of, refusal, symbols_of, token_of
from trademl.clock import iso

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RECENT = timedelta(minutes=15)
_JUMP = "~"
"""Between two places in a token: serve the page after the first, then go on after the second."""


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one length.

    Attributes:
        bars: Days or minutes since 1970 and their bars.
        number: The step that a time lies in.
        begins: When a step begins.
        letter: Stands for the length in tokens.
    """

    bars: Bars
    number: Callable[[datetime], int]
    begins: Callable[[int], datetime]
    letter: str


def daily(bars: Bars) -> Series:
    """Days begin at New York's midnight: 04:00 UTC in summer, 05:00 in winter."""
    return Series(
        bars,
        lambda moment: day_number(moment.astimezone(NEW_YORK).date()),
        lambda day: new_york(day_of(day), time()),
        "D",
    )


def minutely(bars: Bars) -> Series:
    """Minutes begin when they begin."""
    return Series(bars, minute_number, lambda minute: datetime.fromtimestamp(minute * 60, UTC), "M")


class BarPages:
    """Answers ``/v2/stocks/bars``.

    Args:
        clock: The time of the answer.
        is_free: Whether the last 15 minutes are refused.
        series: Gives the bars of a timeframe, none for one that is not served.
    """

    def __init__(
        self, clock: datetime, is_free: bool, series: Callable[[str], Series | None]
    ) -> None:
        self._clock, self._is_free, self._series = clock, is_free, series
        self._stamps: dict[tuple[str, int], str] = {}

    def answer(self, query: Query, fault: str | None) -> dict[str, Any]:
        """One page."""
        symbols = symbols_of(query, required=True)
        _check_bar_query(query)
        series = self._series(query.get("timeframe", ""))
        if series is None:
            raise refusal(f"invalid timeframe: {query.get('timeframe', '')}")
        first, last = self._window(query, series)
        limit = limit_of(query, 1000, 10_000)
        cursor = _cursor(query, series)
        ranges = self._ranges(series, symbols, (first, last), cursor.after)
        page, end = self._page(series, ranges, limit)
        following = cursor.then if cursor.jumps else end
        if fault == "shuffle" and following is not None and not cursor.jumps:
            # Out of order: the page behind this one comes first, then this one.
            behind = self._ranges(series, symbols, (first, last), _place(following, series))
            page, beyond = self._page(series, behind, limit)
            following = f"{cursor.here}{_JUMP}{beyond or ''}"
        if fault == "shuffle":
            page = {name: rows[::-1] for name, rows in reversed(page.items())}
        if fault == "wrong_symbol" and page:
            page = {_stranger(name, symbols): rows for name, rows in page.items()}
        return {"bars": page, "next_page_token": token_of(following)}

    def _window(self, query: Query, series: Series) -> tuple[int, int]:
        """First and last step that begins between ``start`` and ``end``."""
        now = self._clock
        today = datetime.combine(now.astimezone(NEW_YORK).date(), time(), NEW_YORK)
        start = _moment(query.get("start"), today, time())
        end = _moment(query.get("end"), now, time(23, 59, 59))
        if self._is_free and query.get("feed", "sip") == "sip" and end > now - _RECENT:
            raise refusal("subscription does not permit querying recent SIP data", 403)
        first = series.number(start)
        late = series.begins(first) < start
        return first + int(late), series.number(end)

    def _ranges(
        self,
        series: Series,
        symbols: list[str],
        window: tuple[int, int],
        after: tuple[str, int] | None,
    ) -> Iterator[tuple[str, int, int]]:
        """Row ranges per symbol, in the vendor's order, behind a place."""
        first, last = window
        for symbol in symbols:
            if after and symbol < after[0]:
                continue
            begin = max(first, after[1] + 1) if after and symbol == after[0] else first
            low, high = series.bars.rows(symbol, begin, last)
            if high > low:
                yield symbol, low, high

    def _page(
        self, series: Series, ranges: Iterator[tuple[str, int, int]], limit: int
    ) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
        """As many bars as fit, and the place of the last one when there are more."""
        page: dict[str, list[dict[str, Any]]] = {}
        place = None
        for symbol, low, high in ranges:
            if not limit:
                return page, place
            count = min(high - low, limit)
            page[symbol] = self._rows(series, low, low + count)
            limit -= count
            place = f"{symbol}|{series.letter}|{page[symbol][-1]['t']}"
            if count < high - low:
                return page, place
        return page, None

    def _rows(self, series: Series, low: int, high: int) -> list[dict[str, Any]]:
        bars, cut = series.bars, slice(low, high)
        columns = bars.columns
        opens, highs = columns["open"][cut], columns["high"][cut]
        lows, closes, volumes = columns["low"][cut], columns["close"][cut], columns["volume"][cut]
        values = zip(
            (self._stamp(series, step) for step in bars.days[cut].tolist()),
            opens.tolist(),
            highs.tolist(),
            lows.tolist(),
            closes.tolist(),
            volumes.tolist(),
            # The market has neither trades nor vwap: both are made up from what it has.
            _trades(volumes),
            ((highs + lows + closes) / 3).tolist(),
            strict=True,
        )
        return [
            {"t": t, "o": o, "h": h, "l": low, "c": c, "v": v, "n": n, "vw": vw}
            for t, o, h, low, c, v, n, vw in values
        ]

    def _stamp(self, series: Series, step: int) -> str:
        known = (series.letter, step)
        if known not in self._stamps:
            self._stamps[known] = iso(series.begins(step))
        return self._stamps[known]


def _trades(volumes: npt.NDArray[Any]) -> list[int | None]:
    """Numbers of trades; none where the market has no volume, which is written as null."""
    counts = (volumes // 100).clip(1)
    if counts.dtype.kind == "i":
        return cast("list[int | None]", counts.tolist())
    return [int(count) if math.isfinite(count) else None for count in counts.tolist()]


def _check_bar_query(query: Query) -> None:
    for name, served in (("adjustment", "raw"), ("sort", "asc")):
        if query.get(name, served) != served:
            raise refusal(f"invalid {name}: {query[name]} (the replay serves {served} only)")


def _moment(text: str | None, default: datetime, time_of_day: time) -> datetime:
    """A bound of a window; a plain date is a New York day."""
    if text is None:
        return default
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time_of_day, NEW_YORK)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(f"invalid time: {text}") from error
    if moment.tzinfo is None:
        raise refusal(f"invalid time: {text}")
    return moment


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page begins and what comes after it.

    Attributes:
        here: The place as written in the token, empty at the beginning.
        after: The same, read: symbol and step of the bar before this page.
        jumps: Whether the page that follows is not the one right behind.
        then: In that case, where to go on; none at the end.
    """

    here: str
    after: tuple[str, int] | None
    jumps: bool
    then: str | None


def _cursor(query: Query, series: Series) -> _Cursor:
    if "page_token" not in query:
        return _Cursor("", None, False, None)
    here, jump, there = place_of(query["page_token"]).partition(_JUMP)
    if not here and not jump:
        raise refusal("invalid page_token")
    return _Cursor(here, _place(here, series) if here else None, bool(jump), there or None)


def _place(text: str, series: Series) -> tuple[str, int]:
    symbol, _, stamp = text.partition(f"|{series.letter}|")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise refusal("invalid page_token") from error
    return symbol, series.number(moment)


def _stranger(symbol: str, requested: list[str]) -> str:
    """A symbol that was not requested, in place of one that was."""
    name = f"{symbol}X"
    while name in requested:
        name += "X"
    return name
