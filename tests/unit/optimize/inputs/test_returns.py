from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from optimize.inputs.returns import ReturnsMatrix, build_matrix, read_matrix
from optimize.profiles import load_profile
from tests.support.candidates import make_matrix
from trademl.errors import DataError, GateFailed

RULES = load_profile("us_equities_long").data.model_copy(
    update={"lookback_days": 100, "min_days_floor": 60}
)


def noise(n_rows: int = 100, n_columns: int = 4, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (n_rows, n_columns))


def test_a_complete_matrix_passes_unchanged() -> None:
    raw = make_matrix(noise())
    built = build_matrix(raw, RULES)
    assert built.matrix.names == raw.names
    assert built.matrix.dates == raw.dates
    assert np.array_equal(built.matrix.values, raw.values)
    assert built.dropped == {}


def test_each_unfit_column_is_dropped_with_its_reason() -> None:
    values = noise(n_columns=6)
    values[:50, 1] = np.nan  # 50 sessions < 60
    values[10, 2] = 5.01
    values[:, 3] = 0.0
    values[:15, 4] = np.nan  # 15 % of the sessions
    built = build_matrix(make_matrix(values), RULES)
    assert built.matrix.names == ("S00", "S05")
    assert built.dropped == {
        "S01": "history 50 < 60 sessions",
        "S02": "toxic return 5.01",
        "S03": "zero variance",
        "S04": "missing 15.0% of the sessions",
    }
    assert built.counts == {
        "sessions_before": 100,
        "sessions_after": 100,
        "symbols_before": 6,
        "symbols_after": 2,
    }


def test_a_return_of_exactly_the_bound_is_kept() -> None:
    values = noise()
    values[10, 2] = 4.99
    assert build_matrix(make_matrix(values), RULES).dropped == {}


def test_missing_sessions_are_dropped_for_all_and_never_filled() -> None:
    values = noise()
    values[[3, 4, 50], 1] = np.nan
    built = build_matrix(make_matrix(values), RULES)
    assert len(built.matrix.dates) == 97
    assert built.counts["sessions_after"] == 97
    assert np.array_equal(built.matrix.values, np.delete(values, [3, 4, 50], axis=0))


def test_a_late_listing_does_not_truncate_the_others() -> None:
    values = noise()
    values[:60, 0] = np.nan
    built = build_matrix(make_matrix(values), RULES)
    assert built.dropped == {"S00": "history 40 < 60 sessions"}
    assert len(built.matrix.dates) == 100


def test_too_few_joint_sessions_fail() -> None:
    values = noise(n_columns=6)
    for column in range(6):
        values[column * 8 : column * 8 + 8, column] = np.nan
    with pytest.raises(GateFailed, match=r"RETURNS_TOO_SHORT.*52 of 100 sessions"):
        build_matrix(make_matrix(values), RULES)


def test_nothing_left_fails() -> None:
    with pytest.raises(GateFailed, match="RETURNS_TOO_SHORT"):
        build_matrix(make_matrix(np.zeros((100, 2))), RULES)


def test_strict_health_aborts_on_one_missing_bar_but_not_on_a_late_start() -> None:
    strict = RULES.model_copy(update={"strict_health": True})
    late = noise()
    late[:5, 1] = np.nan
    assert "S01" in build_matrix(make_matrix(late), strict).matrix.names
    late[50, 1] = np.nan
    with pytest.raises(GateFailed, match="HEALTH_MISSING_BARS: S01 misses 1 bars"):
        build_matrix(make_matrix(late), strict)


def test_a_mixed_pool_keeps_only_joint_sessions() -> None:
    """Coins trade on weekends, stocks do not, and neither is padded."""
    days = tuple(date(2021, 1, 4) + timedelta(days=back) for back in range(140))
    is_weekend = np.array([day.weekday() >= 5 for day in days])
    values = noise(n_rows=140, n_columns=3)
    values[is_weekend, :2] = np.nan
    raw = ReturnsMatrix(days, ("AAPL", "MSFT", "BTCUSDT"), values)
    built = build_matrix(raw, RULES, frozenset({"AAPL", "MSFT"}))
    assert built.matrix.names == ("AAPL", "MSFT", "BTCUSDT")
    assert [day for day in built.matrix.dates if day.weekday() >= 5] == []
    assert np.array_equal(built.matrix.values, values[~is_weekend])
    # Without knowing whose market closes, every stock would lack two days in seven.
    assert build_matrix(raw, RULES).matrix.names == ("BTCUSDT",)


def test_a_matrix_survives_its_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    matrix = make_matrix(noise())
    pq.write_table(matrix.to_arrow(), tmp_path / "m.parquet")
    found = read_matrix(tmp_path / "m.parquet")
    assert (found.dates, found.names) == (matrix.dates, matrix.names)
    assert np.array_equal(found.values, matrix.values)
    assert str(matrix.to_arrow()["date"].type) == "timestamp[us, tz=UTC]"


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError) as caught:
        read_matrix(tmp_path / "m.parquet")
    assert "\n" not in str(caught.value)
