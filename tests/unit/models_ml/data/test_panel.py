from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from models_ml.data.panel import Panel, choose_features, load_panel
from models_ml.profile import Losses, load_profile
from tests.support.training_lakes import Size, market
from trademl.errors import ConfigError, DataError

PROFILE = load_profile("equities_xs_demo")
SIZE = Size(symbols=5, sessions=40)


class Lake:
    """The tables of the panel in an attached in-memory catalog."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("set timezone = 'UTC'")
        self.connection.execute("attach ':memory:' as lake")
        made = market(SIZE)
        self.dates = made.dates
        self.put("matrices.features_matrix", made.features)
        self.put("labels.label_horizon", made.labels)
        self.put("curated.equities_ohlcv_adj", made.bars)

    def put(self, name: str, table: pa.Table) -> None:
        self.connection.execute(f"create schema if not exists lake.{name.split('.')[0]}")
        self.connection.register("incoming", table)
        self.connection.execute(f"create or replace table lake.{name} as from incoming")

    def panel(self, sql: str = "") -> Panel:
        if sql:
            self.connection.execute(sql)
        return load_panel(self.connection, PROFILE)

    def rows(self, sql: str) -> list[Any]:
        return self.connection.execute(sql).fetchall()


@pytest.fixture
def lake() -> Iterator[Lake]:
    opened = Lake()
    yield opened
    opened.connection.close()


def test_rows_are_eligible_and_ordered_and_hold_what_the_tables_hold(lake: Lake) -> None:
    panel = lake.panel()
    expected = lake.rows(
        "select session_date, security_id, f.symbol, feat_mom_5, feat_sector_0, t0, t1, ret, "
        "ret_rel from lake.matrices.features_matrix as f "
        "inner join lake.labels.label_horizon using (security_id, session_date) "
        "where is_eligible order by all"
    )
    first, sector = (panel.feature_names.index(n) for n in ("feat_mom_5", "feat_sector_0"))
    axis = panel.sessions.astype(object)
    found = [
        (
            axis[panel.session[i]],
            panel.securities[panel.security[i]],
            panel.symbols[panel.symbol[i]],
            panel.features[i, first],
            panel.features[i, sector],
            axis[panel.label_start[i]],
            axis[panel.label_end[i]],
            panel.ret[i],
            panel.ret_rel[i],
        )
        for i in range(len(panel))
    ]
    assert len(found) == 5 * (40 - 10 - 5)
    assert 0 < sum(np.isnan(row[4]) for row in expected) < 125
    for mine, wanted in zip(found, expected, strict=True):
        assert mine[:4] == wanted[:4]
        assert mine[4] == wanted[4] or (np.isnan(mine[4]) and np.isnan(wanted[4]))
        assert mine[5:] == wanted[5:]


def test_matrix_is_float32_and_positions_count_sessions(lake: Lake) -> None:
    panel = lake.panel()
    assert panel.features.dtype == np.float32
    assert panel.features.flags.c_contiguous
    assert set(panel.label_start - panel.session) == {1}
    assert set(panel.label_end - panel.session) == {5}


def test_only_the_features_asked_for_in_the_order_asked(lake: Lake) -> None:
    panel = lake.panel()
    assert panel.feature_names == (
        "feat_mom_5",
        "feat_rv_20",
        *(f"feat_sector_{i}" for i in range(4)),
    )
    assert "feat_mom_20" in panel.absent_features
    assert "feat_hurst" not in panel.feature_names


def test_null_features_are_nan(lake: Lake) -> None:
    panel = lake.panel("update lake.matrices.features_matrix set feat_rv_20 = null")
    assert np.isnan(panel.features[:, 1]).all()
    assert not np.isnan(panel.features[:, 0]).any()


@pytest.mark.parametrize(
    "condition", ["is_eligible = false", "asset_class = 'crypto'", "is_eligible = null"]
)
def test_what_is_not_an_eligible_equity_is_left_out(lake: Lake, condition: str) -> None:
    panel = lake.panel(
        f"update lake.matrices.features_matrix set {condition} where security_id = 'S0002'"
    )
    assert "S0002" not in panel.securities


def test_other_horizons_and_unfinished_labels_are_left_out(lake: Lake) -> None:
    lake.connection.execute(
        "insert into lake.labels.label_horizon by name "
        "select * replace (20 as horizon, 9 as ret) from lake.labels.label_horizon"
    )
    last = lake.dates[20]
    panel = lake.panel(
        f"update lake.labels.label_horizon set ret_rel = null where session_date > '{last}'"
    )
    assert panel.ret.max() < 9
    assert panel.sessions[panel.session].max() == last


def test_a_label_twice_is_an_error(lake: Lake) -> None:
    with pytest.raises(DataError, match="two rows for S0001 on 2015-01-20"):
        lake.panel(
            "insert into lake.labels.label_horizon by name select * from lake.labels.label_horizon "
            "where security_id = 'S0001' and session_date = '2015-01-20'"
        )


def test_a_label_that_begins_before_its_features_is_an_error(lake: Lake) -> None:
    with pytest.raises(DataError, match="before the session"):
        lake.panel("update lake.labels.label_horizon set t0 = session_date - 4")


def test_no_rows_and_no_table_are_errors(lake: Lake) -> None:
    with pytest.raises(DataError, match="no eligible equity"):
        lake.panel("update lake.labels.label_horizon set horizon = 20")
    with pytest.raises(DataError, match=r"no table labels\.label_horizon"):
        lake.panel("drop table lake.labels.label_horizon")


def test_what_happens_after_the_close_is_there_for_controls(lake: Lake) -> None:
    lake.connection.execute(
        "update lake.curated.equities_ohlcv_adj set split_ratio = 2, open = open / 2 "
        f"where session_date = '{lake.dates[15]}'"
    )
    panel = lake.panel(
        f"delete from lake.curated.equities_ohlcv_adj where session_date > '{lake.dates[33]}'"
    )
    expected = lake.rows(
        "select bars.open * bars.split_ratio / before.close - 1, bars.ret "
        "from lake.curated.equities_ohlcv_adj as bars "
        "inner join lake.curated.equities_ohlcv_adj as before using (security_id) "
        f"where before.session_date = '{lake.dates[14]}' and bars.session_date = '{lake.dates[15]}'"
        " order by security_id"
    )
    own = panel.sessions[panel.session] == lake.dates[14]
    assert panel.next_open_ret[own].tolist() == pytest.approx([row[0] for row in expected])
    assert panel.next_close_ret[own].tolist() == pytest.approx([row[1] for row in expected])
    is_unknown = panel.sessions[panel.session] >= lake.dates[33]
    assert np.array_equal(np.isnan(panel.next_open_ret), is_unknown)
    assert np.array_equal(np.isnan(panel.next_close_ret), is_unknown)


def test_a_row_is_known_when_features_and_label_are(lake: Lake) -> None:
    lake.connection.execute(
        "update lake.matrices.features_matrix set known_at = '2015-06-01 10:00:00+00' "
        "where security_id = 'S0001'"
    )
    panel = lake.panel(
        "update lake.labels.label_horizon set known_at = null where security_id = 'S0003'"
    )
    by_name = {name: panel.known_at[panel.security == i] for i, name in enumerate(panel.securities)}
    assert set(by_name["S0001"]) == {np.datetime64("2015-06-01T10:00", "us")}
    assert np.isnat(by_name["S0003"]).all()
    ends = panel.sessions[panel.label_end[panel.security == 0]]
    assert np.array_equal(by_name["S0000"], ends + np.timedelta64(21 * 60 + 15, "m"))


def test_the_profile_says_what_an_unknown_end_lost(lake: Lake) -> None:
    ends = {"S0001": "unknown_removal", "S0002": "long_halt", "S0003": "worthless"}
    cases = " ".join(f"when '{name}' then '{end}'" for name, end in ends.items())
    before = lake.panel()
    lake.connection.execute(
        "update lake.labels.label_horizon set exit_reason = "
        f"case security_id {cases} else exit_reason end"
    )
    losses = Losses(unknown_removal_return=-0.5, long_halt_return=-0.25)
    profile = replace(PROFILE, label=replace(PROFILE.label, losses=losses))
    panel = load_panel(lake.connection, profile)
    kept = np.array([1, 0.5, 0.75, 1, 1])[panel.security]
    assert (1 + panel.ret).tolist() == pytest.approx(((1 + before.ret) * kept).tolist())
    moved = panel.ret_rel - before.ret_rel
    assert moved.tolist() == pytest.approx((panel.ret - before.ret).tolist())
    assert np.array_equal(panel.ret[kept == 1], before.ret[kept == 1])
    assert panel.endings() == {
        "horizon": 50,
        "worthless": 25,
        "unknown_removal": 25,
        "long_halt": 25,
    }


def test_a_lake_of_before_is_to_be_built_again(lake: Lake) -> None:
    with pytest.raises(DataError, match="no exit_reason: build the lake again"):
        lake.panel("alter table lake.labels.label_horizon drop column exit_reason")


def test_where_a_name_stood_a_session_before(lake: Lake) -> None:
    panel = lake.panel()
    young = panel.take((panel.security != 2) | (panel.session >= 7))
    later = young.every(5)
    before = young.rows_before(later, 1)
    assert np.array_equal(before == -1, (later.session == 0))
    found = before[before >= 0]
    assert np.array_equal(young.security[found], later.security[before >= 0])
    assert np.array_equal(young.session[found], later.session[before >= 0] - 1)
    assert (young.rows_before(young, 1) == -1)[(young.security == 2) & (young.session == 7)].all()


def test_patterns() -> None:
    columns = ("symbol", "feat_b", "feat_a", "feat_sector_y", "feat_sector_x")
    found = choose_features(("feat_b", "feat_sector_*", "feat_none"), columns)
    assert found == (("feat_b", "feat_sector_x", "feat_sector_y"), ("feat_none",))
    with pytest.raises(ConfigError, match="feat_q"):
        choose_features(("feat_q", "symbol"), columns)


def test_every_nth_session(lake: Lake) -> None:
    panel = lake.panel()
    fifth = panel.every(5)
    assert np.unique(fifth.session).tolist() == [0, 5, 10, 15, 20]
    assert fifth.features.shape == (25, 6)
    assert panel.every(1) is panel


def test_the_digest_is_of_the_content(lake: Lake) -> None:
    panel = lake.panel()
    assert lake.panel().digest() == panel.digest()
    changed = panel.ret.copy()
    changed[7] += 1e-12
    assert replace(panel, ret=changed).digest() != panel.digest()
    features = panel.features.copy()
    features[3, 1] += 1e-6
    assert replace(panel, features=features).digest() != panel.digest()
