"""Controls that need no training: what is from after as_of, and features that know what follows."""

from dataclasses import replace

import numpy as np
import pytest

from models_ml.data.panel import Panel
from models_ml.profile import load_profile
from models_ml.validation.foresight import foresight, known_by, truncation
from tests.support.panels import Market, make_market

PROFILE = load_profile("equities_xs_demo")
MARKET = make_market()
LAST_LABEL = str(MARKET.panel.sessions[MARKET.panel.label_end[-1]])
AS_OF = f"{LAST_LABEL}T23:00:00Z"


def with_feature(panel: Panel, values: np.ndarray) -> Panel:
    features = panel.features.copy()
    features[:, 2] = values
    return replace(panel, features=features)


def standardized(values: np.ndarray) -> np.ndarray:
    """Within each session, as features are."""
    centered = values - values.mean(axis=1, keepdims=True)
    return (centered / centered.std(axis=1, keepdims=True)).ravel()


def levels_of_tomorrows_open(market: Market) -> np.ndarray:
    sessions = int(market.panel.session.max()) + 1
    return standardized(np.log(market.opens[1 : sessions + 1]))


def test_an_honest_panel_passes_both() -> None:
    panel = MARKET.panel
    assert truncation(panel, AS_OF).passed
    assert known_by(panel, AS_OF).all()
    for rows in (panel, panel.every(5)):
        result = foresight(panel, rows, PROFILE)
        assert result.passed, result.line()
    prices = standardized(np.log(MARKET.closes[: int(panel.session.max()) + 1]))
    assert foresight(with_feature(panel, prices), panel, PROFILE).passed


def test_a_feature_that_is_the_future_is_named() -> None:
    panel = with_feature(MARKET.panel, MARKET.panel.ret_rel)
    result = foresight(panel, panel.every(5), PROFILE)
    assert not result.passed
    assert result.ic > 0.9
    assert result.found == "feat_c against the label"


def test_a_feature_that_is_the_move_to_tomorrows_open_is_named() -> None:
    """It lies before the label's window, so no model can show it."""
    panel = with_feature(MARKET.panel, MARKET.panel.next_open_ret)
    result = foresight(panel, panel.every(5), PROFILE)
    assert not result.passed
    assert result.found == "feat_c against the next opening"


def test_a_feature_that_is_tomorrows_open_as_a_price_is_named_by_its_change() -> None:
    panel = with_feature(MARKET.panel, levels_of_tomorrows_open(MARKET))
    result = foresight(panel, panel.every(5), PROFILE)
    assert not result.passed
    assert result.found == "the change of feat_c against the next opening"
    assert "feature_foresight" in result.line()
    assert result.line().endswith("FAIL")


def test_missing_values_and_few_sessions_are_no_alarm() -> None:
    panel = with_feature(MARKET.panel, np.where(MARKET.panel.session < 19, 1.0, np.nan))
    leak = np.where(panel.session < 19, panel.ret_rel, np.nan)
    assert foresight(with_feature(panel, leak), panel, PROFILE).passed
    unknown = replace(panel, next_open_ret=np.full(len(panel), np.nan))
    assert foresight(unknown, unknown, PROFILE).passed


def test_a_row_from_after_as_of_is_caught_and_named() -> None:
    panel = MARKET.panel
    moment = f"{panel.sessions[panel.label_end[-1] - 1]}T23:00:00Z"
    result = truncation(panel, moment)
    assert not result.passed
    assert result.offending == 40
    first = panel.sessions[panel.session[-1]]
    assert f"40 of 12000 rows are from after {moment}" in result.line()
    assert f"the first of N000 on {first}, label until {LAST_LABEL}" in result.line()
    assert known_by(panel, moment).sum() == 12000 - 40


@pytest.mark.parametrize("moment", ["NaT", f"{LAST_LABEL}T23:00:01"])
def test_a_row_known_after_as_of_or_never_is_caught(moment: str) -> None:
    known_at = MARKET.panel.known_at.copy()
    known_at[7] = np.datetime64(moment)
    panel = replace(MARKET.panel, known_at=known_at)
    result = truncation(panel, AS_OF)
    assert (result.passed, result.offending) == (False, 1)
    assert not known_by(panel, AS_OF)[7]


def test_a_row_that_says_it_was_known_before_its_label_ended_is_not_believed() -> None:
    panel = MARKET.panel
    early = replace(panel, known_at=np.full(len(panel), np.datetime64("2016-01-04", "us")))
    moment = f"{panel.sessions[panel.label_end[-1] - 1]}T23:00:00Z"
    assert truncation(early, moment).offending == 40
