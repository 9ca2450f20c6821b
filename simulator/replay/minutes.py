"""The minute bars of a market directory as they were known at a clock."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from simulator.replay.book import Bars, bars_of
from trademl.errors import DataError

_NONE = "select '' as symbol, 0 as step where false"


def open_minutes(market: Path, clock: datetime) -> Bars:
    """Minute bars that are over at the clock; none where the market has no equities_minute.

    Args:
        market: The directory; the file's times are New York wall times of the bars' beginnings.
        clock: Aware.

    Returns:
        Bars whose steps are minutes since 1970 in UTC.

    Raises:
        DataError: The file cannot be read.
    """
    path = market / "equities_minute.parquet"
    if not path.exists():
        return bars_of(duckdb.connect(), _NONE, "volume")
    quoted = str(path).replace("'", "''")
    query = f"""
        select
            symbol, epoch(timezone('America/New_York', ts))::bigint // 60 as step,
            open, high, low, close, volume
        from read_parquet('{quoted}')
        where timezone('America/New_York', ts) <= $known
    """
    try:
        return bars_of(duckdb.connect(), query, "volume", {"known": clock - timedelta(minutes=1)})
    except duckdb.Error as error:
        message = " ".join(str(error).splitlines()[:1])
        raise DataError(f"{path} cannot be read: {message}") from error


def minute_number(moment: datetime) -> int:
    """Whole minutes since 1970."""
    return int(moment.timestamp() // 60)
