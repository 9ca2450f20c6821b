"""Hostile rows added to a vendor's answers: the build is green and no other symbol's row differs."""

from contextlib import closing
from datetime import date, timedelta
from functools import partial

import pytest

from ingest.sync import run_ingest
from ingest.transport.client import VendorClient
from simulator.market.clocks import market_clock
from tests.support.cache import copied
from tests.support.hostile_rows import Adding, hostile_rows
from tests.support.lakes import (
    clean_symbols,
    differing_cells,
    fetch,
    open_newest,
    publish,
    two_nights_published,
    year_market,
)
from tests.support.odd_rows import DAY
from trademl.cli.demo import replayed_vendors

SEEDS = (20, 26)
LAST = date(2021, 12, 31)
EVERY_DAY, BEFORE = LAST, DAY - timedelta(days=1)
"""Cross-sections change from the day on at which a company has a hostile bar."""
COMPARED = {
    "curated.equities_bars_asof": ("session_date", EVERY_DAY),
    "curated.equities_ohlcv_adj": ("session_date", EVERY_DAY),
    "curated.crypto_ohlcv": ("session_date", EVERY_DAY),
    "reference.corp_actions": ("ex_date", EVERY_DAY),
    "reference.delistings": ("last_session_date", EVERY_DAY),
    "reference.symbols": ("valid_from", EVERY_DAY),
    "reference.symbol_metadata": ("valid_from_at::date", EVERY_DAY),
    "reference.universe": ("session_date", EVERY_DAY),
    "quality.partition_status": ("dt", EVERY_DAY),
    "features.feat_selection": ("session_date", EVERY_DAY),
    "features.feat_complexity": ("session_date", EVERY_DAY),
    "features.feat_equities_xs": ("session_date", BEFORE),
    "labels.label_horizon": ("session_date", EVERY_DAY),
    "labels.label_triple_barrier": ("session_date", EVERY_DAY),
    "matrices.returns_matrix": ("session_date", EVERY_DAY),
    "matrices.features_matrix": ("session_date", BEFORE),
}

COLUMNS = {
    "labels.label_horizon": "* exclude (ret_rel)",
    # At the hostile clock the market's coins have ended.
    "reference.symbol_metadata": "* exclude (valid_to_at)",
}


@pytest.mark.accept
@pytest.mark.parametrize("seed", SEEDS)
def test_five_hundred_hostile_rows_change_no_other_symbol(tmp_path, seed):
    data = copied(two_nights_published(), tmp_path / "data")
    market = year_market()
    touched, clock = clean_symbols(market)[:2], market_clock(market) + timedelta(hours=13)
    with open_newest(two_nights_published()) as before:
        listed = (
            "select symbol, asset_id from reference.symbols where asset_id is not null order by 1"
        )
        ids = [identity for symbol, identity in before.execute(listed).fetchall()[:5]]
        everyone = before.execute("select distinct symbol from reference.symbols").fetchall()
    hostile = hostile_rows(seed, touched, ids)
    assert hostile.count() == 500
    land_hostile(market, data, clock, hostile)
    publish(data, clock)
    untouched = [name for (name,) in everyone if name not in touched]
    with open_newest(data) as lake, open_newest(two_nights_published()) as before:
        differences = {
            table: found
            for table in COMPARED
            if (
                found := differing_cells(
                    *(rows_of(one, table, untouched) for one in (lake, before))
                )
            )
        }
        rejected = lake.execute(
            "select count(*) from quality.quarantine_bars where verdict = 'rejected'"
        ).fetchone()
    assert differences == {}
    assert rejected[0] > 50


def rows_of(lake, table, symbols):
    day, last = COMPARED[table]
    columns = COLUMNS.get(table, "*")
    name = "security_id" if table == "features.feat_complexity" else "symbol"
    listed = ", ".join(f"'{symbol}'" for symbol in symbols)
    rows = fetch(
        lake,
        f"select {columns} from {table} where {name} in ({listed}) and {day} <= '{last}' order by all",
    )
    assert rows.num_rows, table
    return rows


def land_hostile(market, data, clock, hostile):
    """Through the vendors' connectors, from bytes on."""
    adding = Adding(hostile)
    with replayed_vendors(market, clock, "") as (url, settings), closing(adding):
        ask = partial(
            run_ingest,
            data_dir=data,
            clock=clock,
            settings=settings,
            base_url=url,
            make_client=partial(VendorClient, transport=adding),
            refetch=True,
        )
        ask("alpaca", "assets")
        ask("alpaca", "corp_actions")
        ask("alpaca", "equities_bars_1d", symbols=list(hostile.bars), start=DAY)
        ask("binance", "crypto_filters")
        ask("binance", "crypto_bars_1d", symbols=list(hostile.klines), start=DAY, end=LAST)
