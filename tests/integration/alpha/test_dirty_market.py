"""The main job on a market directory as people have them: weights, and a report that tells what was left out.

Belongs to `make accept`: landing, two builds, training and three runs take minutes.
"""

import html
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from simulator.market.simulate import simulate_market
from tests.support.lakes import clean_symbols, open_live
from trademl.cli.demo import run_demo

pytestmark = pytest.mark.accept

PAUSE = (date(2021, 1, 4), date(2021, 9, 1))
LAST_DAYS = (date(2024, 6, 3), date(2024, 6, 4), date(2024, 6, 5))


@pytest.fixture(scope="module")
def dirty(tmp_path_factory) -> tuple[dict[str, str], Path]:
    """Whose rows are how, and the data directory after the main job."""
    folder = tmp_path_factory.mktemp("dirty")
    market, data = folder / "market", folder / "data"
    simulate_market(market, seed=11, n_crypto=0)
    names = dict(
        zip(("null", "conflict", "etf", "reused", "sparse"), clean_symbols(market), strict=False)
    )
    for file in ("defects.json", "sectors.csv"):
        (market / file).unlink(missing_ok=True)
    spoil_bars(market / "equities_daily.parquet", names)
    spoil_listings(market / "listings.parquet", names)
    run_demo(market, data, is_simulated=False)
    return names, data


def spoil_bars(path: Path, names: dict[str, str]) -> None:
    bars = pq.read_table(path)
    symbol, day = bars["symbol"], bars["date"]

    def of(name: str, days: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.and_(pc.equal(symbol, names[name]), days)

    is_late = pc.is_in(day, pa.array(LAST_DAYS))
    is_null = of("null", is_late)
    columns = {name: pc.if_else(is_null, None, bars[name]) for name in ("open", "close", "volume")}
    twice = bars.filter(of("conflict", is_late))
    for name, column in columns.items():
        bars = bars.set_column(bars.schema.get_field_index(name), name, column)
    at_rest = of("reused", pc.and_(pc.greater(day, PAUSE[0]), pc.less(day, PAUSE[1])))
    thinned = of("sparse", pc.less(pc.day(day), 10))
    bars = bars.filter(pc.invert(pc.or_(at_rest, thinned)))
    higher = twice.set_column(
        twice.schema.get_field_index("high"), "high", pc.multiply(twice["high"], 1.01)
    )
    pq.write_table(pa.concat_tables([bars, higher.cast(bars.schema)]), path)


def spoil_listings(path: Path, names: dict[str, str]) -> None:
    listings = pq.read_table(path)
    kinds = pc.if_else(pc.equal(listings["symbol"], names["etf"]), "etf", listings["asset_type"])
    at = listings.schema.get_field_index("asset_type")
    pq.write_table(listings.set_column(at, "asset_type", kinds), path)


@pytest.fixture(scope="module")
def page(dirty) -> str:
    """The text of the long sleeve's report."""
    (path,) = dirty[1].glob("**/*us_equities_long*/**/*.html")
    return html.unescape(re.sub(r"<[^>]*>", " ", path.read_text()))


def test_the_main_job_ends_with_weights(page):
    assert re.search(r"Positions\s+[1-9]", page)


@pytest.mark.parametrize(
    ("what", "rule", "number", "whose"),
    [
        ("Bars", "price missing", 3, "null"),
        ("Bars", "conflicting rows", 3, "conflict"),
        ("Names", "share class etf", 1, "etf"),
        ("Returns", "long gap", 1, "reused"),
    ],
)
def test_the_report_tells_what_was_left_out(dirty, page, what, rule, number, whose):
    names, _ = dirty
    line = re.search(rf"{what}\s+{rule}\s+(\d+)\s+([\w, ]*)", page)
    assert line is not None
    assert int(line[1]) == number
    assert names[whose] in line[2]


def test_the_sparse_name_leaves_the_training_by_name(dirty, page):
    names, _ = dirty
    assert re.search(rf"leave the training universe.{{0,200}}\b{names['sparse']}\b", page)


def test_no_return_crosses_the_pause(dirty):
    names, data = dirty
    with open_live(data) as lake:
        found = lake.execute(
            """select ret, flag from curated.equities_ohlcv_adj
            where symbol = ? and session_date >= ? order by session_date limit 1""",
            [names["reused"], PAUSE[1]],
        ).fetchone()
    assert found == (None, "LONG_GAP")
