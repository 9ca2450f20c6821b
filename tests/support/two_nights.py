"""The law of two nights: a full refresh as of last night's clock, over all that landed since, is last night's version.

docs/specification/knowledge-times.md#the-law-of-two-nights. Raw tables hold what landed, not what was known.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from simulator.market.clocks import morning_after
from tests.support.lakes import (
    NOT_DATA,
    Table,
    build_models,
    datasets_of,
    differing_cells,
    edit,
    example_of,
    fetch,
    land_night,
    newest_snapshot,
    open_live,
    relations,
    year_market,
)
from trademl.errors import StaleData
from trademl.lake import versions as lake
from trademl.sessions import sessions_between

NIGHTS = 10
ASKED_LATER = {
    # Each night asks for the sessions of some more days to come.
    "reference.calendars": "session_date <= '{last_session}'",
    # What came late is told when it comes.
    "reference.late_bars": "known_at <= $t",
}
"""What only a later night asked for, or could tell, and is left out: the rows that count."""


@dataclass(frozen=True, slots=True)
class Night:
    """A night of a lake that grew.

    Attributes:
        clock: When it landed and built.
        snapshot: The newest snapshot after its build.
    """

    clock: datetime
    snapshot: int


@contextmanager
def open_night(data: Path, night: Night) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake as it was after a night's build."""
    live = lake.Version("night", "", 0, lake.lakehouse_dir(data) / "catalog.duckdb")
    statement = lake.attach_statement(data, live).removesuffix(")")
    with lake.connect() as connection:
        connection.execute("load ducklake")
        connection.execute(f"{statement}, snapshot_version {night.snapshot})")
        connection.execute("use lake")
        yield connection


def differences(
    then: duckdb.DuckDBPyConnection, refreshed: duckdb.DuckDBPyConnection, clock: datetime
) -> dict[str, object]:
    """The differing cells of each table, but raw ones; empty where the law holds."""
    found: dict[str, object] = {}
    for name in _tables(then):
        query = f"select * from {name} where {_counts(then, name)} order by all"
        one, other = fetch(then, query, clock), fetch(refreshed, query, clock)
        cells = differing_cells(one, other)
        if cells:
            found[name] = cells | {"example": example_of(one, other, Table(name, ""))}
    return found


def left_out(
    then: duckdb.DuckDBPyConnection, refreshed: duckdb.DuckDBPyConnection, clock: datetime
) -> dict[str, int]:
    """Rows of each table of the refreshed lake that are not compared, and what landed since in raw ones."""
    counts = {}
    for name in relations(refreshed):
        if name.startswith("raw."):
            condition = "ingested_at > $t"
        elif name in ASKED_LATER:
            condition = f"not ({_counts(then, name)})"
        else:
            continue
        query = f"select count(*) as rows from {name} where {condition}"
        counts[name] = fetch(refreshed, query, clock)["rows"][0].as_py()
    return {name: rows for name, rows in counts.items() if rows}


def _tables(lake_then: duckdb.DuckDBPyConnection) -> list[str]:
    names = relations(lake_then)
    return [name for name in names if not name.startswith("raw.") and name not in NOT_DATA]


def _counts(then: duckdb.DuckDBPyConnection, table: str) -> str:
    """The condition that a row of a table is one that the night then had asked for."""
    last = then.execute("select max(session_date) from reference.calendars").fetchone()
    assert last is not None
    return ASKED_LATER.get(table, "true").format(last_session=last[0])


def grow(folder: Path, nights: int = NIGHTS) -> None:
    """Lands and builds night after night what a vendor told then; ``folder/data`` is the lake."""
    script = Script.of(year_market())
    snapshots = []
    for number, clock in enumerate(script.clocks[:nights]):
        market = script.told(number, folder / "market")
        if number == OUTAGE:
            for _, dataset in datasets_of(market):
                with suppress(StaleData):
                    land_night(market, folder / "data", clock, only=(dataset,))
        else:
            land_night(market, folder / "data", clock)
        build_models(folder / "data", clock)
        with open_live(folder / "data") as grown_lake:
            snapshots.append(newest_snapshot(grown_lake))
        shutil.rmtree(market)
    (folder / "nights.json").write_text(json.dumps(snapshots))


def grown(folder: Path) -> list[Night]:
    """The nights of a lake that ``grow`` made."""
    snapshots = json.loads((folder / "nights.json").read_text())
    clocks = Script.of(year_market()).clocks[: len(snapshots)]
    return [Night(clock, snapshot) for clock, snapshot in zip(clocks, snapshots, strict=True)]


