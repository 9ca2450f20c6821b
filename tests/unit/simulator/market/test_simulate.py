import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from simulator.market.equities import span_of
from simulator.market.returns import equity_paths, planted_score
from simulator.market.simulate import simulate_market
from tests.support.market_files import (
    bars_of,
    clean_levels,
    planted,
    rank_correlations,
    rows_of,
    xnys_sessions,
)
from trademl.errors import ConfigError

START, END = date(2019, 1, 2), date(2024, 12, 31)
SMALL = {"n_symbols": 24, "n_crypto": 3, "start": date(2022, 1, 3), "end": date(2023, 2, 28)}


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def information_coefficients(levels: np.ndarray, entry_delay: int) -> np.ndarray:
    at = np.arange(60, len(levels) - 6)
    score = np.array([planted_score(levels[t - 60 : t + 1]) for t in at])
    return rank_correlations(score, levels[at + 5 + entry_delay] - levels[at + entry_delay])


def test_same_seed_gives_same_bytes_also_over_an_older_market(tmp_path: Path) -> None:
    simulate_market(tmp_path / "a", seed=3, **SMALL)
    first = hashes(tmp_path / "a")
    simulate_market(tmp_path / "b", seed=3, **SMALL)
    simulate_market(tmp_path / "a", seed=3, **SMALL)
    assert hashes(tmp_path / "b") == first
    assert hashes(tmp_path / "a") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_another_seed_gives_another_market_and_replaces_the_old_files(tmp_path: Path) -> None:
    simulate_market(tmp_path, seed=3, **SMALL)
    before = hashes(tmp_path)
    simulate_market(tmp_path, seed=4, **{**SMALL, "n_crypto": 0})
    after = hashes(tmp_path)
    assert before.keys() - after.keys() == {"crypto_daily.parquet"}
    assert after["equities_daily.parquet"] != before["equities_daily.parquet"]


def test_columns_are_those_of_a_market_directory(market: Path) -> None:
    def types(table: str) -> dict[str, str]:
        schema = pq.read_schema(market / f"{table}.parquet")
        return {field.name: str(field.type) for field in schema}

    prices = dict.fromkeys(("open", "high", "low", "close"), "double")
    bars = {"symbol": "string", "date": "date32[day]", **prices}
    moment = "timestamp[us, tz=UTC]"
    assert types("equities_daily") == {**bars, "volume": "int64"}
    corrected = {**bars, "volume": "int64", "published_at": moment}
    assert types("equities_daily_corrections") == corrected
    assert types("crypto_daily") == {**bars, "quote_volume": "double"}
    split = {"symbol": "string", "ex_date": "date32[day]", "ratio": "double"}
    assert types("splits") == {**split, "published_at": moment}
    assert types("outages") == {"date": "date32[day]", "recovered_at": moment}
    assert types("earnings_dates")["announced_at"] == moment


def test_equity_bars_stand_on_the_calendars_sessions_and_crypto_on_every_day(market: Path) -> None:
    strays = {
        (defect["symbol"], date.fromisoformat(defect["session_date"]))
        for kind in ("weekend_bar", "holiday_bar")
        for defect in planted(market, kind)
    }
    keys = [(row["symbol"], row["date"]) for row in rows_of(market, "equities_daily")]
    assert len(keys) == len(set(keys))
    assert keys == sorted(keys)
    sessions = xnys_sessions(START, END)
    assert {day for key in keys if key not in strays for day in key[1:]} == set(sessions)
    coin = bars_of_coin(market, "BTCUSDT")
    assert coin == [START + timedelta(days=step) for step in range((END - START).days + 1)]


def bars_of_coin(market: Path, symbol: str) -> list[date]:
    return [row["date"] for row in rows_of(market, "crypto_daily") if row["symbol"] == symbol]


def test_prices_are_whole_cents_and_consistent_but_for_the_planted_bars(market: Path) -> None:
    wrong = {
        (row["symbol"], row["date"].isoformat())
        for row in rows_of(market, "equities_daily")
        if not 0 < row["low"] <= min(row["open"], row["close"])
        or max(row["open"], row["close"]) > row["high"]
        or row["volume"] <= 0
        or any(round(row[c], 2) != row[c] for c in ("open", "high", "low", "close"))
    }
    kinds = ("broken_ohlc", "zero_volume", "negative_price")
    defects = [defect for kind in kinds for defect in planted(market, kind)]
    assert wrong == {(defect["symbol"], defect["session_date"]) for defect in defects}
    for row in rows_of(market, "crypto_daily"):
        assert 0 < row["low"] <= min(row["open"], row["close"])
        assert max(row["open"], row["close"]) <= row["high"]


def test_volume_is_lower_on_half_days(market: Path) -> None:
    half = {date.fromisoformat(defect["session_date"]) for defect in planted(market, "half_day")}
    volumes: dict[bool, list[float]] = {True: [], False: []}
    for row in rows_of(market, "equities_daily"):
        volumes[row["date"] in half].append(row["volume"] * row["close"])
    assert len(half) == 12
    assert np.median(volumes[True]) < 0.6 * np.median(volumes[False])


