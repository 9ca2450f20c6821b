"""Small market directories and landed rows, for the tests of landing and replay."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from trademl.sessions import sessions_between

FIRST, LAST = date(2020, 2, 24), date(2020, 3, 20)
"""Twenty sessions across the change to summer time on 2020-03-08."""
MORNING_AFTER = datetime(2020, 3, 21, 13, tzinfo=UTC)
SYMBOLS = ("AAA", "BBB", "BRK.B")
COINS = ("BTCUSDT", "ETHUSDT")


def trading_days() -> list[date]:
    return [session.day for session in sessions_between(FIRST, LAST)]


def equity_rows() -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "date": day,
            "open": 10.0 * place + row / 8,
            "high": 10.0 * place + row / 8 + 1.1,
            "low": 10.0 * place + row / 8 - 0.7,
            "close": 10.0 * place + row / 8 + 0.3,
            "volume": 1000 * place + row,
        }
        for place, symbol in enumerate(SYMBOLS, start=1)
        for row, day in enumerate(trading_days())
    ]


def crypto_rows() -> list[dict[str, Any]]:
    days = [date.fromordinal(number) for number in range(FIRST.toordinal(), LAST.toordinal() + 3)]
    return [
        {
            "symbol": symbol,
            "date": day,
            "open": 100.25 * place + row,
            "high": 103.5 * place + row,
            "low": 99.125 * place + row,
            "close": 101.7 * place + row,
            "quote_volume": 5000.0 * place + row / 3,
        }
        for place, symbol in enumerate(COINS, start=1)
        for row, day in enumerate(days)
    ]


def write(market: Path, name: str, rows: list[dict[str, Any]]) -> None:
    market.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), market / f"{name}.parquet")


def small_market(market: Path) -> Path:
    """Three equities, two coins, a split, a dividend, listings, membership."""
    write(market, "equities_daily", equity_rows())
    write(market, "crypto_daily", crypto_rows())
    write(
        market,
        "splits",
        [
            {"symbol": "AAA", "ex_date": date(2020, 3, 5), "ratio": 1.5},
            {"symbol": "BBB", "ex_date": date(2020, 3, 6), "ratio": 0.2},
        ],
    )
    write(market, "dividends", [{"symbol": "BRK.B", "ex_date": date(2020, 3, 10), "cash": 0.31}])
    write(market, "listings", [listing(symbol) for symbol in SYMBOLS])
    write(
        market,
        "index_membership",
        [{"index_name": "SP500", "symbol": "AAA", "start_date": FIRST, "end_date": None}],
    )
    return market


def believable_market(market: Path) -> Path:
    """The small market without the reverse split, which its prices deny."""
    small_market(market)
    write(market, "splits", [{"symbol": "AAA", "ex_date": date(2020, 3, 5), "ratio": 1.5}])
    return market


def listing(symbol: str, last_bar_date: date | None = None) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "name": f"{symbol} Corp",
        "exchange": "NYSE",
        "asset_type": "common_stock",
        "sector": "Energy",
        "industry": "Oil",
        "first_bar_date": FIRST,
        "last_bar_date": last_bar_date,
        "ipo_date": FIRST,
    }


def landed_files(data_dir: Path, endpoint: str) -> list[Path]:
    return sorted((data_dir / "raw" / endpoint).glob("ingest_date=*/*.parquet"))


def landed_rows(data_dir: Path, endpoint: str, query: str) -> list[tuple[Any, ...]]:
    """The answer of ``query`` about ``landed``, all files of an endpoint."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    files = [str(path) for path in landed_files(data_dir, endpoint)]
    con.execute(f"create view landed as from read_parquet({files}, hive_partitioning = false)")
    return con.execute(query).fetchall()


def leftovers(data_dir: Path) -> list[str]:
    """What is visible under raw/ beside the staging folder's lock and the records of fetches."""
    found = (data_dir / "raw").rglob("*")
    records = data_dir / "raw/landing/fetches"
    return sorted(
        path.name
        for path in found
        if path.is_file() and path.name != "lock" and not path.is_relative_to(records)
    )


def fetch_records(data_dir: Path) -> list[dict[str, str]]:
    """What is recorded of fetches that landed no file, oldest first."""
    footers = map(pq.read_metadata, landed_files(data_dir, "landing/fetches"))
    return [
        {key.decode().removeprefix("trademl_"): value.decode() for key, value in pairs.items()}
        for pairs in (footer.metadata for footer in footers)
    ]
