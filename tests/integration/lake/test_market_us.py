"""The real market of 502 stocks and 18 years: prices that can be checked, dirt, bias, truncation.

Belongs to `make accept`: the market data folder must lie beside the checkout; the builds take minutes.
"""

from datetime import UTC, date, datetime

import pytest

from simulator.market.clocks import market_clock
from tests.support.lakes import (
    POINT_IN_TIME,
    assert_same,
    build_models,
    land_night,
    open_live,
    open_newest,
    share_raw,
)
from trademl.lake import versions as lake
from trademl.lake.build import build_lake

MARKET_DATA = lake.PROJECT_ROOT.parent / "shared" / "data"
MARKET = MARKET_DATA / "market_us"
NOT_REPRODUCIBLE = {"APA", "DISH", "PGR", "FCX", "FE", "INTC"}
"""Names whose published adjusted closes contradict the source's own events."""
LATE_TABLES = {"curated.crypto_ohlcv", "reference.delistings", "reference.symbol_metadata"}
MOMENTS = {
    "a crisis, in the evening": datetime(2008, 10, 10, 21, 30, tzinfo=UTC),
    "the morning after a 7:1 split": datetime(2014, 6, 10, 13, tzinfo=UTC),
    "a half day, 20 minutes after its close": datetime(2015, 11, 27, 18, 20, tzinfo=UTC),
    "a Sunday": datetime(2016, 2, 28, 13, tzinfo=UTC),
    "the evening of a broken holiday bar": datetime(2017, 4, 17, 21, 30, tzinfo=UTC),
}

pytestmark = [
    pytest.mark.accept,
    pytest.mark.market_data,
    pytest.mark.skipif(
        not MARKET.is_dir(), reason="the market data folder is not beside the checkout"
    ),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("market_us") / "data"
    land_night(MARKET, folder, market_clock(MARKET))
    build_lake(folder, market_clock(MARKET))
    return folder


@pytest.fixture(scope="module")
def newest(data):
    with open_newest(data) as connection:
        yield connection


def test_every_bar_is_landed_once(newest):
    rows, keys = newest.execute(
        "select count(*), count(distinct (symbol, session_date)) from raw.raw_equities_bars"
    ).fetchone()
    assert rows == keys == 2_025_362


def test_recomputed_adjusted_closes_are_the_published_ones(newest):
    """To 1e-3, both scaled to the raw close of the last day: ours run forward from the first."""
    newest.execute(
        f"create temp view expected as from '{MARKET_DATA}/oracle/expected_adj_close.parquet'"
    )
    difference = newest.execute(
        """
        select symbol, max(abs(ours / theirs - 1)) from (
            select
                bars.symbol,
                close_total_return / last(close_total_return) over whole as ours,
                adj_close / last(adj_close) over whole as theirs
            from curated.equities_ohlcv_adj as bars
            inner join expected on bars.symbol = expected.symbol and bars.session_date = expected.date
            window whole as (
                partition by bars.symbol order by bars.session_date
                rows between unbounded preceding and unbounded following
            )
        )
        group by symbol
        """
    ).fetchall()
    assert len(difference) == 502
    assert {name for name, off in difference if not off <= 1e-3} == NOT_REPRODUCIBLE


def test_the_documented_dirt_is_where_it_belongs(newest):
    counts = dict(
        newest.execute(
            """select reason, count(*) from quality.quarantine_bars
            where asset_class = 'equity' group by reason"""
        ).fetchall()
    )
    assert counts["LOW_ABOVE_PRICES"] + counts["HIGH_BELOW_PRICES"] == 36
    assert counts["NO_SESSION"] == 2
    # Two of the market's 90 rows without volume are the holiday's.
    assert counts["ZERO_VOLUME"] == 88
    suspects = newest.execute(
        """select symbol, ex_date, reason from quality.quarantine_corp_actions
        where (symbol, ex_date) in (('PNR', date '2004-06-09'), ('AAL', date '2013-12-09'))
        order by symbol"""
    ).fetchall()
    assert suspects == [
        ("AAL", date(2013, 12, 9), "RATIO_CONTRADICTS_PRICE"),
        ("PNR", date(2004, 6, 9), "SPLIT_SUSPECTED"),
    ]
    stopped = newest.execute(
        """select max(session_date) from curated.equities_ohlcv_adj where symbol = 'MMM'
        union all select last_session_date from reference.delistings where symbol = 'MMM'"""
    ).fetchall()
    assert stopped == [(date(2017, 12, 5),)] * 2


def test_the_universe_says_that_it_is_a_list_of_survivors(newest):
    rows = newest.execute(
        """select session_date, covered, members from quality.survivorship
        where session_date in ('2000-07-03', '2017-10-02') order by session_date"""
    ).fetchall()
    assert rows == [(date(2000, 7, 3), 227, 491), (date(2017, 10, 2), 489, 506)]


@pytest.mark.parametrize("t", MOMENTS.values(), ids=MOMENTS)
def test_a_build_as_of_t_equals_the_full_build_cut_at_t(data, t, tmp_path):
    """On real data: 0 differing cells."""
    earlier = build_models(share_raw(data, tmp_path / "data"), t)
    # The market has no coins before 2013, one delisting, in 2017, and present metadata only.
    late = [table for table in POINT_IN_TIME if table.name in LATE_TABLES]
    early = [table for table in POINT_IN_TIME if table not in late]
    with open_live(data) as everything, open_live(earlier) as known:
        assert_same(everything, known, early, t)
        assert_same(everything, known, late, t, must_have_rows=False)


def test_equities_alone_are_a_market(tmp_path):
    folder = tmp_path / "market"
    folder.mkdir()
    (folder / "equities_daily.parquet").symlink_to(MARKET / "equities_daily.parquet")
    data = tmp_path / "data"
    clock = market_clock(folder)
    land_night(folder, data, clock)
    build_lake(data, clock)
    with open_newest(data) as connection:
        rows = connection.execute(
            "select count(*), count(distinct symbol) from curated.equities_ohlcv_adj"
        ).fetchone()
        jumps = connection.execute(
            "select symbol, session_date from quality.quarantine_bars where reason = 'TOXIC_RETURN'"
        ).fetchall()
        splits = connection.execute(
            f"select symbol, ex_date from '{MARKET / 'splits.parquet'}' where ratio <= 0.1"
        ).fetchall()
    # Nothing tells this market of reverse splits: it takes the greatest for broken bars.
    assert len(jumps) == 5
    assert set(jumps) <= set(splits)
    assert rows == (2_025_362 - 36 - 2 - len(jumps), 502)
