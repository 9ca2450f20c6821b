"""Hyperparameter trials: runs and logs all, chooses one, and estimates its selection bias."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models_ml.data.panel import Panel
from models_ml.data.ranking import Floats
from models_ml.profile import Parameter, TrainingProfile, Trial
from models_ml.tracking import TrialLog
from models_ml.validation.evaluation import Evaluation, Score, evaluate
from models_ml.validation.out_of_fold import Progress, cross_predict, make_fit
from models_ml.validation.overfitting import probability_of_backtest_overfitting
from trademl.quant.deflated_sharpe import deflated_sharpe_ratio, expected_max_sharpe


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One configuration that was really tried."""

    name: str
    params: dict[str, Parameter]
    trees: int
    score: Score


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """All configurations.

    Attributes:
        results: In the order of the grid.
        chosen: The trial that won.
        period_returns: (periods, trials) net returns, each the mean of a trial's paths.
        n_logged: Different configurations that the model's experiment holds, earlier trainings
            included.
    """

    results: tuple[TrialResult, ...]
    chosen: Trial
    period_returns: Floats
    n_logged: int

    @property
    def chosen_ic(self) -> float:
        """The winner's mean rank IC out of fold."""
        return next(trial.score.ic for trial in self.results if trial.name == self.chosen.name)


@dataclass(frozen=True, slots=True)
class Overfitting:
    """How much of the chosen configuration's Sharpe ratio selection explains.

    Attributes:
        n_trials: Different configurations logged: the N of the deflation.
        trials_sharpe_variance: Over this training's trials, per period.
        expected_max_sharpe: What the best of N skilless trials would show, per period.
        excess_sharpe: The chosen one's Sharpe ratio above it, per period.
        dsr: The probability that the true Sharpe ratio exceeds it, over the effective length; the
            go-live criterion asks for more than .95 (docs/specification/models.md#overfitting).
        pbo: The share of CSCV combinations whose in-sample winner is at or below the median out of
            sample.
        pbo_probability_of_loss: The share in which it loses money out of sample.
        effective_periods: The length that the DSR took, corrected for autocorrelation; None in
            reports of before, whose DSR took every return as independent.
    """

    n_trials: int
    trials_sharpe_variance: float
    expected_max_sharpe: float
    excess_sharpe: float
    dsr: float
    pbo: float | None
    pbo_probability_of_loss: float | None
    effective_periods: float | None = None


def run_trials(
    panel: Panel, profile: TrainingProfile, log: TrialLog, progress: Progress | None = None
) -> Tried:
    """Trains every configuration of the grid on every split of the panel, and logs each.

    Args:
        panel: The trial rows.
        profile: The grid and its budget.
        log: Every configuration goes here, also the bad ones.
        progress: Told of every split and every configuration.
    """
    grid = profile.trials.grid
    fits = [make_fit(profile, trial.params, profile.trials.trees) for trial in grid]
    predictions = cross_predict(panel, profile, fits, progress, profile.trials.min_weight)
    evaluations: list[Evaluation] = []
    results: list[TrialResult] = []
    for trial, paths in zip(grid, predictions, strict=True):
        evaluations.append(evaluate(panel, profile, paths))
        results.append(
            TrialResult(trial.name, trial.params, profile.trials.trees, evaluations[-1].score)
        )
        _log_trial(log, profile, panel.feature_names, results[-1])
        if progress:
            progress(trial_line(results[-1]))
    returns = np.column_stack([evaluation.period_returns for evaluation in evaluations])
    return Tried(tuple(results), choose(profile, results), returns, log.count_configurations())


def choose(profile: TrainingProfile, results: list[TrialResult]) -> Trial:
    """The trial with the best score, the first of equals."""
    scores = [getattr(result.score, _SELECTORS[profile.trials.select_by]) for result in results]
    return profile.trials.grid[int(np.argmax(scores))]


_SELECTORS = {"sharpe": "sharpe_ann", "ic": "ic"}


def judge_overfitting(tried: Tried, chosen: Score, n_blocks: int) -> Overfitting:
    """Deflates the chosen one's Sharpe ratio and estimates how likely the choice was luck."""
    variance = float(np.var([result.score.sharpe for result in tried.results], ddof=1))
    hurdle = expected_max_sharpe(tried.n_logged, variance)
    pbo = probability_of_backtest_overfitting(tried.period_returns, n_blocks)
    length = chosen.effective_periods or float(chosen.n_periods)
    return Overfitting(
        n_trials=tried.n_logged,
        trials_sharpe_variance=variance,
        expected_max_sharpe=hurdle,
        excess_sharpe=chosen.sharpe - hurdle,
        dsr=deflated_sharpe_ratio(
            chosen.sharpe, length, tried.n_logged, variance, chosen.skew, chosen.kurtosis
        ),
        pbo=pbo.pbo,
        pbo_probability_of_loss=pbo.probability_of_loss,
        effective_periods=length,
    )


def score_metrics(score: Score) -> dict[str, float]:
    """The numbers of a score by name, the paths numbered."""
    fields: dict[str, Any] = asdict(score)
    paths = fields.pop("path_sharpe_ann")
    return {**fields, **{f"path_{i}_sharpe_ann": value for i, value in enumerate(paths)}}


def trial_line(result: TrialResult) -> str:
    """A trial as one line for people."""
    score, paths = result.score, result.score.path_sharpe_ann
    return (
        f"trial {result.name}: rank IC {score.ic:+.4f} (t {score.ic_t:+.1f}), median path Sharpe "
        f"{score.sharpe_ann:+.2f} of {min(paths):+.2f}..{max(paths):+.2f}"
    )


def _log_trial(
    log: TrialLog, profile: TrainingProfile, features: tuple[str, ...], result: TrialResult
) -> None:
    params: dict[str, Parameter] = {
        **profile.lightgbm,
        **result.params,
        "trees": result.trees,
        "horizon": profile.label.horizon,
        "target": profile.label.target,
        "session_stride": profile.trials.session_stride,
    }
    tags = {"configuration": configuration_id(profile, features, result.params)}
    log.log(result.name, "trial", params, score_metrics(result.score), tags)


def configuration_id(
    profile: TrainingProfile, features: tuple[str, ...], params: dict[str, Parameter]
) -> str:
    """Sixteen hexadecimal digits over all that a person chose for a trial: DSR's N counts these.

    That is the profile, without the sentences, the gates, the bounds of what is plausible and the
    number of threads, which change no result, and with this trial's parameters in place of the
    whole grid: a grid that grows by one trial holds one more configuration.

    Args:
        profile: Of the training.
        features: The columns that the profile's patterns came to.
        params: The trial's own LightGBM parameters.
    """
    chosen = asdict(profile)
    for name in ("purpose", "threads", "gates", "universe"):
        del chosen[name]
    del chosen["trials"]["grid"], chosen["controls"]["plausible"]
    del chosen["label"]["losses"]["reason"]
    chosen |= {"features": features, "lightgbm": {**profile.lightgbm, **params}}
    text = json.dumps(chosen, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
