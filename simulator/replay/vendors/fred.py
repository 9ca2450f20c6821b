"""The market's macro vintages in the wire format of FRED and ALFRED."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from simulator.replay.market_files import market_rows
from simulator.replay.protocol import IssuedPages, Query, Refusal, Reply, Request, Terms, json_reply

VINTAGE_CAP = 2_000
_CENTRAL = ZoneInfo("America/Chicago")
_FIRST, _LAST = date(1776, 7, 4), date(9999, 12, 31)
_PATHS = frozenset({"/fred/series/observations", "/fred/series/vintagedates", "/fred/series"})
_KEY = re.compile(r"[0-9a-z]{32}")
_READ = "Read https://fred.stlouisfed.org/docs/api/api_key.html for more information."
_NO_ALFRED = (
    "The series does not exist in ALFRED but may exist in FRED.  Try setting realtime_start and "
    "realtime_end to the current date."
)
_FREQUENCIES = ((4, "Daily"), (10, "Weekly"), (45, "Monthly"), (120, "Quarterly"))


def refusal(message: str) -> Refusal:
    """The vendor's error envelope; it writes two blanks after the full stop."""
    body = {"error_code": 400, "error_message": f"Bad Request.  {message}"}
    return Refusal(json_reply(body, 400))


@dataclass(frozen=True, slots=True)
class _Value:
    """A value and the days on which it was the current one."""

    day: date
    start: date
    end: date
    text: str


