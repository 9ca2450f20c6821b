"""The option quotes of a market directory as they were known at a clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from trademl.errors import DataError

_SNAPSHOT = """
    with quotes as (
        select
            underlier, expiry, strike, cp_flag, bid, ask, bid_size, ask_size, ts::date as day,
            -- A quote without a time of day is the one at the close.
            timezone(
                'America/New_York', if(ts = ts::date, ts + interval 16 hour, ts)
            ) as quoted_at
        from read_parquet('{path}')
    )
    select underlier, expiry, strike, cp_flag, bid, ask, bid_size, ask_size, quoted_at
    from quotes
    where quoted_at <= $clock
    qualify day = max(day) over (partition by underlier) and row_number() over (
        partition by underlier, expiry, strike, cp_flag order by quoted_at desc
    ) = 1
    order by underlier, expiry, cp_flag, strike
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """The last quote of a contract on the last day on which its underlying's options were quoted.

    Attributes:
        underlier: Symbol of the share.
        expiry: Last day of the contract.
        strike: In USD.
        cp_flag: ``C`` or ``P``.
        bid: In USD, none where nobody bids.
        ask: In USD, none where nobody offers.
        bid_size: Contracts.
        ask_size: Contracts.
        quoted_at: UTC.
    """

    underlier: str
    expiry: date
    strike: float
    cp_flag: str
    bid: float | None
    ask: float | None
    bid_size: float | None
    ask_size: float | None
    quoted_at: datetime

    @property
    def occ(self) -> str:
        """The contract's symbol, e.g. ``ZQXA260619C00045000``; the root has no dot."""
        root = "".join(letter for letter in self.underlier if letter.isalnum())
        return f"{root}{self.expiry:%y%m%d}{self.cp_flag}{round(self.strike * 1000):08d}"


def open_options(market: Path, clock: datetime) -> dict[str, list[Quote]]:
    """The chains by underlying; none where the market has no options_quotes.

    Args:
        market: The directory; the file's times are New York wall times.
        clock: Aware; later quotes are not told.

    Raises:
        DataError: The file cannot be read.
    """
    path = market / "options_quotes.parquet"
    if not path.exists():
        return {}
    chains: dict[str, list[Quote]] = {}
    for quote in _quotes(path, clock):
        chains.setdefault(quote.underlier, []).append(quote)
    return chains


def _quotes(path: Path, clock: datetime) -> Iterator[Quote]:
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    query = _SNAPSHOT.format(path=str(path).replace("'", "''"))
    try:
        rows = con.execute(query, {"clock": clock}).to_arrow_table().to_pylist()
    except duckdb.Error as error:
        message = " ".join(str(error).splitlines()[:1])
        raise DataError(f"{path} cannot be read: {message}") from error
    return (Quote(**row) for row in rows)
