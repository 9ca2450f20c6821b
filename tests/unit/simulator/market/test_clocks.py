from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from simulator.market.clocks import market_clock, previous_clock
from trademl.cli.market import market_group
from trademl.errors import ConfigError, DataError


def write_days(path: Path, days: list[date]) -> None:
    pq.write_table(pa.table({"symbol": ["A"] * len(days), "date": pa.array(days)}), path)


def test_a_stray_weekend_bar_is_no_session(tmp_path: Path) -> None:
    friday, saturday = date(2024, 6, 7), date(2024, 6, 8)
    write_days(tmp_path / "equities_daily.parquet", [saturday, friday, date(2024, 6, 6)])
    assert market_clock(tmp_path) == datetime(2024, 6, 8, 13, tzinfo=UTC)
    assert previous_clock(tmp_path, 1) == datetime(2024, 6, 7, 13, tzinfo=UTC)


def test_crypto_counts_every_day_where_there_are_no_equities(tmp_path: Path) -> None:
    write_days(tmp_path / "crypto_daily.parquet", [date(2024, 6, 8), date(2024, 6, 9)])
    assert market_clock(tmp_path) == datetime(2024, 6, 10, 13, tzinfo=UTC)


def test_too_few_sessions_or_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no bars"):
        market_clock(tmp_path)
    write_days(tmp_path / "equities_daily.parquet", [date(2024, 6, 7)])
    with pytest.raises(DataError, match="has 1 sessions"):
        previous_clock(tmp_path)
    with pytest.raises(ConfigError, match="sessions_back is -1"):
        previous_clock(tmp_path, -1)
    (tmp_path / "equities_daily.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        market_clock(tmp_path)


def test_a_table_without_dates_is_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"symbol": ["A"]}), tmp_path / "equities_daily.parquet")
    with pytest.raises(DataError, match="no column 'date'"):
        market_clock(tmp_path)


def test_command_writes_a_market_and_names_its_nights(tmp_path: Path) -> None:
    arguments = "simulate --seed 1 --symbols 24 --crypto 2 --start 2022-01-03 --end 2023-02-28"
    out = tmp_path / "m"
    result = CliRunner().invoke(market_group, [*arguments.split(), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "2023-03-01T13:00:00Z" in result.output
    assert (out / "defects.json").exists()


@pytest.mark.parametrize("extra", [["--color", "red"], ["--start", "yesterday"], ["--seed", "x"]])
def test_unknown_arguments_are_usage_errors(tmp_path: Path, extra: list[str]) -> None:
    arguments = ["simulate", "--out", str(tmp_path / "m"), "--seed", "1", *extra]
    assert CliRunner().invoke(market_group, arguments).exit_code == 2
