"""Which ex-dates a nightly run asks again."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ingest.landing.bookmarks import Envelope
from ingest.landing.job import Job
from ingest.transport.client import VendorClient
from ingest.vendors.dataset import (
    EQUITY_HISTORY,
    actions_window,
    recent_actions_window,
)
from trademl.settings import Settings

TONIGHT = datetime(2024, 6, 12, 7, tzinfo=UTC)
AHEAD = date(2024, 9, 10)
"""Ninety days from tonight."""


def job(start: date | None = None, symbols: tuple[str, ...] | None = None) -> Job:
    settings = Settings(actions_recent_days=90, actions_all_days=7)
    return Job(Path("data"), TONIGHT, settings, start, None, symbols, None, VendorClient)


def landed(
    nights_ago: int, days_back: int | None = None, *symbols: str, days_ahead: int = 90
) -> Envelope:
    """A landing so many nights ago, of all days or so many back."""
    at = TONIGHT - timedelta(days=nights_ago)
    start = EQUITY_HISTORY if days_back is None else at.date() - timedelta(days=days_back)
    end = at.date() + timedelta(days=days_ahead)
    return Envelope(Path("file"), at, start, end, frozenset(symbols), "hash", None)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="nothing was asked yet"),
        pytest.param([landed(7), landed(1, 90)], id="all were asked a week ago"),
        pytest.param([landed(1, 90)], id="only recent ones were asked"),
        pytest.param([landed(9), landed(1, None, "AAA")], id="all of one symbol were asked"),
        pytest.param([landed(9), landed(1, days_ahead=-400)], id="only old ones were asked"),
    ],
)
def test_all_ex_dates_are_asked_again_once_a_week(before: list[Envelope]) -> None:
    assert actions_window(job(), before) == (EQUITY_HISTORY, AHEAD)


@pytest.mark.parametrize(
    ("before", "start"),
    [
        ([landed(6), landed(1, 90)], date(2024, 3, 13)),
        ([landed(6)], date(2024, 3, 8)),
        ([landed(5), landed(3, 90, "AAA")], date(2024, 3, 9)),
    ],
)
def test_between_them_ninety_days_before_the_last_complete_answer(
    before: list[Envelope], start: date
) -> None:
    assert actions_window(job(), before) == (start, AHEAD)


def test_a_named_start_or_symbol_is_asked_as_named() -> None:
    assert actions_window(job(start=date(2024, 6, 1)), [])[0] == date(2024, 6, 1)
    assert actions_window(job(symbols=("AAA",)), [landed(1)])[0] == EQUITY_HISTORY


def test_a_second_opinion_is_not_asked_for_everything_again() -> None:
    assert recent_actions_window(job(), [landed(30), landed(1, 90)])[0] == date(2024, 3, 13)