class FredWire:
    """Answers FRED's requests; vintages later than the clock's day in Chicago are not told.

    Args:
        terms: The market; ``macro_vintages`` rows without ``realtime_start`` are of series that
            have no vintages.
    """

    name = "fred"

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._today = terms.book.clock.astimezone(_CENTRAL).date()
        self._issued = IssuedPages()

    def owns(self, path: str) -> bool:
        """Whether a path is FRED's."""
        return path in _PATHS

    def check(self, request: Request) -> None:
        """The key comes in the query."""
        key = request.query.get("api_key", "")
        if not _KEY.fullmatch(key):
            text = "Variable api_key is not a 32 character alpha-numeric lower-case string."
            raise refusal(f"{text}  {_READ}")
        if not self._terms.accepts(self.name, key):
            raise refusal(f"The value for variable api_key is not registered.  {_READ}")

    def cost(self, request: Request) -> int:  # noqa: ARG002
        """Every call counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor states no limits."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """429, without saying how long."""
        text = "Too Many Requests.  Exceeded Rate Limit"
        return json_reply({"error_code": 429, "error_message": text}, 429)

    def fail(self) -> Reply:
        """504 with a page."""
        return Reply(504, b"<html>504 Gateway Time-out</html>", content_type="text/html")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a request; ``shuffle`` and ``duplicate_page`` change which rows are sent."""
        query = request.query
        series = query.get("series_id", "")
        if request.path == "/fred/series":
            return json_reply({**self._now(), "seriess": [self._described(series)]})
        start, end = self._realtime(query, request.path)
        if request.path == "/fred/series/vintagedates":
            days = [str(day) for day in self._vintages(series) if start <= day <= end]
            return self._paged(query, fault, "vintage_dates", days, start, end, 10_000)
        rows = list(self._observed(series, start, end, "realtime_start" in query))
        return self._paged(query, fault, "observations", rows, start, end, 100_000)

    def _paged(
        self,
        query: Query,
        fault: str | None,
        name: str,
        rows: Sequence[Any],
        start: date,
        end: date,
        most: int,
    ) -> Reply:
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", str(most)))
        if not 1 <= limit <= most:
            raise refusal(f"Variable limit is not between 1 and {most}.")
        chain = f"{name}|{query.get('series_id')}|{start}|{end}"
        earlier = self._issued.find(f"{chain}|{offset}") if fault == "duplicate_page" else None
        if earlier is not None:
            return earlier
        page = list(rows[offset : offset + limit])
        reply = json_reply(
            {
                "realtime_start": str(start),
                "realtime_end": str(end),
                "sort_order": "asc",
                "count": len(rows),
                "offset": offset,
                "limit": limit,
                name: page[::-1] if fault == "shuffle" else page,
            }
        )
        self._issued.keep(f"{chain}|{offset + limit}", reply)
        return reply

    def _now(self) -> dict[str, str]:
        return {"realtime_start": str(self._today), "realtime_end": str(self._today)}

    def _realtime(self, query: Query, path: str) -> tuple[date, date]:
        """The window asked: today where nothing is said, all of time for vintage dates."""
        is_dates = path == "/fred/series/vintagedates"
        defaults = (_FIRST, _LAST) if is_dates else (self._today, self._today)
        bounds = []
        for name, day in zip(("realtime_start", "realtime_end"), defaults, strict=True):
            try:
                bounds.append(date.fromisoformat(query[name]) if name in query else day)
            except ValueError as error:
                example = "(e.g. 2000-02-24)"
                text = f"Variable {name} is not a YYYY-MM-DD formatted date {example}."
                raise refusal(text) from error
        if bounds[0] > self._today:
            raise refusal(f"Variable realtime_start can not be after today's date ({self._today}).")
        return bounds[0], bounds[1]

    def _observed(
        self, series: str, start: date, end: date, is_windowed: bool
    ) -> Iterator[dict[str, str]]:
        """Rows current at some day of the window, their days clipped to it."""
        if series not in self._series and series not in self._plain:
            raise refusal(_NO_ALFRED if is_windowed else "The series does not exist.")
        if series in self._plain:
            if is_windowed:
                raise refusal(_NO_ALFRED)
            for day, text in sorted(self._plain[series].items()):
                if day <= self._today:
                    yield {**self._now(), "date": str(day), "value": text}
            return
        count = sum(start <= day <= end for day in self._vintages(series))
        if count > VINTAGE_CAP:
            raise refusal(
                f"There are {count} vintage dates in the specified real-time period: {start} to "
                f"{end}.  This exceeds the maximum number of vintage dates allowed for this file "
                f"type ({VINTAGE_CAP})."
            )
        for value in self._values(series):
            if value.start <= end and value.end >= start:
                clipped = (max(value.start, start), min(value.end, end))
                yield {
                    "realtime_start": str(clipped[0]),
                    "realtime_end": str(clipped[1]),
                    "date": str(value.day),
                    "value": value.text,
                }

    def _values(self, series: str) -> Iterator[_Value]:
        """Values in order of their days; equal ones that follow each other are one."""
        by_day: dict[date, dict[date, str]] = {}
        for start, day, text in self._series[series]:
            if start <= self._today:
                by_day.setdefault(day, {})[start] = text
        for day in sorted(by_day):
            starts = sorted(by_day[day])
            texts = [by_day[day][start] for start in starts]
            kept = [n for n in range(len(starts)) if n == 0 or texts[n] != texts[n - 1]]
            ends = [starts[n] - timedelta(days=1) for n in kept[1:]]
            for n, end in zip(kept, [*ends, _LAST], strict=True):
                yield _Value(day, starts[n], end, texts[n])

    def _vintages(self, series: str) -> list[date]:
        if series not in self._series:
            raise refusal(_NO_ALFRED)
        return sorted({row[0] for row in self._series[series] if row[0] <= self._today})

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return market_rows(self._terms.market, "macro_vintages")

    @cached_property
    def _series(self) -> dict[str, list[tuple[date, date, str]]]:
        """Vintage day, observation day and value by series."""
        vintages: dict[str, list[tuple[date, date, str]]] = {}
        for row in self._rows:
            if row["realtime_start"] is not None:
                vintage = (row["realtime_start"], row["observation_date"], _text(row["value"]))
                vintages.setdefault(row["series_id"], []).append(vintage)
        return vintages

    @cached_property
    def _plain(self) -> dict[str, dict[date, str]]:
        """Values by series and day, of series without vintages."""
        by_series: dict[str, dict[date, str]] = {}
        for row in self._rows:
            if row["realtime_start"] is None:
                values = by_series.setdefault(row["series_id"], {})
                values[row["observation_date"]] = _text(row["value"])
        return by_series

    def _described(self, series: str) -> dict[str, Any]:
        """A description; all but the days and the frequency is made up."""
        days = sorted(
            {row[1] for row in self._series.get(series, [])} | {*self._plain.get(series, {})}
        )
        if not days:
            raise refusal("The series does not exist.")
        steps = [(later - earlier).days for earlier, later in pairwise(days)]
        median_step = sorted(steps)[len(steps) // 2] if steps else 0
        frequency = next((name for most, name in _FREQUENCIES if median_step <= most), "Annual")
        return {
            "id": series,
            **self._now(),
            "title": series,
            "observation_start": str(days[0]),
            "observation_end": str(days[-1]),
            "frequency": frequency,
            "frequency_short": frequency[0],
            "units": "Index",
            "units_short": "Index",
            "seasonal_adjustment": "Seasonally Adjusted",
            "seasonal_adjustment_short": "SA",
            "last_updated": f"{self._today} 07:44:02-06",
            "popularity": 50,
            "notes": "",
        }


def _text(value: float | None) -> str:
    """The value as the vendor writes it, a point where there is none."""
    return "." if value is None else np.format_float_positional(value, trim="0")


WIRE = FredWire