OUTAGE, RECOVERED = 6, 8
"""The market's own outage: the nights on which the newest session has no bars, and has them at last."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the vendor tells wrong, late, or not at all, night by night.

    Attributes:
        market: What is true but for the script.
        days: The session before each night.
        names: Stocks with bars from the first day to the last that nothing else happens to in the
            last weeks, one per line of the script.
        recycled: A ticker that its company left long ago.
    """

    market: Path
    days: tuple[date, ...]
    names: tuple[str, ...]
    recycled: str

    @classmethod
    def of(cls, market: Path) -> "Script":
        """The script on a simulated market."""
        path = market / "equities_daily.parquet"
        last = duckdb.execute(f"select max(date) from '{path}'").fetchone()
        assert last is not None
        sessions = sessions_between(date(2021, 11, 1), last[0])
        planted = [
            row["symbol"]
            for row in json.loads((market / "defects.json").read_text())
            if row["session_date"] >= "2021-11-01"
        ]
        names = duckdb.execute(
            f"""select symbol from '{path}'
            where not list_contains($planted, symbol) group by symbol
            having min(date) = (select min(date) from '{path}') and max(date) = $last
            order by symbol""",
            {"planted": planted, "last": last[0]},
        ).fetchall()
        old = duckdb.execute(f"select old_symbol from '{market}/renames.parquet'").fetchone()
        assert old is not None
        return cls(
            market,
            tuple(session.day for session in sessions[-NIGHTS:]),
            tuple(name for (name,) in names)[:8],
            old[0],
        )

    @property
    def clocks(self) -> list[datetime]:
        """The clock of each night."""
        return [morning_after(day) for day in self.days]

    def told(self, night: int, target: Path) -> Path:
        """The market as the vendor tells it on a night."""
        shutil.copytree(self.market, target)
        edit(target, "equities_daily", self._bars(night))
        edit(target, "splits", self._splits(night))
        edit(target, "renames", self._renames(night))
        edit(target, "listings", self._listings(night))
        return target

    def _bars(self, night: int) -> str:
        late, split, moved, _, corrected, renamed, unheard, gone = self.names
        days = self.days
        halved = f"(symbol = '{split}' and date >= '{days[3]}') or (symbol = '{moved}' and date >= '{days[4]}')"
        prices = ", ".join(
            f"{name} * case when {halved} then 0.5 else 1 end as {name}"
            for name in ("open", "high", "low")
        )
        wrong = f"symbol = '{corrected}' and date = '{days[5]}' and {night} < 8"
        hidden = [f"(symbol = '{gone}' and date > '{days[3]}')"]
        if night < 4:
            hidden.append(f"(symbol = '{late}' and date = '{days[2]}')")
        return f"""
            with told as (
                select * replace (
                    {prices},
                    close * case when {halved} then 0.5 when {wrong} then 0.999 else 1 end as close,
                    case
                        when symbol = '{renamed}' and date >= '{days[5]}' then 'ONTIME'
                        when symbol = '{unheard}' and date >= '{days[4]}' then 'UNHEARD'
                        else symbol
                    end as symbol
                ) from this where not ({" or ".join(hidden)})
            )
            from told
            union all by name
            select * replace ('{self.recycled}' as symbol) from told
            where symbol = '{late}' and date >= '{days[4]}'
            order by symbol, date"""

    def _splits(self, night: int) -> str:
        _, split, moved, withdrawn, *_ = self.names
        days = self.days
        lines: list[tuple[str, date, float]] = []
        if night >= 6:
            lines.append((split, days[3], 2.0))
        if night >= 3:
            lines.append((moved, days[4] if night >= 7 else days[5], 2.0))
        if 4 <= night < 7:
            lines.append((withdrawn, days[3], 3.0))
        rows = "".join(
            f" union all by name select '{symbol}' as symbol, date '{day}' as ex_date, {ratio} as ratio, "
            f"timestamptz '{self.days[0]} 00:00:00Z' as published_at"
            for symbol, day, ratio in lines
        )
        return f"from this{rows}"

    def _renames(self, night: int) -> str:
        *_, renamed, unheard, _ = self.names
        lines = [(renamed, "ONTIME", self.days[5])]
        if night >= 8:
            lines.append((unheard, "UNHEARD", self.days[4]))
        rows = "".join(
            f" union all by name select '{old}' as old_symbol, '{new}' as new_symbol, "
            f"date '{day}' as effective_date"
            for old, new, day in lines
        )
        return f"from this{rows}"

    def _listings(self, night: int) -> str:
        *_, renamed, unheard, gone = self.names
        is_gone = f"symbol = '{gone}' and {night} >= 7"
        is_back = f"symbol = '{self.recycled}' and {night} >= 4"
        return f"""
            select * replace (
                case when {is_gone} then date '{self.days[3]}' when {is_back} then null else last_bar_date end
                as last_bar_date
            ) from this
            union all by name
            select * replace ('ONTIME' as symbol, date '{self.days[5]}' as first_bar_date) from this
            where symbol = '{renamed}'
            union all by name
            select * replace ('UNHEARD' as symbol, date '{self.days[4]}' as first_bar_date) from this
            where symbol = '{unheard}'"""
