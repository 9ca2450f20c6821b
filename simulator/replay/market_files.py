"""Files of a market directory that only one wire reads, and the days that it counts in."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.replay.book import NEW_YORK
from trademl.errors import DataError


def market_rows(market: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a market file, none where it is absent.

    Raises:
        DataError: The file cannot be read.
    """
    path = market / f"{name}.parquet"
    if not path.exists():
        return []
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        message = str(error).splitlines()[0]
        raise DataError(f"market {market} cannot be read: {name}: {message}") from error
    return rows


def new_york_day(clock: datetime) -> date:
    """The date in New York at a clock."""
    return clock.astimezone(NEW_YORK).date()


def day_or_none(text: str | None) -> date | None:
    """A date of a query, none where it is absent or no date."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
