"""The law of the lake: what a build says about t is what a build at t said, bit for bit.

docs/specification/knowledge-times.md#the-law-of-truncation. Bars and events are landed once, so that every row is a first publication:
a later version of a row is known only from its landing on and is looked at in test_lake_increment.
What a symbol's vendor says of it is known from its landing on, so it is landed on earlier days too.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.market.clocks import market_clock
from tests.support.cache import made_once
from tests.support.lakes import (
    POINT_IN_TIME,
    assert_same,
    build_models,
    clean_symbols,
    edit,
    eventful_market,
    land_night,
    open_live,
    share_raw,
)

MOMENTS = {
    "the evening before a split's ex-date": datetime(2021, 12, 1, 21, 30, tzinfo=UTC),
    "a half day, 20 minutes after its close": datetime(2021, 11, 26, 18, 20, tzinfo=UTC),
    "four sessions after a delisting": datetime(2021, 12, 13, 13, tzinfo=UTC),
}


METADATA_NIGHTS = (
    datetime(2021, 8, 2, 13, tzinfo=UTC),
    datetime(2021, 10, 1, 13, tzinfo=UTC),
    datetime(2021, 12, 10, 13, tzinfo=UTC),
)
"""Two before every t, between which a company goes; one between two of them."""


def land_all(market, data):
    for night in METADATA_NIGHTS:
        land_night(market, data, night, only=("assets", "crypto_filters"))
    land_night(market, data, market_clock(market))


@pytest.fixture(scope="session")
def market():
    return eventful_market()


@pytest.fixture(scope="session")
def full():
    """Everything landed, and built on the last morning; nobody may change it."""
    return made_once("truncation", make_full)


def make_full(data: Path) -> None:
    land_all(eventful_market(), data)
    build_models(data, market_clock(eventful_market()))


@pytest.mark.parametrize("t", MOMENTS.values(), ids=MOMENTS)
def test_a_build_as_of_t_equals_the_full_build_cut_at_t(full, t, tmp_path):
    earlier = build_models(share_raw(full, tmp_path / "data"), t)
    with open_live(full) as everything, open_live(earlier) as known:
        assert_same(everything, known, POINT_IN_TIME, t)
        later = "greatest(valid_from_at, valid_to_at) > $t"
        query = f"select count(*) from reference.symbol_metadata where {later}"
        assert known.execute(query, {"t": t}).fetchone() == (0,)


def test_periods_of_symbol_metadata_end_before_and_after_t(full):
    """Else its comparison would prove little (ADR 9)."""
    with open_live(full) as everything:
        for t in MOMENTS.values():
            closed, open_then = everything.execute(
                "select count(*) filter (valid_to_at <= $t), count(*) filter (valid_to_at > $t) "
                "from reference.symbol_metadata where valid_from_at <= $t",
                {"t": t},
            ).fetchone()
            assert closed > 0, t
            assert open_then > 0, t


def test_the_future_does_not_reach_back(full, market, tmp_path):
    """Other prices, events, companies and announcements after t change nothing known by t."""
    t = datetime(2021, 10, 19, 13, tzinfo=UTC)
    other = perturbed(market, tmp_path / "market", t)
    data = tmp_path / "data"
    land_all(other, data)
    build_models(data, market_clock(other))
    with open_live(full) as true, open_live(data) as changed:
        assert_same(true, changed, POINT_IN_TIME, t)
        ahead = "select count(*) from curated.equities_ohlcv_adj where session_date > $t::date"
        differs = f"{ahead} and close < 10000"
        assert (
            changed.execute(differs, {"t": t}).fetchone()
            != true.execute(differs, {"t": t}).fetchone()
        ), "the perturbation did not arrive"


def perturbed(market: Path, target: Path, t: datetime) -> Path:
    """The same market up to ``t`` and another one after it."""
    shutil.copytree(market, target)
    leaver, newcomer = clean_symbols(market)[:2]
    day = t.date()
    prices = ", ".join(f"{name} * 1e5 as {name}" for name in ("open", "high", "low", "close"))
    edit(
        target,
        "equities_daily",
        f"""from this where date < '{day}' and symbol <> '{leaver}'
        union all by name from this where date < '2021-12-03' and symbol = '{leaver}'
        union all by name
        select * replace ({prices}, volume // 3 as volume) from this
        where date >= '{day}' and symbol <> '{leaver}'""",
    )
    edit(
        target,
        "equities_daily_corrections",
        "from this where false",
    )
    edit(
        target,
        "splits",
        f"""from this where ex_date < '{day}'
        union all by name
        select symbol, date '{day}' as ex_date, 5.0 as ratio
        from (select distinct symbol from '{market}/equities_daily.parquet')""",
    )
    edit(
        target,
        "dividends",
        f"""from this where ex_date < '{day}'
        union all by name
        select symbol, date '{day}' + 1 as ex_date, 7.0 as cash
        from (select distinct symbol from '{market}/equities_daily.parquet')""",
    )
    edit(
        target,
        "earnings_dates",
        f"""from this where announced_at <= timestamptz '{t}'
        union all by name
        select symbol, date '{day}' + 2 as earnings_date, timestamptz '{t}' + interval 1 day
        as announced_at from (select distinct symbol from '{market}/equities_daily.parquet')""",
    )
    edit(
        target,
        "listings",
        f"""select * replace (
            case when symbol = '{leaver}' then date '2021-12-02' else last_bar_date end
            as last_bar_date
        ) from this""",
    )
    edit(
        target,
        "renames",
        f"""from this union all by name
        select '{newcomer}' as old_symbol, 'NEWER' as new_symbol, date '{day}' + 3 as effective_date""",
    )
    edit(
        target,
        "crypto_daily",
        f"""from this where date < '{day}'
        union all by name
        select * replace ({prices}) from this where date >= '{day}'""",
    )
    return target
