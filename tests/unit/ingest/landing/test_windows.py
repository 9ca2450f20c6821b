from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.landing import windows
from ingest.landing.windows import first_missing_day, merged, plan_fetches

HISTORY, END = date(2000, 1, 1), date(2020, 3, 20)


def back(day):
    return day - timedelta(days=5)


def begin(covered, start=None, end=END):
    return first_missing_day({"A": covered} if covered else {}, "A", start, end, HISTORY, back)


@pytest.mark.parametrize(
    ("covered", "start", "expected"),
    [
        ([], None, HISTORY),
        ([], date(2019, 1, 1), date(2019, 1, 1)),
        ([(HISTORY, END)], None, None),
        ([(HISTORY, date(2020, 3, 19))], None, date(2020, 3, 14)),
        # A first run that began late goes on, it does not reach back.
        ([(date(2019, 1, 1), date(2020, 3, 19))], None, date(2020, 3, 14)),
        # Somebody wants more history than there is.
        ([(date(2019, 1, 1), END)], date(2015, 1, 1), date(2015, 1, 1)),
        ([(date(2019, 1, 1), END)], date(2019, 6, 1), None),
        ([(date(2019, 1, 1), date(2019, 6, 3))], date(2019, 6, 1), date(2019, 6, 1)),
        # The wanted start lies in a hole between two spans.
        (
            [(HISTORY, date(2010, 1, 1)), (date(2015, 1, 1), END)],
            date(2012, 1, 1),
            date(2012, 1, 1),
        ),
    ],
)
def test_where_to_go_on(covered, start, expected):
    assert begin(covered, start) == expected


def test_symbols_with_the_same_window_share_a_fetch():
    starts = {"A": date(2020, 3, 16), "B": None, "C": date(2020, 3, 16), "D": date(2020, 3, 19)}
    found = plan_fetches(list(starts), starts.get, END)
    assert [(ask.symbols, ask.start, ask.end) for ask in found] == [
        (("A", "C"), date(2020, 3, 16), END),
        (("D",), date(2020, 3, 19), END),
    ]


def test_a_long_window_takes_few_symbols_and_a_short_one_many():
    names = [f"S{number}" for number in range(2000)]
    years = plan_fetches(names, lambda symbol: HISTORY, END)
    nights = plan_fetches(names, lambda symbol: date(2020, 3, 16), END)
    assert max(len(ask.symbols) for ask in years) * 252 * 20 <= 1.05 * windows.ROWS_PER_FETCH
    assert len(nights) == 4
    assert [symbol for ask in nights for symbol in ask.symbols] == sorted(names)


DAYS = st.integers(0, 60).map(lambda number: date(2020, 1, 1) + timedelta(days=number))
SPANS = st.lists(st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair))), max_size=8)


@settings(derandomize=True, max_examples=200)
@given(SPANS)
def test_merged_spans_hold_the_same_days_and_never_touch(spans):
    def days(of):
        return {
            first + timedelta(days=n) for first, last in of for n in range((last - first).days + 1)
        }

    result = merged(spans)
    assert days(result) == days(spans)
    assert all(one[1] + timedelta(days=1) < two[0] for one, two in pairwise(result))


@settings(derandomize=True, max_examples=200)
@given(SPANS, DAYS)
def test_what_is_asked_closes_the_gap_to_the_end(spans, end):
    covered = merged(spans)
    start = begin(covered, None, end)
    if start is None:
        assert covered[-1][1] >= end
    elif covered:
        assert start <= covered[-1][1] < end


def test_a_window_in_which_one_symbol_is_too_much_is_cut_without_holes(monkeypatch):
    monkeypatch.setattr(windows, "ROWS_PER_FETCH", 10 * 960)
    start = date(2020, 1, 1)
    found = plan_fetches(["A", "B"], lambda symbol: start, END, rows_per_session=960)
    assert {ask.symbols for ask in found if ask.end < END} == {("A",), ("B",)}
    spans = [(ask.start, ask.end) for ask in found if "A" in ask.symbols]
    assert merged(spans) == [(start, END)]
    assert sum((last - first).days + 1 for first, last in spans) == (END - start).days + 1
