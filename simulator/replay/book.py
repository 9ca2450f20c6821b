"""A point-in-time view of a market directory: nothing that became known after the clock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trademl.errors import DataError
from trademl.sessions import sessions_between

NEW_YORK = ZoneInfo("America/New_York")
_PUBLICATION = timedelta(minutes=15)
_OPENING, _CLOSING = time(9, 30), time(16)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars sorted by symbol and time.

    Attributes:
        symbols: Every symbol with at least one bar, ascending.
        bounds: First row of each symbol, and the number of rows at the end.
        days: Days since 1970 per row; minutes since 1970 where the bars are of minutes.
        columns: Open, high, low, close and the measure of volume.
    """

    symbols: list[str]
    bounds: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[Any]]

    def rows(self, symbol: str, first: int, last: int) -> tuple[int, int]:
        """The range of rows of a symbol between two days (or minutes), both inclusive."""
        place = np.searchsorted(self.symbols, symbol)
        if place == len(self.symbols) or self.symbols[place] != symbol:
            return 0, 0
        low, high = self.bounds[place], self.bounds[place + 1]
        inside = np.searchsorted(self.days[low:high], [first, last + 1])
        return int(low + inside[0]), int(low + inside[1])

    def complete(self, low: int, high: int) -> list[int]:
        """Of a range of rows those that lack no value: what a vendor that writes no null has."""
        is_complete = np.ones(high - low, bool)
        for values in self.columns.values():
            is_complete &= np.isfinite(values[low:high])
        found: list[int] = (low + np.flatnonzero(is_complete)).tolist()
        return found

    def on(self, day: int) -> npt.NDArray[np.int64]:
        """The rows of one day, in the order of the symbols."""
        return np.flatnonzero(self.days == day)

    def symbol_of(self, row: int) -> str:
        """The symbol of a row."""
        return self.symbols[int(np.searchsorted(self.bounds, row, side="right")) - 1]

    @property
    def newest(self) -> int | None:
        """The last day of any symbol."""
        return int(self.days.max()) if len(self.days) else None

    def spans(self) -> Iterator[tuple[str, int, int]]:
        """Per symbol its first and last day."""
        for place, symbol in enumerate(self.symbols):
            low, high = self.bounds[place], self.bounds[place + 1]
            yield symbol, int(self.days[low]), int(self.days[high - 1])


@dataclass(frozen=True, slots=True)
class Book:
    """All that a market directory says by a clock.

    Attributes:
        clock: The time of the answer.
        equities: Bars whose session is over and published.
        crypto: Bars of full UTC days, and of the day that has begun.
        listings: Rows of listings by symbol, of names that have begun to trade.
        splits: Rows ``symbol, ex_date, ratio`` known by the clock.
        dividends: Rows ``symbol, ex_date, cash`` known by the clock.
        renames: Rows ``old_symbol, new_symbol, effective_date`` that have happened.
    """

    clock: datetime
    equities: Bars
    crypto: Bars
    listings: dict[str, dict[str, Any]]
    splits: list[dict[str, Any]]
    dividends: list[dict[str, Any]]
    renames: list[dict[str, Any]]


def open_book(market: Path, clock: datetime) -> Book:
    """Reads a market directory; files that are absent give nothing.

    Args:
        market: The directory.
        clock: Aware; nothing that became known later is in the book.

    Raises:
        DataError: A file cannot be read, or lacks a column.
    """
    try:
        return _open_book(market, clock)
    except duckdb.Error as error:
        message = " ".join(str(error).splitlines()[:1])
        raise DataError(f"market {market} cannot be read: {message}") from error
    except KeyError as error:
        raise DataError(f"market {market} cannot be read: a file lacks column {error}") from error


def _open_book(market: Path, clock: datetime) -> Book:
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    equities = _equities(con, market, clock)
    return Book(
        clock,
        equities,
        _crypto(con, market, clock),
        _listings(con, market, clock),
        _dated(con, market / "splits.parquet", "ex_date", clock),
        _dated(con, market / "dividends.parquet", "ex_date", clock),
        _dated(con, market / "renames.parquet", "effective_date", clock),
    )


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """The date that lies so many days after 1970-01-01."""
    return _EPOCH + timedelta(days=number)


def new_york(day: date, moment: time) -> datetime:
    """A New York wall time as UTC."""
    return datetime.combine(day, moment, NEW_YORK).astimezone(UTC)


