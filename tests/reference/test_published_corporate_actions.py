"""Published corporate action factors and point-in-time rules, recomputed by the lake itself.

Source of the factors: QuantConnect Lean's factor file tests and its file of AAPL. A dividend
multiplies earlier prices by 1 - cash / close of the session before the ex-date, a split by old over
new shares; what has no meaning is dropped with a warning. The published figures on fundamentals
wait for a table of fundamentals.
"""

from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.cache import made_once
from tests.support.lakes import build_models, land_night, open_live, write_market
from trademl.sessions import sessions_between

TODAY = datetime(2012, 8, 8, 22, tzinfo=UTC)
LATER = datetime(2020, 9, 1, 13, tzinfo=UTC)

AAPL = {
    date(2012, 8, 7): 620.91,
    date(2012, 8, 8): 619.86,
    date(2012, 8, 9): 620.73,
    date(2014, 6, 5): 647.35,
    date(2014, 6, 6): 645.57,
    date(2014, 6, 9): 93.70,
    date(2014, 8, 6): 94.97,
    date(2014, 8, 7): 94.48,
    date(2020, 8, 28): 499.23,
    date(2020, 8, 31): 129.04,
}
HALVED = {"LATE": date(2012, 8, 8), "SOON": date(2012, 8, 9), "REST": date(2012, 8, 13)}
WEEK = [date(2012, 8, day) for day in (6, 7, 8, 9, 10, 13, 14)]
EVENTS_OF = {
    "LATE": "a split of 2012-08-08 that the vendor tells a day later",
    "SOON": "a split of 2012-08-09 that the vendor tells a day before",
    "REST": "a split dated on a Saturday",
    "ZERO": "a split into nothing",
    "MINU": "a split of a negative ratio",
    "FIRS": "a dividend on the first bar's day, and one before",
    "NONE": "a dividend after a session whose close is missing: the vendor says 0",
    "FIXD": "an older bar that is corrected",
}


