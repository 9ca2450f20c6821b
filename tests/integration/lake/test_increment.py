"""Nights: what increments add up to is what a full refresh gives, and raw only ever grows."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page
from ingest.vendors.registry import ENDPOINTS
from simulator.market.clocks import market_clock, previous_clock
from tests.support.cache import copied, made_once
from tests.support.lakes import (
    AWAY,
    LATE_DELISTING,
    NO_TESTS,
    RENAMED_DELISTING,
    assert_whole_lakes_agree,
    build_models,
    clean_symbols,
    dbt,
    defect,
    edit,
    eventful_market,
    land_night,
    land_second_vendors,
    newest_snapshot,
    open_live,
    open_newest,
    publish,
    share_raw,
)
from tests.support.two_nights import differences
from trademl.clock import parse_clock
from trademl.errors import Unavailable
from trademl.lake.versions import list_versions, open_version

FIRST_NIGHT = datetime(2021, 5, 13, 13, tzinfo=UTC)
AFTER_RENAME = datetime(2021, 5, 18, 13, tzinfo=UTC)
AFTER_DELISTINGS = datetime(2021, 12, 13, 13, tzinfo=UTC)
COIN = "ETHUSDT"
BARS = ENDPOINTS["alpaca/bars_1d"]


@dataclass(frozen=True, slots=True)
class Nights:
    """A lake that grew night by night.

    Attributes:
        data: Its data directory.
        clocks: The clock of each build.
        snapshots: The newest snapshot after each build.
        raw: Hashes of the landed files after each landing.
    """

    data: Path
    clocks: tuple[datetime, ...]
    snapshots: tuple[int, ...]
    raw: tuple[dict[str, str], ...]


@pytest.fixture(scope="session")
def market() -> Path:
    return eventful_market()


@pytest.fixture(scope="session")
def nights():
    """Six landings and six builds, one of them after a build that stopped half way."""
    folder = made_once("nights", make_nights)
    facts = json.loads((folder / "nights.json").read_text())
    return Nights(
        data=folder / "data",
        clocks=tuple(datetime.fromisoformat(clock) for clock in facts["clocks"]),
        snapshots=tuple(facts["snapshots"]),
        raw=tuple(facts["raw"]),
    )


def make_nights(folder: Path) -> None:
    market, data = eventful_market(), folder / "data"
    before = less_known(market, folder / "before")
    clocks = (
        FIRST_NIGHT,
        FIRST_NIGHT + timedelta(hours=7),
        AFTER_RENAME,
        AFTER_DELISTINGS,
        previous_clock(market),
        market_clock(market),
    )
    snapshots, raw = [], []
    for number, clock in enumerate(clocks):
        absent = [late_symbol(market), COIN] if number == 0 else []
        land_night(before if clock <= AFTER_DELISTINGS else market, data, clock, without=absent)
        if number >= len(clocks) - 2:
            land_second_vendors(market, data, clock)
        if number == 1:
            fail(data, clock)
        raw.append(hashes(data))
        if clock == AFTER_DELISTINGS:
            half = dbt(data, clock, *NO_TESTS, selected="+equities_bars_asof")
            assert half.returncode == 0, half.stdout[-2000:]
        last_two = number >= len(clocks) - 2
        build_models(data, clock) if not last_two else publish(data, clock)
        with open_live(data) as lake:
            snapshots.append(newest_snapshot(lake))
    facts = {"clocks": [clock.isoformat() for clock in clocks], "snapshots": snapshots, "raw": raw}
    (folder / "nights.json").write_text(json.dumps(facts))


def fail(data: Path, clock: datetime) -> None:
    """A fetch that breaks off after its first page."""

    def pages() -> Iterator[Page]:
        yield Page(BARS.schema.empty_table(), "0" * 64, "uri", "hash")
        raise Unavailable("the vendor is down")

    day = clock.date()
    with suppress(Unavailable):
        land(data, Fetch(BARS, "equities_bars_1d", "hash", day, day, ("DOWN",)), pages(), clock)


def less_known(market: Path, target: Path) -> Path:
    """What its vendors said of the market before the last two nights.

    A delisting four months old is not marked yet, a company has another sector, another one is told
    to be a fund, and a date that was announced long ago is missing.
    """
    shutil.copytree(market, target)
    renamed, (retold, called_a_fund) = defect(market, "rename-1")[0], clean_symbols(market)[:2]
    edit(
        target,
        "listings",
        f"""select * replace (
            case when symbol <> '{renamed}' then last_bar_date end as last_bar_date,
            case when symbol = '{retold}' then 'Utilities' else sector end as sector,
            case when symbol = '{called_a_fund}' then 'ETF' else asset_type end as asset_type
        ) from this""",
    )
    edit(
        target,
        "earnings_dates",
        f"from this where not (symbol = '{retold}' and month(earnings_date) in (7, 8))",
    )
    return target


def late_symbol(market: Path) -> str:
    """A company that the first fetch of the first day does not ask for."""
    return clean_symbols(market)[-1]


def hashes(data: Path) -> dict[str, str]:
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (data / "raw").rglob("*.parquet")
    }


def test_increments_equal_a_full_refresh(nights, tmp_path):
    """Late corrections and splits, an outage, renames, delistings, backfills, half a build."""
    data = copied(nights.data, tmp_path / "data")
    refreshed = build_models(data, nights.clocks[-1], "--full-refresh")
    with open_newest(nights.data) as grown, open_live(refreshed) as fresh:
        assert_whole_lakes_agree(grown, fresh)


def test_what_happened_is_in_the_grown_lake(nights, market):
    """The comparison above would also hold for two lakes that both missed everything."""
    leaver, renamed = defect(market, "late_delisting-1")[0], defect(market, "rename_and_back-1")[0]
    late_split, split_day = defect(market, "late_split-2")
    corrected, corrected_day = defect(market, "late_correction-1")
    with open_newest(nights.data) as lake:

        def one(query, *given):
            return lake.execute(query, given).fetchone()

        found = lake.execute(
            "select symbol, last_session_date from reference.delistings where last_session_date > ? order by 2",
            [FIRST_NIGHT.date()],
        ).fetchall()
        assert found == [
            (defect(market, "rename-1")[0], RENAMED_DELISTING),
            (leaver, LATE_DELISTING),
        ]
        assert one(
            "select count(distinct security_id), count(*) from curated.equities_ohlcv_adj "
            "where symbol in (?, 'BACK') and session_date between ?::date - 30 and ?::date + 30",
            *(renamed, *AWAY),
        ) == (1, 57)
        assert one(
            "select split_ratio, ret between -0.3 and 0.3 from curated.equities_ohlcv_adj "
            "where symbol = ? and session_date = ?",
            *(late_split, split_day),
        ) == (3.0, True)
        assert one(
            "select known_at = ingested_at, ingested_at = ? from curated.equities_bars_asof "
            "where symbol = ? and session_date = ?",
            *(nights.clocks[-1], corrected, corrected_day),
        ) == (True, True)
        assert one(
            "select list(distinct share_class), bool_or(is_eligible) from reference.universe "
            "where symbol = ?",
            clean_symbols(market)[1],
        ) == (["common_stock"], True)
        assert one(
            "select list(distinct verdict), count(*) > 20, bool_or(symbol = ? and ex_date = ?) "
            "from reference.corp_action_opinions where vendor = 'massive'",
            *(late_split, split_day),
        ) == (["AGREES"], True, True)


@pytest.mark.parametrize("table", ["equities_bars_asof", "equities_ohlcv_adj"])
def test_a_late_split_rebuilds_only_its_own_symbol(nights, market, table):
    """Rows older than the nightly look-back of two weeks are written again for that symbol alone."""
    symbol, ex_date = defect(market, "late_split-2")
    before, after = nights.snapshots[-2:]
    with open_live(nights.data) as lake:
        written = lake.execute(
            f"""
            select symbol, min(session_date) from (
                select * from ducklake_table_insertions('lake', 'curated', '{table}', {before + 1}, {after})
                union all
                select * from ducklake_table_deletions('lake', 'curated', '{table}', {before + 1}, {after})
            )
            where session_date < (select max(session_date) - 18 from curated.{table})
            group by symbol
            """
        ).fetchall()
    assert written == [(symbol, ex_date)]


def test_every_fetch_has_a_row_and_one_that_failed_covers_nothing(nights):
    with open_newest(nights.data) as lake:
        outcomes = lake.execute(
            "select outcome, count(*) > 0, bool_or(row_count > 0) from raw.raw_fetches group by 1 order by 1"
        ).fetchall()
        failed = lake.execute(
            "select vendor, endpoint, symbols, window_end_date, ingested_at, reason from raw.raw_fetches "
            "where outcome = 'failed'"
        ).fetchall()
    assert outcomes == [("answered", True, True), ("failed", True, False)]
    clock = nights.clocks[1]
    assert failed == [("alpaca", "bars_1d", "DOWN", clock.date(), clock, "Unavailable")]


def test_a_second_fetch_on_the_same_day_is_read(nights, market):
    first, second = nights.raw[:2]
    day = f"ingest_date={FIRST_NIGHT:%Y-%m-%d}"
    for endpoint, symbol, table in (
        ("alpaca/bars_1d", late_symbol(market), "raw_equities_bars"),
        ("binance/klines_1d", COIN, "raw_crypto_bars"),
    ):
        new = [Path(name) for name in second.keys() - first.keys() if endpoint in name]
        assert [name.parent.name for name in new] == [day]
        with open_live(nights.data) as lake:
            read = lake.execute(
                f"select distinct symbol from raw.{table} where ingest_id = ?", [new[0].stem]
            ).fetchall()
        assert read == [(symbol,)]


def test_raw_is_append_only(nights):
    for earlier, later in zip(nights.raw, nights.raw[1:], strict=False):
        assert earlier.items() <= later.items(), "a landed file changed or vanished"
    with open_live(nights.data) as lake:
        for table in ("raw_equities_bars", "raw_corp_actions", "raw_crypto_bars", "raw_fetches"):
            removed = lake.execute(
                "select count(*) from ducklake_table_deletions('lake', 'raw', ?, 0, ?)",
                [table, nights.snapshots[-1]],
            ).fetchone()
            assert removed == (0,), table


@pytest.fixture(scope="session")
def refreshed(nights, tmp_path_factory):
    """A full refresh as of the night before the last one, over everything that is landed."""
    data = share_raw(nights.data, tmp_path_factory.mktemp("refreshed") / "data")
    return build_models(data, nights.clocks[-2])


def test_a_full_refresh_as_of_last_night_is_what_it_published(nights, refreshed):
    """The law of two nights; ten of them are in test_two_nights."""
    then = nights.clocks[-2]
    (published,) = [
        version for version in list_versions(nights.data) if parse_clock(version.as_of) == then
    ]
    with open_version(nights.data, published) as version, open_live(refreshed) as now:
        assert differences(version, now, then) == {}


def test_the_older_version_of_a_bar_answers_an_older_question(nights, market, refreshed):
    """Everything is landed, but as of the night before the correction it is unknown."""
    symbol, day = defect(market, "late_correction-1")
    query = "select close from curated.equities_bars_asof where symbol = ? and session_date = ?"
    with open_live(refreshed) as asked_then, open_newest(nights.data) as now:
        versions = now.execute(
            "select close from raw.raw_equities_bars where symbol = ? and session_date = ? "
            "group by close order by min(ingested_at)",
            [symbol, day],
        ).fetchall()
        assert len(versions) == 2
        assert asked_then.execute(query, [symbol, day]).fetchone() == versions[0]
        assert now.execute(query, [symbol, day]).fetchone() == versions[1]


def test_a_build_with_nothing_new_changes_nothing(nights, tmp_path):
    again = build_models(copied(nights.data, tmp_path / "data"), nights.clocks[-1])
    with open_newest(nights.data) as before, open_live(again) as after:
        assert_whole_lakes_agree(before, after)
