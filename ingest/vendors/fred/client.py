"""FRED and ALFRED: observations with every vintage, vintage dates, descriptions of series."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, moment_of, page_of_records, read_json
from ingest.payloads.endpoint import UTC_TIME
from ingest.transport.client import Answer, Params, VendorClient
from ingest.transport.throttle import Pace
from ingest.vendors.fred.schema import OBSERVATIONS, SERIES, VINTAGE_DATES
from trademl.errors import SchemaDrift, Unavailable, UnknownSymbol, VendorError, WrongKey

PACE = Pace(0.55)
"""Two requests a second are allowed, bursts are refused at once."""
LIMIT_WAIT = 20.0
FIRST_VINTAGE, LAST_VINTAGE = date(1776, 7, 4), date(9999, 12, 31)
OBSERVATIONS_PER_PAGE = 100_000
VINTAGE_DATES_PER_PAGE = 10_000
VINTAGES_PER_WINDOW = 1_000
"""2,000 are refused."""


_O, _V = OBSERVATIONS.path, VINTAGE_DATES.path
_NO_VINTAGES = "does not exist in ALFRED"
_UNKNOWN = "series does not exist"
_OFFSET = re.compile(r"([+-]\d{2})$")


class _Observations(msgspec.Struct):
    count: int
    offset: int
    observations: list[dict[str, Any]]


class _VintageDates(msgspec.Struct):
    count: int
    offset: int
    vintage_dates: list[str]


class _Series(msgspec.Struct):
    seriess: list[dict[str, Any]]


@dataclass(slots=True)
class _SourcedRow:
    """A row and the answer that it came with."""

    row: dict[str, Any]
    answer: int


_OBSERVATION_BODY = msgspec.json.Decoder(_Observations)
_VINTAGE_BODY = msgspec.json.Decoder(_VintageDates)
_SERIES_BODY = msgspec.json.Decoder(_Series)


def query_keys(key: str) -> dict[str, str]:
    """The key, which the vendor takes in the query only."""
    return {"api_key": key}


class NoVintages(UnknownSymbol):
    """The series has values, but ALFRED keeps no vintages of it."""


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """A locked server is an outage, a wrong key a bad request; all else means what it does."""
    if status == 400 and "api_key" in message:
        return WrongKey
    if status == 400 and _NO_VINTAGES in message:
        return NoVintages
    if status == 400 and _UNKNOWN in message:
        return UnknownSymbol
    return Unavailable if status == 423 else None


def observations(client: VendorClient, series_id: str, after: date | None) -> Iterator[Page]:
    """Every value that a series ever had, each with the days on which it was the current one.

    The vendor clips these days to the window that is asked, and refuses windows with too many
    vintages: windows follow each other without a gap, and rows that go on in the next window are
    put together again. A series without vintages gives its present values, marked ``inferred``.

    Args:
        client: On the vendor's host.
        series_id: E.g. ``GDPC1``.
        after: The day up to which vintages are landed already; none for the first time.

    Raises:
        UnknownSymbol: There is no such series.
    """
    try:
        known = [day for page in vintage_dates(client, series_id) for day in _days(page)]
    except NoVintages:
        yield from _present_values(client, series_id)
        return
    landed = [day for day in known if after is not None and day <= after]
    if len(landed) == len(known):
        return
    # The last landed vintage is asked once more: rows that the window clips begin on it.
    yield from _vintages(client, series_id, known[max(0, len(landed) - 1) :], bool(landed))


def vintage_dates(client: VendorClient, series_id: str) -> Iterator[Page]:
    """The days on which a series was published or revised.

    Raises:
        Rejected: There is no such series, or it has no vintages.
    """
    params = {
        "series_id": series_id,
        "realtime_start": FIRST_VINTAGE.isoformat(),
        "realtime_end": LAST_VINTAGE.isoformat(),
    }
    offset = 0
    while True:
        answer = client.get(
            "/fred/series/vintagedates",
            {**params, "limit": VINTAGE_DATES_PER_PAGE, "file_type": "json"},
            partial(_read_vintages, offset=offset),
            {"offset": offset},
        )
        payload = answer.value
        rows = [{"series_id": series_id, "vintage_date": day} for day in payload.vintage_dates]
        yield page_of_records(answer, VINTAGE_DATES, rows)
        offset += len(rows)
        if not _goes_on(offset, payload.count, len(rows), _V):
            return


def series(client: VendorClient, series_id: str) -> Iterator[Page]:
    """Title, frequency and units of a series.

    Raises:
        SchemaDrift: Another series was described.
    """
    answer = client.get(
        "/fred/series",
        {"series_id": series_id, "file_type": "json"},
        lambda body: read_json(_SERIES_BODY.decode, body, SERIES.path),
    )
    rows = answer.value.seriess
    if [row.get("id") for row in rows] != [series_id]:
        raise SchemaDrift(
            f"{SERIES.path} was asked for {series_id}, sent {[row.get('id') for row in rows][:3]}"
        )
    times = pa.array([_updated(row.get("last_updated")) for row in rows], UTC_TIME)
    yield page_of_records(answer, SERIES, rows, times)


def _vintages(
    client: VendorClient, series_id: str, known: Sequence[date], is_sequel: bool
) -> Iterator[Page]:
    """All windows, put together; a sequel leaves out what its first day only repeats."""
    firsts = list(known[::VINTAGES_PER_WINDOW])
    lasts = [*(day - timedelta(days=1) for day in firsts[1:]), LAST_VINTAGE]
    answers: list[Answer[Any]] = []
    rows: list[_SourcedRow] = []
    current: dict[str, _SourcedRow] = {}
    for first, last in zip(firsts, lasts, strict=True):
        window = {"realtime_start": str(first), "realtime_end": str(last)}
        for answer in _answers(client, series_id, window):
            answers.append(answer)
            for row in answer.value.observations:
                sourced, before = _SourcedRow(row, len(answers) - 1), current.get(row["date"])
                if before is not None and _continues(before.row, row, first):
                    before.row["realtime_end"] = row["realtime_end"]
                    continue
                rows.append(sourced)
                current[row["date"]] = sourced
    start = str(known[0])
    fresh = [
        sourced for sourced in rows if not (is_sequel and sourced.row["realtime_start"] == start)
    ]
    for index, answer in enumerate(answers):
        kept = [sourced.row for sourced in fresh if sourced.answer == index]
        yield page_of_records(answer, OBSERVATIONS, _named(kept, series_id, "vintage"))


def _continues(before: Mapping[str, Any], row: Mapping[str, Any], first: date) -> bool:
    """Whether a row at a window's beginning is the one that the window before cut off."""
    cut = (str(first), str(first - timedelta(days=1)), before["value"])
    return (row["realtime_start"], before["realtime_end"], row["value"]) == cut


