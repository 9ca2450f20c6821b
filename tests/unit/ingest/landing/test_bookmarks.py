"""What is landed is read from the disk, and no more of it than has changed."""

import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ingest.landing import bookmarks
from ingest.landing.unanswered import unanswered_symbols
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import page_of_records
from ingest.transport.client import Answer
from ingest.vendors.registry import ENDPOINTS
from trademl.errors import DataError

BARS = ENDPOINTS["alpaca/bars_1d"]
MONDAY = datetime(2020, 3, 2, 22, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
LONG_AGO = 1_600_000_000


def put(data, clock, *symbols):
    """Lands a day without bars, as another process may; the file and its folder."""
    day = clock.date()
    fetch = Fetch(BARS, "equities_bars_1d", f"{day} {symbols}", day, day, symbols)
    page = page_of_records(Answer([], "0" * 64, "uri", "hash", {}), BARS, [])
    return land(data, fetch, [page], clock).path


def days(data):
    return [found.start for found in bookmarks.landed(data, BARS)]


def settle(path):
    os.utime(path.parent, (LONG_AGO, LONG_AGO))


@pytest.fixture
def listed(monkeypatch):
    """The folders that are listed."""
    found, scandir = [], os.scandir

    def noted(path):
        found.append(os.path.basename(path))
        return scandir(path)

    monkeypatch.setattr(bookmarks.os, "scandir", noted)
    return found


def test_a_folder_is_listed_when_it_has_changed_and_at_no_other_time(tmp_path, listed):
    first, second = (put(tmp_path, MONDAY + timedelta(days=n), "AAA") for n in range(2))
    settle(first)
    settle(second)
    assert days(tmp_path) == [date(2020, 3, 2), date(2020, 3, 3)]
    listed.clear()
    assert days(tmp_path) == [date(2020, 3, 2), date(2020, 3, 3)]
    assert listed == ["bars_1d"]
    put(tmp_path, MONDAY + timedelta(hours=1), "BBB")
    listed.clear()
    assert days(tmp_path) == [date(2020, 3, 2), date(2020, 3, 2), date(2020, 3, 3)]
    assert listed == ["bars_1d", "ingest_date=2020-03-02"]


def test_what_comes_within_one_tick_of_the_disks_clock_is_seen(tmp_path):
    first = put(tmp_path, MONDAY, "AAA")
    at = first.parent.stat().st_mtime_ns
    assert len(days(tmp_path)) == 1
    put(tmp_path, MONDAY + timedelta(hours=1), "BBB")
    os.utime(first.parent, ns=(at, at))
    assert len(days(tmp_path)) == 2


def test_what_is_lost_or_replaced_is_seen(tmp_path):
    first, second = (put(tmp_path, MONDAY + timedelta(hours=n), "AAA") for n in range(2))
    settle(first)
    assert len(days(tmp_path)) == 2
    second.unlink()
    assert len(days(tmp_path)) == 1
    other = tmp_path / "other"
    other.write_bytes(b"no Parquet")
    other.replace(first)
    with pytest.raises(DataError, match="cannot be read"):
        days(tmp_path)


def test_a_folder_of_the_year_1970_is_listed_as_any_other(tmp_path):
    path = put(tmp_path, MONDAY, "AAA")
    os.utime(path.parent, (0, 0))
    assert len(days(tmp_path)) == 1
    path.unlink()
    os.utime(path.parent, (1, 1))
    assert days(tmp_path) == []


def test_a_file_is_read_once(tmp_path, monkeypatch):
    put(tmp_path, MONDAY, "AAA")
    days(tmp_path)
    read = []
    monkeypatch.setattr(bookmarks, "_envelope", lambda path, _endpoint: read.append(path))
    days(tmp_path)
    assert read == []


def test_nothing_is_landed_where_there_is_no_folder(tmp_path):
    assert days(tmp_path) == []


def test_coverage_is_of_the_symbols_wanted(tmp_path):
    for number, names in enumerate([("AAA", "BBB"), ("AAA", "BBB"), ("BBB",), ("AAA", "BBB")]):
        put(tmp_path, MONDAY + timedelta(days=number), *names)
    landed = bookmarks.landed(tmp_path, BARS)
    first = date(2020, 3, 2)
    span = first, first + timedelta(days=1)
    thursday = first + timedelta(days=3)
    assert bookmarks.coverage(landed, ["AAA", "CCC"]) == {"AAA": [span, (thursday, thursday)]}
    assert bookmarks.coverage(landed, ["BBB"]) == {"BBB": [(first, thursday)]}
    assert bookmarks.symbols_of(landed) == {"AAA", "BBB"}


@pytest.mark.parametrize("year", [1, 2100])
def test_a_bar_of_an_impossible_year_says_nothing_of_how_far_the_bars_are(tmp_path, year):
    """Alone it counts as no bar, beside others it is passed over; either way the next landing goes on."""
    day = MONDAY.date()
    fetch = Fetch(BARS, "equities_bars_1d", "chain", day, day, ("AAA", "BBB"))
    odd = datetime(year, 1, 1, 5, tzinfo=UTC)
    rows = [bar("AAA", odd), bar("BBB", datetime(2020, 3, 2, 5, tzinfo=UTC)), bar("BBB", odd)]
    land(tmp_path / "beside", fetch, [page_of_bars(rows)], MONDAY)
    land(tmp_path / "alone", fetch, [page_of_bars(rows[:1])], MONDAY)
    beside, alone = (bookmarks.landed(tmp_path / name, BARS) for name in ("beside", "alone"))
    assert bookmarks.newest_event(beside) == datetime(2020, 3, 2, 5, tzinfo=UTC)
    assert bookmarks.newest_event(alone) is None
    missing, answered = unanswered_symbols(
        [(BARS, beside[0])], day, lambda moment: moment.astimezone(NEW_YORK).date()
    )
    assert (set(missing), answered) == ({"AAA"}, {"BBB"})


def bar(symbol, moment):
    numbers = {"o": 1.0, "h": 9.0, "l": 0.5, "c": 5.0, "v": 100.0, "n": 3, "vw": 4.5}
    return {"symbol": symbol, "t": moment, **numbers}


def page_of_bars(rows):
    return page_of_records(Answer([], "0" * 64, "uri", "hash", {}), BARS, rows)
