"""Every line of defects.json, checked against the data."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from simulator.market.clocks import market_clock, previous_clock
from tests.support.market_files import (
    Row,
    bars_of,
    clean_levels,
    only,
    planted,
    rows_of,
    xnys_sessions,
)

SESSIONS = xnys_sessions(date(2019, 1, 2), date(2024, 12, 31))


def day_of(defect: Row) -> date:
    return date.fromisoformat(defect["session_date"])


def jump(market: Path, defect: Row) -> float:
    """Close before over close of the day: about the split ratio on an ex-date."""
    bars = bars_of(market, defect["symbol"])
    return bars[before(day_of(defect))]["close"] / bars[day_of(defect)]["close"]


def before(day: date) -> date:
    return SESSIONS[SESSIONS.index(day) - 1]


def splits_of(market: Path, symbol: str) -> list[Row]:
    return [row for row in rows_of(market, "splits") if row["symbol"] == symbol]


def test_every_planned_kind_is_listed_once_per_id(market: Path) -> None:
    listed = json.loads((market / "defects.json").read_text())
    assert {defect["kind"] for defect in listed} == {
        *("split", "late_split", "dividend", "delisting", "rename", "late_correction"),
        *("vendor_outage", "gap", "toxic_spike", "weekend_bar", "holiday_bar", "broken_ohlc"),
        *("zero_volume", "missing_split", "wrong_ratio", "half_day", "negative_price"),
    }
    assert all(list(d) == ["id", "kind", "symbol", "session_date", "description"] for d in listed)
    assert len({defect["id"] for defect in listed}) == len(listed)
    named = [defect["symbol"] for defect in listed if defect["symbol"]]
    assert len(named) == len(set(named)) == 18


def test_returns_are_continuous_across_splits_and_dividends(market: Path) -> None:
    steps = np.diff(clean_levels(market, SESSIONS), axis=0)
    assert np.abs(steps).max() < 0.23
    ratios = sorted(row["ratio"] for row in rows_of(market, "splits"))
    assert ratios == [0.1, 2.0, 2.0, 3.0, 3.0, 3.0]


def test_split_prices_fall_by_the_published_ratio_on_the_published_day(market: Path) -> None:
    for defect in planted(market, "split") + planted(market, "late_split"):
        (row,) = splits_of(market, defect["symbol"])
        assert row["ex_date"] == day_of(defect)
        assert 0.75 < jump(market, defect) / row["ratio"] < 1.3


def test_late_splits_are_served_long_after_their_ex_date(market: Path) -> None:
    first, second = planted(market, "late_split")
    (early,), (late,) = (splits_of(market, defect["symbol"]) for defect in (first, second))
    assert early["ex_date"] == SESSIONS[-31]
    assert early["published_at"].date() == SESSIONS[-4]
    assert previous_clock(market) < late["published_at"] < market_clock(market)
    for defect in planted(market, "split"):
        (row,) = splits_of(market, defect["symbol"])
        assert row["published_at"].date() == row["ex_date"]


def test_missing_and_wrong_splits(market: Path) -> None:
    missing, wrong = only(market, "missing_split"), only(market, "wrong_ratio")
    assert 1.5 < jump(market, missing) < 2.6
    assert splits_of(market, missing["symbol"]) == []
    assert 1.5 < jump(market, wrong) < 2.6
    (row,) = splits_of(market, wrong["symbol"])
    assert (row["ex_date"], row["ratio"]) == (day_of(wrong), 3.0)


def test_half_of_the_names_pay_quarterly_out_of_the_price(market: Path) -> None:
    dividends = rows_of(market, "dividends")
    defect = only(market, "dividend")
    assert (defect["symbol"], day_of(defect)) in {(r["symbol"], r["ex_date"]) for r in dividends}
    assert 30 <= len({row["symbol"] for row in dividends}) <= 34
    assert 20 <= len(dividends) / 32 <= 24
    bars = {(r["symbol"], r["date"]): r["close"] for r in rows_of(market, "equities_daily")}
    yields = [r["cash"] / bars[r["symbol"], before(r["ex_date"])] for r in dividends]
    assert 0.002 < min(yields) < max(yields) < 0.0115


def test_prices_open_lower_by_the_dividend(market: Path) -> None:
    bars = {(row["symbol"], row["date"]): row for row in rows_of(market, "equities_daily")}
    raw, whole = [], []
    for paid in rows_of(market, "dividends"):
        last = bars[paid["symbol"], before(paid["ex_date"])]["close"]
        opened = bars[paid["symbol"], paid["ex_date"]]["open"]
        raw.append(opened / last - 1.0)
        whole.append(opened / (last - paid["cash"]) - 1.0)
    assert np.mean(raw) < -0.004
    assert abs(np.mean(whole)) < 0.001


def test_no_bars_after_the_delisting(market: Path) -> None:
    defect = only(market, "delisting")
    assert max(bars_of(market, defect["symbol"])) == day_of(defect) == SESSIONS[-251]
    rows = {row["symbol"]: row for row in rows_of(market, "listings")}
    assert rows[defect["symbol"]]["last_bar_date"] == day_of(defect)
    spells = rows_of(market, "index_membership")
    ends = [row["end_date"] for row in spells if row["symbol"] == defect["symbol"]]
    assert ends == [SESSIONS[-250]]
    for table, column in (("dividends", "ex_date"), ("earnings_dates", "earnings_date")):
        dated = [r[column] for r in rows_of(market, table) if r["symbol"] == defect["symbol"]]
        assert all(day <= day_of(defect) for day in dated)


def test_renamed_bars_continue_under_the_new_symbol(market: Path) -> None:
    (change,) = rows_of(market, "renames")
    defect = only(market, "rename")
    assert (defect["symbol"], day_of(defect)) == (change["new_symbol"], change["effective_date"])
    old, new = bars_of(market, change["old_symbol"]), bars_of(market, change["new_symbol"])
    assert [*old, *new] == SESSIONS
    assert min(new) == change["effective_date"]
    closes = [bar["close"] for bar in (*old.values(), *new.values())]
    assert np.abs(np.diff(np.log(closes))).max() < 0.25


def test_correction_differs_materially_and_arrives_between_the_nights(market: Path) -> None:
    defect = only(market, "late_correction")
    (row,) = rows_of(market, "equities_daily_corrections")
    assert (row["symbol"], row["date"]) == (defect["symbol"], day_of(defect))
    assert row["date"] == SESSIONS[-5]
    first = bars_of(market, row["symbol"])[row["date"]]["close"]
    assert abs(first / row["close"] - 0.93) < 0.005
    assert previous_clock(market) < row["published_at"] < market_clock(market)


def test_outage_hides_a_session_from_the_first_night_only(market: Path) -> None:
    (row,) = rows_of(market, "outages")
    assert row["date"] == day_of(only(market, "vendor_outage")) == SESSIONS[-4]
    assert only(market, "vendor_outage")["symbol"] is None
    assert previous_clock(market) < row["recovered_at"] < market_clock(market)


def test_gap_is_eight_sessions(market: Path) -> None:
    defect = only(market, "gap")
    bars = bars_of(market, defect["symbol"])
    missing = [day for day in SESSIONS if day not in bars]
    start = SESSIONS.index(day_of(defect))
    assert missing == SESSIONS[start : start + 8]
    assert start == len(SESSIONS) - 401


def test_toxic_spike_lasts_one_session(market: Path) -> None:
    defect = only(market, "toxic_spike")
    bars = bars_of(market, defect["symbol"])
    here = SESSIONS.index(day_of(defect))
    around = [bars[SESSIONS[here + step]]["close"] for step in (-1, 0, 1)]
    assert around[1] / around[0] > 9.0
    assert 0.7 < around[2] / around[0] < 1.4


def test_bars_on_closed_days(market: Path) -> None:
    weekend, holiday = only(market, "weekend_bar"), only(market, "holiday_bar")
    assert day_of(weekend).weekday() == 5
    assert day_of(holiday).weekday() < 5
    for defect in (weekend, holiday):
        assert day_of(defect) not in SESSIONS
        assert day_of(defect) in bars_of(market, defect["symbol"])


def test_broken_values(market: Path) -> None:
    def bar(kind: str) -> Row:
        defect = only(market, kind)
        return bars_of(market, defect["symbol"])[day_of(defect)]

    assert bar("broken_ohlc")["high"] < bar("broken_ohlc")["close"]
    assert bar("zero_volume")["volume"] == 0
    assert bar("negative_price")["close"] < 0


def test_half_days_are_the_calendars(market: Path) -> None:
    days = {day_of(defect) for defect in planted(market, "half_day")}
    assert date(2024, 12, 24) in days
    assert date(2019, 7, 3) in days
    assert days <= set(SESSIONS)


def test_nights(market: Path) -> None:
    assert market_clock(market) == datetime(2025, 1, 1, 13, tzinfo=UTC)
    first = datetime(SESSIONS[-3].year, SESSIONS[-3].month, SESSIONS[-3].day, 13, tzinfo=UTC)
    assert previous_clock(market) == first + timedelta(days=1)
