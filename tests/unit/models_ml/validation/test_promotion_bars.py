"""How many searches without skill, and with it, pass the bars of promotion."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from models_ml.profile import Trial
from models_ml.validation.evaluation import Score
from models_ml.validation.trials import Overfitting, TrialResult, Tried, judge_overfitting
from optimize.sleeve.go_live_criteria import model_row
from trademl.quant.deflated_sharpe import effective_length
from trademl.quant.metrics import max_drawdown, sharpe_ratio, skew_and_kurtosis

SEARCHES = 50
TRIALS = 8
"""The fewest configurations that a profile may try."""
PERIODS_PER_YEAR = 50.4
PERIODS = 756
"""Fifteen years of five sessions each, the window that the gates of equities_xs ask for."""
VOLATILITY = 0.10 / np.sqrt(PERIODS_PER_YEAR)
AUTOCORRELATION = 0.2
PLANTED_SHARPE = 2.0


def streams(seed: int, skill: float) -> NDArray[np.float64]:
    """(periods, trials) returns of one search; the third trial has an annual Sharpe ratio."""
    noise = np.random.default_rng(seed).standard_normal((PERIODS + 50, TRIALS))
    moving = lfilter([1.0], [1.0, -AUTOCORRELATION], noise, axis=0)[50:]
    returns = VOLATILITY * np.sqrt(1 - AUTOCORRELATION**2) * moving
    returns[:, 2] += skill * VOLATILITY / np.sqrt(PERIODS_PER_YEAR)
    return returns


def score(returns: NDArray[np.float64]) -> Score:
    sharpe = sharpe_ratio(returns)
    skew, kurtosis = skew_and_kurtosis(returns)
    annual = sharpe * float(np.sqrt(PERIODS_PER_YEAR))
    length = effective_length(returns)
    drawdown = max_drawdown(returns)
    none: dict[str, Any] = dict.fromkeys(("gross_sharpe_ann", "double_cost_sharpe_ann"), annual)
    return Score(
        ic=0.0,
        ic_t=0.0,
        path_sharpe_ann=(annual,),
        sharpe_ann=annual,
        sharpe=sharpe,
        n_periods=len(returns),
        skew=skew,
        kurtosis=kurtosis,
        max_drawdown=drawdown,
        turnover=0.0,
        effective_periods=length,
        **none,
    )


def search(seed: int, skill: float) -> tuple[Score, Overfitting]:
    """The best of the trials, and how much of it is luck over this run's own count of trials."""
    returns = streams(seed, skill)
    results = tuple(TrialResult(str(i), {}, 1, score(returns[:, i])) for i in range(TRIALS))
    best = max(results, key=lambda result: result.score.sharpe)
    tried = Tried(results, Trial(best.name, {}), returns, TRIALS)
    return best.score, judge_overfitting(tried, best.score, 16)


def passes(best: Score, luck: Overfitting) -> bool:
    """Whether the bars of promotion, read by the product, are met."""
    report = {
        "score": {"sharpe_ann": best.sharpe_ann, "max_drawdown": best.max_drawdown},
        "overfitting": {
            "dsr": luck.dsr,
            "excess_sharpe": luck.excess_sharpe,
            "pbo": luck.pbo,
            "effective_periods": luck.effective_periods,
        },
        "controls": [{"name": "shuffled_labels", "passed": True}],
    }
    return model_row(report).status == "pass"


def test_noise_does_not_pass_the_bars_and_skill_does() -> None:
    noise = [search(seed, 0.0) for seed in range(SEARCHES)]
    planted = [search(1000 + seed, PLANTED_SHARPE) for seed in range(SEARCHES)]
    figures = {
        "all bars": [sum(passes(*found) for found in kind) for kind in (noise, planted)],
        "DSR > .95": [sum(luck.dsr > 0.95 for _, luck in kind) for kind in (noise, planted)],
        "excess > 0": [
            sum(luck.excess_sharpe > 0 for _, luck in kind) for kind in (noise, planted)
        ],
    }
    for bar, (without, with_skill) in figures.items():
        print(f"{bar}: {without} of {SEARCHES} noise searches, {with_skill} of {SEARCHES} planted")
    assert figures["all bars"][0] <= 3
    assert figures["DSR > .95"][0] <= 3
    assert figures["all bars"][1] >= 40