def told(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def lakes():
    """The lake on the evening of 2012-08-08 and eight years later, grown from it."""
    folder = made_once("published-corporate-actions", make_lakes)
    with open_live(folder / "early") as today, open_live(folder / "late") as later:
        yield today, later


def make_lakes(folder: Path) -> None:
    market = write_market(folder / "market", **tables())
    early, late = folder / "early", folder / "late"
    land_night(market, early, TODAY)
    build_models(early, TODAY)
    land_night(market, late, TODAY)
    land_night(market, late, LATER)
    build_models(late, LATER)


def tables() -> dict[str, pa.Table]:
    closes = [("AAPL", day, close) for day, close in without_pauses(AAPL).items()]
    closes += [
        (symbol, day, 25.0 if day >= HALVED.get(symbol, date.max) else 50.0)
        for symbol in EVENTS_OF
        for day in WEEK
    ]
    closes = [
        (symbol, day, 0.0 if (symbol, day) == ("NONE", date(2012, 8, 8)) else close)
        for symbol, day, close in closes
    ]
    splits = [
        ("AAPL", date(2014, 6, 9), 7.0, None),
        ("AAPL", date(2020, 8, 31), 4.0, None),
        ("LATE", date(2012, 8, 8), 2.0, told(date(2012, 8, 9))),
        ("SOON", date(2012, 8, 9), 2.0, told(date(2012, 8, 8))),
        ("REST", date(2012, 8, 11), 2.0, None),
        ("ZERO", date(2012, 8, 9), 0.0, None),
        ("MINU", date(2012, 8, 9), -2.0, None),
    ]
    dividends = [
        ("AAPL", date(2012, 8, 9), 2.65),
        ("AAPL", date(2014, 8, 7), 0.47),
        ("FIRS", date(2012, 8, 3), 1.0),
        ("FIRS", date(2012, 8, 6), 1.0),
        ("NONE", date(2012, 8, 9), 1.0),
    ]
    corrected = {"symbol": ["FIXD"], "date": [date(2012, 8, 7)], "published_at": [told(WEEK[3])]}
    return {
        "equities_daily": bars(closes),
        "equities_daily_corrections": bars([("FIXD", date(2012, 8, 7), 51.0)]).append_column(
            "published_at", pa.array(corrected["published_at"], pa.timestamp("us", "UTC"))
        ),
        "splits": table(
            splits,
            symbol=pa.string(),
            ex_date=pa.date32(),
            ratio=pa.float64(),
            published_at=pa.timestamp("us", "UTC"),
        ),
        "dividends": table(dividends, symbol=pa.string(), ex_date=pa.date32(), cash=pa.float64()),
    }


def without_pauses(closes: dict[date, float]) -> dict[date, float]:
    """The published closes and, on the sessions between two of them, a steady rise from one to the other.

    No return, and no factor, spans a pause of more than 90 days.
    """
    filled = {}
    for (start, first), (end, last) in pairwise(closes.items()):
        sessions = [session.day for session in sessions_between(start, end)[:-1]]
        step = (last / first) ** (1 / len(sessions))
        filled |= {day: first * step**n for n, day in enumerate(sessions)}
    return filled | closes


def bars(closes):
    rows = [(symbol, day, close, close, close, close, 1000) for symbol, day, close in closes]
    prices = dict.fromkeys(("open", "high", "low", "close"), pa.float64())
    return table(rows, symbol=pa.string(), date=pa.date32(), **prices, volume=pa.int64())


def table(rows, **types):
    return pa.Table.from_pylist(
        [dict(zip(types, row, strict=True)) for row in rows], pa.schema(list(types.items()))
    )


def one(lake, query, *given):
    return lake.execute(query, given).fetchone()


@pytest.mark.parametrize(
    ("ex_date", "factor"),
    [
        (date(2012, 8, 9), 0.9957248),
        (date(2014, 6, 9), 1 / 7),
        (date(2014, 8, 7), 0.9950511),
        (date(2020, 8, 31), 1 / 4),
    ],
)
def test_price_factors_of_aapl(lakes, ex_date, factor):
    query = "select price_factor from reference.corp_actions where symbol = 'AAPL' and ex_date = ?"
    (found,) = one(lakes[1], query, ex_date)
    assert found == pytest.approx(factor, abs=5e-8)


def test_the_split_moves_the_price_factor_of_aapl(lakes):
    """From .03571430 on 2014-06-06 to .25 after it, seen from the end of 2020."""
    query = """
        select split_factor / last_value(split_factor) over (order by session_date
            rows between unbounded preceding and unbounded following) as factor
        from curated.equities_ohlcv_adj where symbol = 'AAPL'
        qualify session_date in (date '2014-06-06', date '2014-06-09') order by session_date
    """
    found = [factor for (factor,) in lakes[1].execute(query).fetchall()]
    assert found == pytest.approx([0.03571430, 0.25], abs=2e-8)


@pytest.mark.parametrize(
    ("day", "ret"),
    [
        (date(2012, 8, 9), (620.73 + 2.65) / 619.86 - 1),
        (date(2014, 6, 9), 7 * 93.70 / 645.57 - 1),
        (date(2020, 8, 31), 4 * 129.04 / 499.23 - 1),
    ],
)
def test_total_return_across_an_ex_date(lakes, day, ret):
    """The return across an ex-date is the raw return and the event's effect, to 1e-9."""
    query = "select ret from curated.equities_ohlcv_adj where symbol = 'AAPL' and session_date = ?"
    (found,) = one(lakes[1], query, day)
    assert found == pytest.approx(ret, abs=1e-9)


@pytest.mark.parametrize(
    ("symbol", "ex_date", "reason"),
    [
        ("ZERO", date(2012, 8, 9), "RATIO_NOT_POSITIVE"),
        ("MINU", date(2012, 8, 9), "RATIO_NOT_POSITIVE"),
        ("FIRS", date(2012, 8, 3), "EX_DATE_BEFORE_DATA"),
        ("FIRS", date(2012, 8, 6), "EX_DATE_BEFORE_DATA"),
        ("NONE", date(2012, 8, 9), "CLOSE_MISSING"),
    ],
)
def test_what_has_no_meaning_is_dropped_with_its_reason(lakes, symbol, ex_date, reason):
    lake = lakes[1]
    recorded = "select reason, verdict from quality.quarantine_corp_actions where symbol = ? and ex_date = ?"
    assert one(lake, recorded, symbol, ex_date) == (reason, "rejected")
    applied = "select count(*) from curated.equities_ohlcv_adj where symbol = ? and total_return_factor <> 1"
    assert one(lake, applied, symbol) == (0,)


@pytest.mark.parametrize("symbol", ["LATE", "SOON"])
def test_an_event_is_invisible_before_it_is_both_due_and_told(lakes, symbol):
    """Dated today but created tomorrow, or dated tomorrow but created today: not seen today."""
    query = "select count(*) from reference.corp_actions where symbol = ?"
    assert [one(lake, query, symbol) for lake in lakes] == [(0,), (1,)]


def test_what_is_dated_on_a_saturday_is_first_visible_on_monday(lakes):
    query = """
        select session_date from curated.equities_ohlcv_adj
        where symbol = 'REST' and split_factor = 2 order by 1 limit 1
    """
    assert one(lakes[1], query) == (date(2012, 8, 13),)


def test_a_restatement_updates_its_own_period_and_no_other(lakes):
    query = "select session_date, close from curated.equities_bars_asof where symbol = 'FIXD' order by 1"
    before, after = (list(lake.execute(query).fetchall()) for lake in lakes)
    assert dict(after) == dict.fromkeys(WEEK, 50.0) | {date(2012, 8, 7): 51.0}
    assert dict(before) == dict.fromkeys(WEEK[:3], 50.0)
    newest = "select arg_max(close, session_date), max(session_date) from curated.equities_bars_asof where symbol = 'FIXD'"
    assert one(lakes[1], newest) == (50.0, WEEK[-1])