def _equities(con: duckdb.DuckDBPyConnection, market: Path, clock: datetime) -> Bars:
    path = market / "equities_daily.parquet"
    if not path.exists():
        return _bars(con, "select '' as symbol, date '1970-01-01' as date where false", "volume")
    con.register("publication", _publication(con, path))
    rows = f"select symbol, date, open, high, low, close, volume from {_file(path)}"
    corrections = market / "equities_daily_corrections.parquet"
    if corrections.exists():
        rows = f"""
            select * exclude (published_at) from (
                select *, null::timestamptz as published_at from ({rows})
                union all by name
                select symbol, date, open, high, low, close, volume, published_at
                from {_file(corrections)} where published_at <= $clock
            ) qualify rank() over (
                partition by symbol, date order by published_at desc nulls last
            ) = 1
        """
    outages = market / "outages.parquet"
    hidden = (
        f"select date from {_file(outages)} where recovered_at > $clock" if outages.exists() else ""
    )
    return _bars(
        con,
        f"""
        select * from ({rows})
        where date in (select date from publication where published_at <= $clock)
        {f"and date not in ({hidden})" if hidden else ""}
        """,
        "volume",
        clock,
    )


def _publication(con: duckdb.DuckDBPyConnection, path: Path) -> pa.Table:
    """Per day with bars, when they are published; days without a session count as usual ones."""
    days = [day for (day,) in con.execute(f"select distinct date from {_file(path)}").fetchall()]
    sessions = sessions_between(min(days), max(days)) if days else []
    closing = {session.day: session.close_at for session in sessions}
    times = [closing.get(day, new_york(day, _CLOSING)) + _PUBLICATION for day in days]
    return pa.table(
        {"date": pa.array(days, pa.date32()), "published_at": pa.array(times, _timestamp())}
    )


def _timestamp() -> pa.DataType:
    return pa.timestamp("us", tz="UTC")


def _crypto(con: duckdb.DuckDBPyConnection, market: Path, clock: datetime) -> Bars:
    """Full days, and of the day in progress what is known when it begins: its opening price."""
    path = market / "crypto_daily.parquet"
    if not path.exists():
        return _bars(
            con, "select '' as symbol, date '1970-01-01' as date where false", "quote_volume"
        )
    today = f"date '{clock.astimezone(UTC).date()}'"
    return _bars(
        con,
        f"""
        select symbol, date, open, high, low, close, quote_volume from {_file(path)}
        where date < {today}
        union all by name
        select symbol, date, open, open as high, open as low, open as close, 0.0 as quote_volume
        from {_file(path)} where date = {today}
        """,
        "quote_volume",
    )


def _bars(
    con: duckdb.DuckDBPyConnection, query: str, volume: str, clock: datetime | None = None
) -> Bars:
    by_day = f"select *, date - date '1970-01-01' as step from ({query})"
    return bars_of(con, by_day, volume, {"clock": clock} if clock else {})


def bars_of(
    con: duckdb.DuckDBPyConnection,
    query: str,
    volume: str,
    values: Mapping[str, datetime] | None = None,
) -> Bars:
    """Reads bars from a query.

    Args:
        con: Any connection.
        query: Gives symbol first, then the day or step; prices, volume and step (days or minutes
            since 1970).
        volume: Name of the measure of volume.
        values: The query's parameters.
    """
    ordered = f"select * from ({query}) order by all"
    table = con.execute(ordered, dict(values or {})).to_arrow_table()
    symbols = table.column("symbol").combine_chunks().dictionary_encode()
    codes = symbols.indices.to_numpy(zero_copy_only=False)
    names = symbols.dictionary.to_pylist()
    measures = ["open", "high", "low", "close", volume] if names else []
    return Bars(
        names,
        np.searchsorted(codes, np.arange(len(names) + 1)).astype(np.int64),
        table.column("step").to_numpy().astype(np.int64),
        {name: table.column(name).to_numpy() for name in measures},
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    """All rows of a market file; none where it is absent.

    Raises:
        DataError: It cannot be read.
    """
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    try:
        return _rows(con, path)
    except duckdb.Error as error:
        message = " ".join(str(error).splitlines()[:1])
        raise DataError(f"{path} cannot be read: {message}") from error


def _listings(
    con: duckdb.DuckDBPyConnection, market: Path, clock: datetime
) -> dict[str, dict[str, Any]]:
    rows = _rows(con, market / "listings.parquet")
    today = clock.astimezone(NEW_YORK).date()
    listed_rows = (row for row in rows if _first_day(row) <= today)
    return {row["symbol"]: row for row in listed_rows}


def _first_day(row: dict[str, Any]) -> date:
    first: date = row.get("first_bar_date") or row.get("ipo_date") or date.min
    return first


def _dated(
    con: duckdb.DuckDBPyConnection, path: Path, day: str, clock: datetime
) -> list[dict[str, Any]]:
    """Events known by the clock: from their publication on, else from their day's opening."""
    rows = _rows(con, path)
    return [row for row in rows if _known_at(row, day) <= clock]


def _known_at(row: dict[str, Any], day: str) -> datetime:
    published: datetime | None = row.get("published_at")
    return published or new_york(row[day], _OPENING)


def _rows(con: duckdb.DuckDBPyConnection, path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = con.execute(f"from {_file(path)}").to_arrow_table().to_pylist()
    return rows


def _file(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"read_parquet('{quoted}')"
