"""When the node's loops are due, by the clock alone."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from ingest.node.daemon import is_due, is_due_daily, latest

NEW_YORK = ZoneInfo("America/New_York")
TWO = time(2)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_loop_is_due_at_once_and_then_every_so_often():
    now, every = utc("2026-03-02T12:00"), timedelta(minutes=15)
    assert is_due(None, now, every)
    assert not is_due(now, now + timedelta(minutes=14, seconds=59), every)
    assert is_due(now, now + every, every)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-05T06:59", "2026-01-04T07:00"),
        ("2026-01-05T07:00", "2026-01-05T07:00"),
        ("2026-07-05T05:59", "2026-07-04T06:00"),
        ("2026-07-05T06:00", "2026-07-05T06:00"),
        # 02:00 does not exist on the day when summer time begins; 03:00 of that day is 07:00 UTC.
        ("2026-03-08T07:00", "2026-03-08T07:00"),
        ("2026-03-09T06:00", "2026-03-09T06:00"),
        ("2026-11-01T07:00", "2026-11-01T07:00"),
    ],
)
def test_two_in_the_morning_is_local(now, expected):
    assert latest(utc(now), TWO, NEW_YORK) == utc(expected)


def test_a_daily_loop_runs_once_a_day_through_a_whole_year():
    now, last, runs = utc("2026-01-01T12:00"), None, []
    while now < utc("2027-01-01T12:00"):
        if is_due_daily(last, now, TWO, NEW_YORK):
            last = now
            runs.append(now)
        now += timedelta(minutes=20)
    assert len(runs) == 366
    assert len({run.astimezone(NEW_YORK).date() for run in runs}) == 366


def test_a_missed_night_is_made_up_for_once():
    last = utc("2026-01-05T07:00")
    assert not is_due_daily(last, utc("2026-01-06T06:59"), TWO, NEW_YORK)
    assert is_due_daily(last, utc("2026-01-09T20:00"), TWO, NEW_YORK)
    assert not is_due_daily(utc("2026-01-09T20:00"), utc("2026-01-10T06:00"), TWO, NEW_YORK)
