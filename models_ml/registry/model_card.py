"""The model card: the full report of a training, as typed records and as JSON."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic import TypeAdapter

from models_ml.data.green_gate import GateCheck
from models_ml.data.panel import Panel
from models_ml.profile import Parameter
from models_ml.validation.evaluation import Score
from models_ml.validation.negative_controls import ControlResult
from models_ml.validation.trials import Overfitting, TrialResult


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """The rows that were trained on.

    Attributes:
        rows_before_gate_window: Rows older than the longest window that the gate looked at.
        null_share: Per feature, the share of rows without a value.
        label_endings: How many labels ended in which way (``ENDINGS``); empty in reports of before.
    """

    rows: int
    trial_rows: int
    securities: int
    sessions: int
    first_session: str
    last_session: str
    group_sessions: tuple[int, ...]
    rows_before_gate_window: int
    absent_features: tuple[str, ...]
    null_share: dict[str, float]
    label_endings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parity:
    """ONNX against LightGBM on the same float32 rows.

    Attributes:
        rows: Compared.
        max_difference: Largest absolute difference of the predictions.
        share_beyond_1e5: Share of rows that differ by more than 1e-5.
    """

    rows: int
    max_difference: float
    share_beyond_1e5: float


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The result of one training, as ``report.json`` holds it.

    Attributes:
        model_id: From the content of the data, the configuration and the code.
        version: The published version that was read.
        disclosures: Where the training did less than the standard, or anything a reader must know.
        chosen: The name of the configuration that won.
        score: Of the chosen configuration with its full budget on all rows, out of fold.
        files: SHA-256 of every other artifact.
    """

    model: str
    model_id: str
    version: str
    as_of: str
    code_version: str
    purpose: str
    disclosures: tuple[str, ...]
    gates: tuple[GateCheck, ...]
    panel: PanelFacts
    trials: tuple[TrialResult, ...]
    chosen: str
    params: dict[str, Parameter]
    trees: int
    score: Score
    overfitting: Overfitting
    controls: tuple[ControlResult, ...]
    parity: Parity
    files: dict[str, str]


def panel_facts(
    panel: Panel, trial_rows: int, group_sessions: tuple[int, ...], gates: tuple[GateCheck, ...]
) -> PanelFacts:
    """Counts what the panel holds."""
    dates = panel.sessions[panel.session]
    window_start = np.datetime64(min(check.window_start for check in gates))
    nulls = [float(np.mean(np.isnan(column))) for column in panel.features.T]
    return PanelFacts(
        rows=len(panel),
        trial_rows=trial_rows,
        securities=len(np.unique(panel.security)),
        sessions=len(np.unique(panel.session)),
        first_session=str(dates[0]),
        last_session=str(dates[-1]),
        group_sessions=group_sessions,
        rows_before_gate_window=int(np.sum(dates < window_start)),
        absent_features=panel.absent_features,
        null_share=dict(zip(panel.feature_names, nulls, strict=True)),
        label_endings=panel.endings(),
    )


def to_json(report: TrainingReport) -> str:
    """The report as JSON with sorted keys, and the verdict of each gate and control spelt out."""
    content = asdict(report)
    for gate, check in zip(content["gates"], report.gates, strict=True):
        gate["passed"] = check.passed
        for name, judged in zip(gate["left_out"], check.left_out, strict=True):
            name["fraction"] = judged.fraction
    for control, result in zip(content["controls"], report.controls, strict=True):
        control["passed"] = result.passed
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, default=str) + "\n"


def from_json(text: str) -> TrainingReport:
    """Reads what ``to_json`` wrote.

    Raises:
        ValueError: It is something else.
    """
    return TypeAdapter(TrainingReport).validate_json(text)


def summary(report: TrainingReport) -> list[str]:
    """The report in a few lines for a terminal."""
    score, luck, panel = report.score, report.overfitting, report.panel
    pbo = "none" if luck.pbo is None else f"{luck.pbo:.3f}"
    paths = score.path_sharpe_ann
    return [
        f"{report.model} {report.model_id} on version {report.version} ({panel.rows} rows, "
        f"{panel.securities} names, {panel.first_session} to {panel.last_session})",
        *(f"gate {check.line()}" for check in report.gates),
        endings_line(panel),
        *(f"note: {note}" for note in report.disclosures),
        f"chosen {report.chosen} of {len(report.trials)} trials: rank IC {score.ic:+.4f} "
        f"(t {score.ic_t:+.1f}), "
        f"median path Sharpe {score.sharpe_ann:+.2f} net of costs "
        f"({min(paths):+.2f}..{max(paths):+.2f} over {len(paths)} paths)",
        f"DSR {luck.dsr:.3f} over {luck.n_trials} logged configurations and "
        f"{luck.effective_periods or score.n_periods:.0f} effective of {score.n_periods} periods, "
        f"PBO {pbo}",
        *(control.line() for control in report.controls),
        f"ONNX: largest difference {report.parity.max_difference:.1e} over "
        f"{report.parity.rows} rows, {report.parity.share_beyond_1e5:.2%} beyond 1e-5",
    ]


def endings_line(panel: PanelFacts) -> str:
    """How the labels' positions ended, as one line for people."""
    counts = ", ".join(f"{name} {count}" for name, count in panel.label_endings.items())
    return f"labels by end: {counts or 'not counted'}"
