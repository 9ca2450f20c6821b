"""Odd rows cost themselves only: the lake publishes, and whatever they do not touch is as it was."""

from datetime import date

import pytest

from ingest.landing import bookmarks
from ingest.vendors.registry import ENDPOINTS
from tests.support.lakes import (
    differing_cells,
    fetch,
    open_newest,
    two_nights,
    two_nights_published,
)
from tests.support.odd_rows import DAY, odd_night, odd_symbol

TABLES = (
    *("curated.equities_ohlcv_adj", "curated.crypto_ohlcv", "features.feat_equities_xs"),
    *("features.feat_selection", "labels.label_horizon", "reference.universe"),
    *("reference.corp_actions", "matrices.returns_matrix"),
)


@pytest.fixture(scope="module")
def odd():
    """The lake with a night of odd rows, and the known company that one is of."""
    return odd_night(), odd_symbol()


def test_odd_rows_are_in_quarantine_with_their_reason(odd):
    data, symbol = odd
    query = (
        "select symbol, session_date::varchar, reason from quality.quarantine_bars "
        "where verdict = 'rejected' and (symbol like 'ODD%' or symbol = ?) order by all"
    )
    day = DAY.isoformat()
    with open_newest(data) as lake:
        found = lake.execute(query, [symbol]).fetchall()
    assert found == sorted(
        [
            (symbol, day, "VOLUME_IMPLAUSIBLE"),
            ("ODDA", day, "PRICE_IMPLAUSIBLE"),
            ("ODDB", "0001-01-01", "DATE_TOO_EARLY"),
            ("ODDB", "2100-01-04", "DATE_IN_FUTURE"),
            ("ODDC", day, "CONFLICTING_ROWS"),
            ("ODDD", day, "PRICE_MISSING"),
            ("ODDE", day, "VOLUME_MISSING"),
            ("ODDF", day, "PRICE_IMPLAUSIBLE"),
            ("ODDUSDT", "0001-01-01", "DATE_TOO_EARLY"),
            ("ODDUSDT", day, "VOLUME_IMPLAUSIBLE"),
            ("ODD2USDT", day, "PRICE_MISSING"),
            ("ODD3USDT", day, "CONFLICTING_ROWS"),
        ]
    )


def test_no_odd_row_is_in_a_table_behind_and_none_is_green(odd):
    data, symbol = odd
    with open_newest(data) as lake:
        for table in ("curated.equities_ohlcv_adj", "matrices.returns_matrix"):
            of_odd = f"select count(*) from {table} where symbol like 'ODD%'"
            assert lake.execute(of_odd).fetchone() == (0,), table
        status = lake.execute(
            "select distinct status, qc_code from quality.partition_status where symbol = ? and dt = ?",
            ["ODDC", DAY],
        ).fetchall()
        at_day = (
            "select count(*) from curated.equities_ohlcv_adj where symbol = ? and session_date = ?"
        )
        assert lake.execute(at_day, [symbol, DAY]).fetchone() == (0,)
    assert status == [("RED", "CONFLICTING_ROWS")]


@pytest.mark.parametrize("table", TABLES)
def test_every_other_row_is_as_it_was(odd, table):
    """Cell for cell, but for the cross-sections that the company with an odd bar left that day."""
    data, symbol = odd
    columns = "* exclude (ret_rel)" if table == "labels.label_horizon" else "*"
    until = DAY if table == "features.feat_equities_xs" else date.max
    day = "ex_date" if table == "reference.corp_actions" else "session_date"
    query = (
        f"select {columns} from {table} where symbol <> '{symbol}' and symbol not like 'ODD%' "
        f"and {day} < '{until}' order by all"
    )
    with open_newest(data) as lake, open_newest(two_nights_published()) as before:
        one, other = fetch(lake, query), fetch(before, query)
    assert one.num_rows
    assert differing_cells(one, other) == {}


def test_the_landing_after_it_goes_on(odd):
    """Bars of the years 1 and 2100 say nothing of how far the bookmarks are."""
    data, _ = odd
    newest = bookmarks.newest_event(bookmarks.landed(data, ENDPOINTS["alpaca/bars_1d"]))
    earlier = bookmarks.newest_event(bookmarks.landed(two_nights(), ENDPOINTS["alpaca/bars_1d"]))
    assert newest == earlier
