"""The go-live criteria of a run's model: evaluated and reported, not enforced.

The criteria: docs/specification/models.md#go-live-criteria.

A training may be told to report a failing control instead of refusing, and nothing promotes a
model yet, so a run must say what its model is worth.
"""

from collections.abc import Mapping
from typing import Any

from trademl.report import GateRow

MIN_SHARPE = 1.0
MIN_DSR = 0.95
MAX_DRAWDOWN = 0.20
MAX_PBO = 0.05

ASKED = (
    f"net Sharpe ratio at least {MIN_SHARPE:g}, drawdown at most {MAX_DRAWDOWN:.0%}, "
    f"DSR above {MIN_DSR:g}, PBO at most {MAX_PBO:g}, every control passed"
)


def model_row(report: Mapping[str, Any]) -> GateRow:
    """The model's own out-of-sample figures against the bars; an unknown figure meets none.

    Args:
        report: The report of the model's training.
    """
    score, luck = report.get("score") or {}, report.get("overfitting") or {}
    controls = report.get("controls") or []
    sharpe, drawdown = _number(score, "sharpe_ann"), _number(score, "max_drawdown")
    dsr, pbo = _corrected_dsr(luck), _number(luck, "pbo")
    failed = [str(control.get("name")) for control in controls if not control.get("passed")]
    met = (
        sharpe is not None and sharpe >= MIN_SHARPE,
        drawdown is not None and abs(drawdown) <= MAX_DRAWDOWN,
        dsr is not None and dsr > MIN_DSR,
        pbo is not None and pbo <= MAX_PBO,
        bool(controls) and not failed,
    )
    control_summary = (
        f"controls failed: {', '.join(failed)}" if failed else f"{len(controls)} controls passed"
    )
    got = (
        f"Sharpe {_shown(sharpe)}, drawdown {_shown(drawdown)}, DSR {_shown(dsr)} (excess "
        f"{_shown(_number(luck, 'excess_sharpe'))}), PBO {_shown(pbo)}, {control_summary}"
    )
    return GateRow("Model bars", ASKED, got, "pass" if all(met) else "warn")


def _corrected_dsr(luck: Mapping[str, Any]) -> float | None:
    """The DSR over the effective length; of a training that did not correct it nothing is known."""
    return None if _number(luck, "effective_periods") is None else _number(luck, "dsr")


def _number(figures: Mapping[str, Any], name: str) -> float | None:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) else None


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
