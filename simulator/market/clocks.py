"""The nightly clocks of a market directory, and the exchange sessions behind them."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trademl.errors import ConfigError, DataError

MORNING = time(13, tzinfo=UTC)


def new_york_calendar(start: date, end: date) -> Any:
    """The XNYS calendar of a closed span of days.

    Args:
        start: First day covered.
        end: Last day covered.

    Raises:
        ConfigError: No calendar reaches that far.
    """
    try:
        return exchange_calendars.get_calendar("XNYS", start=start, end=end)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"no XNYS calendar for {start}..{end}: {reason}") from error


def morning_after(day: date) -> datetime:
    """13:00 UTC on the calendar day after ``day``, when its daily bars are published."""
    return datetime.combine(day + timedelta(days=1), MORNING)


def market_clock(market: Path) -> datetime:
    """The clock of a market's last night: the morning after its last session.

    Args:
        market: A market directory.

    Returns:
        13:00 UTC on the day after the last session of equities_daily, or after the last day of
        crypto_daily where there are no equities.

    Raises:
        DataError: The folder has neither table, or it cannot be read.
    """
    return previous_clock(market, sessions_back=0)


def previous_clock(market: Path, sessions_back: int = 2) -> datetime:
    """The clock of an earlier night, counted in the sessions that the market has bars for.

    Args:
        market: A market directory.
        sessions_back: How many sessions before the last one; 0 is the last night.

    Raises:
        ConfigError: ``sessions_back`` is negative.
        DataError: The market has fewer sessions, or cannot be read.
    """
    if sessions_back < 0:
        raise ConfigError(f"sessions_back is {sessions_back}; give 0 (the last night) or more")
    days = _traded_days(market)
    if sessions_back >= len(days):
        raise DataError(
            f"market {market} has {len(days)} sessions, {sessions_back} before the last was asked"
        )
    return morning_after(days[-1 - sessions_back])


def _traded_days(market: Path) -> list[date]:
    """Session dates with bars, ascending; stray weekend and holiday bars do not count."""
    equities, crypto = market / "equities_daily.parquet", market / "crypto_daily.parquet"
    days = _distinct_dates(equities) if equities.exists() else []
    if days:
        sessions = new_york_calendar(days[0] - timedelta(days=7), days[-1] + timedelta(days=7))
        open_days = set(sessions.sessions.to_numpy().astype("datetime64[D]").astype(object))
        return [day for day in days if day in open_days]
    days = _distinct_dates(crypto) if crypto.exists() else []
    if not days:
        raise DataError(
            f"market {market} has no bars in equities_daily.parquet or crypto_daily.parquet; "
            "make one with `trademl market simulate --out DIR --seed N`"
        )
    return days


def _distinct_dates(path: Path) -> list[date]:
    try:
        if "date" not in pq.read_schema(path).names:
            raise DataError(f"{path} has no column 'date'")
        column = pq.read_table(path, columns=["date"]).column("date")
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    values = pc.unique(column).to_numpy(zero_copy_only=False)
    days: list[date] = np.sort(values.astype("datetime64[D]")).astype(object).tolist()
    return days
