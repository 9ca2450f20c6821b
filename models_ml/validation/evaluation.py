"""Evaluation of out-of-fold predictions: rank IC, and the Sharpe ratio of every path."""

from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from models_ml.data.panel import Panel
from models_ml.data.ranking import Floats, centered_ranks, newey_west_t, rank_ic, starts_of
from models_ml.profile import TrainingProfile
from models_ml.validation.strategy import make_tape, strategy_returns
from trademl.quant.deflated_sharpe import effective_length
from trademl.quant.metrics import max_drawdown, sharpe_ratio, skew_and_kurtosis


@dataclass(frozen=True, slots=True)
class Score:
    """One configuration, judged out of fold and net of costs.

    Attributes:
        ic: Mean over sessions of Spearman's correlation of prediction and ``ret_rel``; each
            session's value is the mean over the paths, never the correlation of an average of
            paths.
        ic_t: Its Newey-West t-statistic, lags for overlapping labels.
        path_sharpe_ann: Annualized Sharpe ratio of each path.
        sharpe_ann: Of the median path.
        sharpe: Of the median path, per period (not annualized): what DSR takes.
        n_periods: Returns of a path.
        skew: Of the median path's returns.
        kurtosis: Of the median path's returns, raw.
        max_drawdown: Of the median path, a negative ratio.
        gross_sharpe_ann: Of the median path before costs and borrowing.
        double_cost_sharpe_ann: Of the median path at twice the costs, borrowing among them.
        turnover: Mean traded notional per period and unit of capital.
        effective_periods: ``n_periods`` corrected for the autocorrelation of the median path's
            returns; None in reports of before.
    """

    ic: float
    ic_t: float
    path_sharpe_ann: tuple[float, ...]
    sharpe_ann: float
    sharpe: float
    n_periods: int
    skew: float
    kurtosis: float
    max_drawdown: float
    gross_sharpe_ann: float
    double_cost_sharpe_ann: float
    turnover: float
    effective_periods: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A score and the series that selection statistics need.

    Attributes:
        period_returns: (periods,) net, the mean of the paths.
    """

    score: Score
    period_returns: Floats


def session_ics(panel: Panel, paths: NDArray[np.float32]) -> Floats:
    """The rank IC of each session, the mean over the paths.

    Args:
        panel: The rows.
        paths: (paths, rows) predictions.

    Returns:
        (sessions with rows,), nan where too few names.
    """
    starts = starts_of(panel.session)
    actual = centered_ranks(panel.ret_rel, starts)
    total = np.zeros(len(starts))
    for prediction in paths:
        total += rank_ic(centered_ranks(prediction, starts), actual, starts)
    return total / len(paths)


def mean_ic(ics: Floats) -> float:
    """The mean over sessions that have an IC; 0 where none has."""
    usable = ics[np.isfinite(ics)]
    return float(usable.mean()) if len(usable) else 0.0


def evaluate(panel: Panel, profile: TrainingProfile, paths: NDArray[np.float32]) -> Evaluation:
    """Scores the (paths, rows) predictions of one configuration."""
    tape = make_tape(panel, profile)
    runs = [strategy_returns(tape, prediction, profile.strategy) for prediction in paths]
    sharpes = np.array([_sharpe(run.net) for run in runs])
    median = runs[int(np.argsort(sharpes, kind="stable")[(len(runs) - 1) // 2])]
    skew, kurtosis = _moments(median.net)
    annual = float(np.sqrt(tape.periods_per_year))
    ics = session_ics(panel, paths)
    score = Score(
        ic=mean_ic(ics),
        ic_t=newey_west_t(ics, _overlap(panel, profile.label.horizon)),
        path_sharpe_ann=tuple(float(s) * annual for s in sharpes),
        sharpe_ann=_sharpe(median.net) * annual,
        sharpe=_sharpe(median.net),
        n_periods=len(median.net),
        skew=skew,
        kurtosis=kurtosis,
        max_drawdown=max_drawdown(median.net),
        gross_sharpe_ann=_sharpe(median.gross) * annual,
        double_cost_sharpe_ann=annual * _sharpe(2 * median.net - median.gross),
        turnover=float(median.turnover.mean()),
        effective_periods=effective_length(median.net),
    )
    return Evaluation(score, np.mean([run.net for run in runs], axis=0))


def _sharpe(returns: Floats) -> float:
    """The Sharpe ratio per period; 0 for a path that does not move, which has shown no skill."""
    ratio = sharpe_ratio(returns)
    return 0.0 if isnan(ratio) else ratio


def _moments(returns: Floats) -> tuple[float, float]:
    """Skewness and raw kurtosis; a normal's for a path that does not move: DSR needs numbers."""
    skew, kurtosis = skew_and_kurtosis(returns)
    return (0.0, 3.0) if isnan(skew) else (skew, kurtosis)


def _overlap(panel: Panel, horizon: int) -> int:
    """Neighboring sessions of the panel whose labels overlap with a session's own."""
    present = np.unique(panel.session)
    step = int(np.diff(present).min()) if len(present) > 1 else horizon
    return max(0, -(-horizon // step) - 1)
