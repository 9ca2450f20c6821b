"""What a run says of its model."""

from typing import Any

import pytest

from optimize.sleeve.go_live_criteria import model_row

GOOD: dict[str, Any] = {
    "score": {"sharpe_ann": 1.0, "max_drawdown": -0.2},
    "overfitting": {"excess_sharpe": 0.01, "dsr": 0.97, "pbo": 0.05, "effective_periods": 210.5},
    "controls": [{"name": "shuffled_labels", "passed": True}],
}


def test_a_model_on_the_bars_passes_with_its_figures() -> None:
    row = model_row(GOOD)
    assert row.status == "pass"
    assert row.got == (
        "Sharpe 1.000, drawdown -0.200, DSR 0.970 (excess 0.010), PBO 0.050, 1 controls passed"
    )


@pytest.mark.parametrize(
    ("section", "worse", "said"),
    [
        ("score", {"sharpe_ann": 0.99}, "Sharpe 0.990"),
        ("score", {"max_drawdown": -0.21}, "drawdown -0.210"),
        ("overfitting", {"excess_sharpe": 0.01, "dsr": 0.95}, "DSR 0.950"),
        ("overfitting", {"effective_periods": None}, "DSR unknown"),
        ("overfitting", {"pbo": 0.051}, "PBO 0.051"),
        ("overfitting", {"pbo": None}, "PBO unknown"),
    ],
)
def test_a_model_below_a_bar_warns(section: str, worse: dict[str, Any], said: str) -> None:
    row = model_row({**GOOD, section: {**GOOD[section], **worse}})
    assert row.status == "warn"
    assert said in row.got


def test_a_failed_control_warns_by_name_and_so_does_none_at_all() -> None:
    failed = [*GOOD["controls"], {"name": "shifted_labels", "passed": False}]
    row = model_row({**GOOD, "controls": failed})
    assert (row.status, row.got.split(", ")[-1]) == ("warn", "controls failed: shifted_labels")
    assert model_row({}).status == "warn"
    assert model_row({**GOOD, "controls": []}).status == "warn"