def _present_values(client: VendorClient, series_id: str) -> Iterator[Page]:
    for answer in _answers(client, series_id, {}):
        rows = _named(answer.value.observations, series_id, "inferred")
        yield page_of_records(answer, OBSERVATIONS, rows)


def _named(rows: Sequence[Mapping[str, Any]], series_id: str, kind: str) -> list[dict[str, Any]]:
    return [{**row, "series_id": series_id, "vintage_kind": kind} for row in rows]


def _answers(client: VendorClient, series_id: str, window: Params) -> Iterator[Answer[Any]]:
    params = {"series_id": series_id, "file_type": "json", "output_type": 1, **window}
    offset = 0
    while True:
        answer = client.get(
            "/fred/series/observations",
            {**params, "limit": OBSERVATIONS_PER_PAGE},
            partial(_read_observations, offset=offset),
            {"offset": offset},
        )
        yield answer
        sent = len(answer.value.observations)
        offset += sent
        if not _goes_on(offset, answer.value.count, sent, _O):
            return


def _read_vintages(body: bytes, offset: int) -> _VintageDates:
    payload: _VintageDates = read_json(_VINTAGE_BODY.decode, body, _V)
    _refuse_other_page(payload.offset, offset, _V)
    return payload


def _read_observations(body: bytes, offset: int) -> _Observations:
    payload: _Observations = read_json(_OBSERVATION_BODY.decode, body, _O)
    known = {"realtime_start", "realtime_end", "date", "value"}
    days = known - {"value"}
    for row in payload.observations:
        if not known <= row.keys() or not all(isinstance(row[name], str) for name in days):
            raise SchemaDrift(f"{_O} sent a row {str(row)[:200]}, texts {sorted(known)} are known")
    _refuse_other_page(payload.offset, offset, _O)
    return payload


def _refuse_other_page(sent: int, requested: int, where: str) -> None:
    if sent != requested:
        raise Unavailable(f"{where} sent the page at {sent}, {requested} was asked; run again")


def _goes_on(reached: int, count: int, sent: int, where: str) -> bool:
    if reached < count and not sent:
        raise Unavailable(f"{where} ends after {reached} of {count} rows; run it again")
    return reached < count


def _days(page: Page) -> list[date]:
    days: list[date] = page.rows.column("vintage_date").to_pylist()
    return days


def _updated(text: Any) -> datetime:
    """A time such as ``2026-02-13 07:44:02-06`` as UTC."""
    return moment_of(_OFFSET.sub(r"\1:00", str(text)), SERIES).astimezone(UTC)
