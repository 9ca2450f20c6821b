"""The foundation gate inside a run: each violation has its own code, and nothing was computed."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from optimize.inputs.pool import EXECUTION, read_pool
from optimize.profiles import Profile, load_profile
from optimize.sleeve.run import is_finished
from tests.support.alpha_lakes import CLOCK, LAST_SESSION, AlphaLake
from tests.support.runs import load, publish, run, small_lake
from trademl.errors import GateFailed
from trademl.lake import versions as lake
from trademl.runs.ledger import read, verify

pytestmark = pytest.mark.usefixtures("no_drawing")


RETURNS, FEATURES = "matrices.returns_matrix", "matrices.features_matrix"
CATALOG = "quality.lakehouse_catalog"
Change = Callable[[AlphaLake], None]


def last_row(built: AlphaLake, symbol: str = "EQ03", table: str = RETURNS) -> int:
    return built.rows(table, symbol=symbol)[-1]


def set_return(value: float, back: int = 0) -> Change:
    return lambda built: built.edit(RETURNS, "ret", {last_row(built) - back: value})


def without_column(table: str, column: str) -> Change:
    def change(built: AlphaLake) -> None:
        built.tables[table] = built.tables[table].drop_columns([column])

    return change


def without_table(table: str) -> Change:
    return lambda built: built.tables.__delitem__(table)


def naive_timestamps(built: AlphaLake) -> None:
    stamps = built.tables[RETURNS]["timestamp"].cast(pa.timestamp("us"))
    built.replace(RETURNS, "timestamp", stamps)


def shifted_timestamp(built: AlphaLake) -> None:
    row = last_row(built)
    moment = datetime(2020, 12, 30, 5, tzinfo=UTC)
    built.edit(RETURNS, "timestamp", {row: moment})


def repeated_row(built: AlphaLake) -> None:
    table = built.tables[RETURNS]
    built.tables[RETURNS] = pa.concat_tables([table, table.slice(last_row(built), 1)])


def saturday_row(built: AlphaLake) -> None:
    row = last_row(built) - 3
    saturday = date(2020, 12, 26)
    built.edit(RETURNS, "session_date", {row: saturday})
    built.edit(RETURNS, "timestamp", {row: datetime(2020, 12, 26, tzinfo=UTC)})


def symbol_without_features(built: AlphaLake) -> None:
    built.drop_rows(FEATURES, built.rows(FEATURES, symbol="EQ05"))


def no_features_at_the_decision_date(built: AlphaLake) -> None:
    built.drop_rows(FEATURES, built.rows(FEATURES, session_date=LAST_SESSION))


def known_tomorrow(built: AlphaLake) -> None:
    built.edit(RETURNS, "known_at", {last_row(built): CLOCK + timedelta(hours=1)})


def features_known_tomorrow(built: AlphaLake) -> None:
    row = last_row(built, table=FEATURES)
    built.edit(FEATURES, "known_at", {row: CLOCK + timedelta(hours=1)})


def no_equities(built: AlphaLake) -> None:
    built.drop_rows(RETURNS, built.rows(RETURNS, asset_class="equity"))


def one_day_old(built: AlphaLake) -> None:
    for table in (RETURNS, FEATURES):
        built.drop_rows(table, built.rows(table, session_date=LAST_SESSION))


def most_of_the_last_session_missing(built: AlphaLake, *tables: str) -> None:
    """A partial landing: 20 of the 24 names have everything but the last session."""
    for table in tables:
        rows = built.rows(table, asset_class="equity", session_date=LAST_SESSION)
        symbols = built.tables[table]["symbol"].to_pylist()
        landed = ("EQ00", "EQ02", "EQ04", "EQ06")
        built.drop_rows(table, [row for row in rows if symbols[row] not in landed])


def calendar_without_a_future(built: AlphaLake) -> None:
    name = "reference.calendars"
    built.drop_rows(name, built.rows(name, session_date=date(2020, 12, 31)))


CASES: dict[str, tuple[Change, str]] = {
    "no returns matrix": (
        without_table(RETURNS),
        "FOUNDATION_MISSING_RETURNS_MATRIX: matrices.returns",
    ),
    "no features matrix": (
        without_table(FEATURES),
        "FOUNDATION_MISSING_FEATURES_MATRIX: matrices.features",
    ),
    "no calendars": (without_table("reference.calendars"), "FOUNDATION_MISSING_CALENDARS"),
    "returns without symbol": (without_column(RETURNS, "symbol"), "has no column 'symbol'"),
    "returns without timestamp": (
        without_column(RETURNS, "timestamp"),
        "has no column 'timestamp'",
    ),
    "features without symbol": (without_column(FEATURES, "symbol"), "has no column 'symbol'"),
    "features without sector": (without_column(FEATURES, "sector"), "has no column 'sector'"),
    "no catalog": (without_table(CATALOG), "FOUNDATION_MISSING_LAKEHOUSE_CATALOG"),
    "catalog without ticks": (without_column(CATALOG, "tick_size"), "has no column 'tick_size'"),
    "nan": (set_return(float("nan")), "FOUNDATION_NAN"),
    "infinite": (set_return(float("inf")), "FOUNDATION_NAN"),
    "toxic": (set_return(6.0), "FOUNDATION_TOXIC"),
    "below minus one": (set_return(-1.01), "FOUNDATION_BELOW_MINUS_ONE"),
    "naive timestamps": (naive_timestamps, "FOUNDATION_INDEX_NOT_UTC"),
    "off midnight": (shifted_timestamp, "FOUNDATION_INDEX_NOT_UTC"),
    "repeated row": (repeated_row, "FOUNDATION_INDEX_NOT_UNIQUE"),
    "saturday": (saturday_row, "FOUNDATION_NON_SESSION"),
    "uncovered symbol": (symbol_without_features, "FOUNDATION_FEATURES_COVERAGE.*EQ05"),
    "stale features": (no_features_at_the_decision_date, "FOUNDATION_FEATURES_ABSENT"),
    "not yet known": (known_tomorrow, "FOUNDATION_NOT_YET_KNOWN"),
    "features not yet known": (features_known_tomorrow, "FOUNDATION_NOT_YET_KNOWN"),
    "no rows": (no_equities, "FOUNDATION_EMPTY"),
    "thin session": (
        lambda built: most_of_the_last_session_missing(built, RETURNS, FEATURES),
        "FOUNDATION_THIN_SESSION: .*returns_matrix at 2020-12-30 has 4 of the 24 .*features_matrix",
    ),
    "thin features": (
        lambda built: most_of_the_last_session_missing(built, FEATURES),
        "FOUNDATION_THIN_SESSION: matrices.features_matrix at 2020-12-30 has 4 of the 24",
    ),
    "calendar ends": (
        calendar_without_a_future,
        "FOUNDATION_CALENDAR_ENDS: reference.calendars ends on 2020-12-30, before the clock",
    ),
    "stale": (one_day_old, "FOUNDATION_STALE: last session is 2020-12-29"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_violation_fails_with_its_own_code_before_any_compute(
    tmp_path: Path, case: str
) -> None:
    change, said = CASES[case]
    built = small_lake()
    change(built)
    publish(tmp_path, built)
    with pytest.raises(GateFailed, match=said):
        run(tmp_path, "R1")
    root = tmp_path / "runs" / "R1"
    assert not is_finished(root)
    assert not list((root / "data").iterdir())
    verify(root / "audit.jsonl")
    steps = [(row.get("step"), row.get("status")) for row in read(root / "audit.jsonl")]
    assert steps[-2:] == [("foundation.gate", "failure"), ("alpha.full", "failure")]
    assert "FAILED" in (root / "INDEX.md").read_text()
    assert not (tmp_path / "snapshots" / "R1").exists()


def test_a_repaired_lake_lets_the_same_run_id_through(tmp_path: Path) -> None:
    built = small_lake()
    healthy = built.tables[RETURNS]
    set_return(6.0)(built)
    publish(tmp_path, built)
    with pytest.raises(GateFailed):
        run(tmp_path, "R1")
    built.tables[RETURNS] = healthy
    built.publish(tmp_path)
    assert is_finished(run(tmp_path, "R1").root)


def test_a_dev_profile_goes_on_with_stale_data_and_says_so(tmp_path: Path) -> None:
    built = small_lake()
    one_day_old(built)
    publish(tmp_path, built)
    content = load_profile("us_equities_long").resolved()
    result = run(tmp_path, "R1", Profile.model_validate({**content, "environment": "dev"}))
    fresh = next(gate for gate in result.gates if gate.name == "Fresh data")
    assert (fresh.status, fresh.got) == ("warn", "session 2020-12-29")
    findings = load(result.root, "data/foundation_gate.json")["findings"]
    assert [(item["code"], item["level"]) for item in findings] == [("FOUNDATION_STALE", "warning")]


def test_freshness_follows_the_calendar_and_not_the_wall(tmp_path: Path) -> None:
    """The clock is on Friday 1 January, a holiday: Thursday is the last session there was."""
    built = small_lake()
    publish(tmp_path, built)
    # 31 December closes at 21:00: until then 30 December is the last completed session.
    before_close = datetime(2020, 12, 31, 20, 59, tzinfo=UTC)
    assert is_finished(run(tmp_path, "R1", clock=before_close).root)
    with pytest.raises(GateFailed, match="expects XNYS session 2020-12-31"):
        run(tmp_path, "R2", clock=before_close + timedelta(minutes=1))
    built.publish(tmp_path, as_of=datetime(2020, 12, 30, 13, tzinfo=UTC))
    with pytest.raises(GateFailed, match="FOUNDATION_FUTURE_SESSION"):
        run(tmp_path, "R3", clock=datetime(2020, 12, 30, 20, 59, tzinfo=UTC))


def test_delisted_names_are_not_missed_in_the_last_session(tmp_path: Path) -> None:
    """Three of 24 names end the session before: too many, unless they were delisted."""
    built = small_lake()
    gone = ("EQ01", "EQ03", "EQ05")
    for table in (RETURNS, FEATURES):
        for symbol in gone:
            built.drop_rows(table, built.rows(table, symbol=symbol, session_date=LAST_SESSION))
    publish(tmp_path, built)
    with pytest.raises(GateFailed, match="has 21 of the 24 securities"):
        run(tmp_path, "R1")
    built.tables["reference.delistings"] = pa.table(
        {"security_id": [f"id-{name}" for name in gone]}
    )
    built.publish(tmp_path)
    assert is_finished(run(tmp_path, "R1").root)


def test_crypto_may_be_a_day_old_and_not_more(tmp_path: Path) -> None:
    publish(tmp_path, small_lake())
    closed = datetime(2020, 12, 31, tzinfo=UTC)
    aged = closed + timedelta(hours=24)
    assert is_finished(run(tmp_path, "R1", "crypto_long", clock=aged).root)
    with pytest.raises(GateFailed, match="FOUNDATION_STALE"):
        run(tmp_path, "R2", "crypto_long", clock=aged + timedelta(minutes=1))


def test_a_large_return_is_a_warning(tmp_path: Path) -> None:
    built = small_lake()
    set_return(4.99, back=30)(built)
    publish(tmp_path, built)
    result = run(tmp_path, "R1")
    bounds = next(gate for gate in result.gates if gate.name == "Return bounds")
    assert (bounds.status, bounds.got) == ("warn", "largest 499.0%, 0 NaN")


def test_a_missing_ranked_feature_is_named(tmp_path: Path) -> None:
    """Features are looked up, never computed."""
    built = small_lake()
    without_column(FEATURES, "feat_efficiency")(built)
    publish(tmp_path, built)
    with pytest.raises(GateFailed, match=r"FOUNDATION_FEATURES_ABSENT.*feat_efficiency"):
        run(tmp_path, "R1")


def test_a_coin_of_a_share_s_name_lends_it_no_steps(tmp_path: Path) -> None:
    """A second row of the catalog would make two candidates of one."""
    built = small_lake()
    catalog = built.tables[CATALOG]
    twin = catalog.slice(built.rows(CATALOG, symbol="EQ04")[0], 1).set_column(
        catalog.column_names.index("asset_class"), "asset_class", pa.array(["crypto"])
    )
    built.tables[CATALOG] = pa.concat_tables([catalog, twin])
    version = built.publish(tmp_path, CLOCK)
    with lake.open_version(tmp_path, version) as connection:
        pool = read_pool(connection, load_profile("us_equities_long"), LAST_SESSION)
    assert len(pool.candidates) == len({item.atom_id for item in pool.candidates}) == 24


@pytest.mark.parametrize("name", EXECUTION)
def test_too_few_that_can_be_ordered_stop_the_run_and_one_is_barred(
    tmp_path: Path, name: str
) -> None:
    """Before selection: 23 of 24 are 95.8 %, 22 of 24 are 91.7 %."""
    built = small_lake()
    built.edit(CATALOG, name, {built.rows(CATALOG, symbol="EQ04")[0]: None})
    publish(tmp_path, built)
    result = run(tmp_path, "R1")
    gate = next(gate for gate in result.gates if gate.name == "Metadata")
    assert (gate.status, gate.got) == ("pass", "at least 95.8%")
    vetoes = load(result.root, "data/selection_audit.json")["vetoes"]["EQ04_trend_LONG"]
    assert [veto["name"] for veto in vetoes if veto["hard"]] == ["missing_metadata"]
    meta = load(result.root, "data/portfolio_meta.json")["symbols"]
    assert meta["EQ04"][name] is None
    assert meta["EQ06"][name] is not None

    built.edit(CATALOG, name, {built.rows(CATALOG, symbol="EQ06")[0]: None})
    built.publish(tmp_path)
    said = f"METADATA_COVERAGE: {name} is known of 91.7% of 24 candidates, 95% .* EQ04, EQ06:"
    with pytest.raises(GateFailed, match=said):
        run(tmp_path, "R2")


def test_nobody_eligible_is_an_error_with_the_funnel(tmp_path: Path) -> None:
    built = small_lake()
    count = built.tables[FEATURES].num_rows
    built.replace(FEATURES, "is_eligible", pa.array([False] * count))
    publish(tmp_path, built)
    with pytest.raises(GateFailed, match=r"NO_CANDIDATES.*eligible 0"):
        run(tmp_path, "R1")