def test_planted_combination_predicts_the_next_five_sessions(market: Path) -> None:
    levels = clean_levels(market, xnys_sessions(START, END))
    assert levels.shape[1] >= 40
    for entry_delay in (0, 1):
        ic = information_coefficients(levels, entry_delay)
        apart = ic[::5]
        assert 0.04 < ic.mean() < 0.09
        assert apart.mean() / apart.std() * np.sqrt(len(apart)) > 4.0


def test_without_drift_there_is_nothing_to_find() -> None:
    quiet = np.zeros((1500, 64), dtype=np.bool_)
    sectors = np.arange(64) % 11
    paths = equity_paths(np.random.default_rng(7), sectors, quiet, drift=0.0)
    ic = information_coefficients(np.cumsum(paths.log_returns, axis=0), entry_delay=0)
    assert abs(ic.mean()) < 0.02


def test_score_looks_at_nothing_before_its_lookback_and_rewards_momentum() -> None:
    levels = np.cumsum(np.random.default_rng(1).normal(0.0, 0.01, (200, 30)), axis=0)
    assert np.allclose(planted_score(levels), planted_score(levels[-61:]))
    risen = levels.copy()
    risen[-40:-10, 0] += np.linspace(0.0, 0.5, 30)
    risen[-10:, 0] += 0.5
    assert planted_score(risen)[0] > planted_score(levels)[0]


def test_returns_are_fat_tailed_and_cluster() -> None:
    quiet = np.zeros((1500, 64), dtype=np.bool_)
    moves = equity_paths(np.random.default_rng(7), np.arange(64) % 11, quiet).log_returns
    centered = moves - moves.mean(axis=0)
    kurtosis = (centered**4).mean(axis=0) / (centered**2).mean(axis=0) ** 2
    size = np.abs(moves).mean(axis=1)
    assert np.median(kurtosis) > 4.0
    assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.15
    assert 0.15 < np.median(moves.std(axis=0)) * np.sqrt(252) < 0.45


def test_late_names_list_within_the_span(market: Path) -> None:
    listed = [row for row in rows_of(market, "listings") if row["ipo_date"] > START]
    assert len(listed) == 4
    for row in listed:
        assert min(bars_of(market, row["symbol"])) == row["ipo_date"] == row["first_bar_date"]


def test_listings_cover_exactly_the_symbols_with_bars(market: Path) -> None:
    listings = rows_of(market, "listings")
    assert [row["symbol"] for row in listings] == sorted(
        {row["symbol"] for row in rows_of(market, "equities_daily")}
    )
    assert len({row["sector"] for row in listings}) == 11


def test_membership_has_adds_and_removes_and_spells_do_not_overlap(market: Path) -> None:
    spells = rows_of(market, "index_membership")
    assert len([row for row in spells if row["start_date"] > START]) >= 5
    assert len([row for row in spells if row["end_date"] is not None]) >= 5
    assert len({row["symbol"] for row in spells}) == len(spells) < 65
    assert all(row["end_date"] is None or row["start_date"] < row["end_date"] for row in spells)


def test_earnings_are_announced_weeks_ahead_and_reach_beyond_the_last_bar(market: Path) -> None:
    rows = rows_of(market, "earnings_dates")
    notice = [(row["earnings_date"] - row["announced_at"].date()).days for row in rows]
    assert 18 <= min(notice) <= max(notice) <= 35
    night = datetime(2025, 1, 1, 13, tzinfo=UTC)
    known = [row for row in rows if row["announced_at"] <= night and row["earnings_date"] > END]
    assert len(known) > 5


def test_a_short_span_still_holds_every_event(tmp_path: Path) -> None:
    simulate_market(tmp_path / "small", seed=11, **SMALL)
    kinds = {"split", "late_split", "delisting", "rename", "gap", "holiday_bar", "half_day"}
    assert all(planted(tmp_path / "small", kind) for kind in kinds)
    assert len(span_of(SMALL["start"], SMALL["end"]).sessions) < 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"n_symbols": 10}, "n_symbols is 10; give 24"),
        ({"n_symbols": 10**6}, "give 24..5000"),
        ({"n_crypto": -1}, "n_crypto is -1"),
        ({"end": date(2022, 3, 1)}, "2022-01-03..2022-03-01"),
        ({"end": date(2021, 3, 1)}, "2022-01-03..2021-03-01"),
        ({"end": date(2022, 12, 30)}, "has 251 sessions"),
        ({"end": date(2400, 1, 1)}, "no XNYS calendar"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        simulate_market(tmp_path / "out", **{"seed": 1, **SMALL, **change})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "equities_daily.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="something else than a simulated market"):
        simulate_market(tmp_path, seed=1, **SMALL)
    assert (tmp_path / "equities_daily.parquet").read_text() == "mine"


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/trademl"])
def test_an_impossible_place_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file|cannot"):
        simulate_market(tmp_path / place, seed=1, **SMALL)
