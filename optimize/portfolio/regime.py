"""The market's regime at the decision date, from raw returns, without randomness.

The score is the weighted sum of docs/specification/selection-synthesis-solvers.md#regime. It reads
the equal-weight stream of the raw pool: synthetic shorts are turned round and would mix the signs
of one market. The hidden Markov state of earlier systems is replaced by an exact split of rolling
volatility into two groups.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import kurtosis, norm

from optimize.profiles import RegimeCaps, RegimeThresholds
from trademl.quant.arrays import FloatArray
from trademl.quant.complexity import hurst, permutation_entropy

MIN_OBSERVATIONS = 20
SHORT_WINDOW = 10
SPECTRAL_WINDOW = 64
HAAR_LEVELS = 3
SCORE_CAP = 2.5


@dataclass(frozen=True, slots=True)
class Regime:
    """The decision regime and the numbers behind it.

    Attributes:
        name: QUIET, NORMAL, TURBULENT or CRISIS.
        score: At most 2.5; from 1.8 on CRISIS, below .7 QUIET.
        quadrant: EXPANSION, INFLATIONARY_TREND, STAGNATION, CRISIS or NORMAL.
        parts: The components of the score.
    """

    name: str
    score: float
    quadrant: str
    parts: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain JSON types."""
        return asdict(self)


def detect(
    market: FloatArray, periods_per_year: int, thresholds: RegimeThresholds, *, spectral: bool
) -> Regime:
    """Classifies a market stream.

    Args:
        market: Equal-weight raw returns, shape (T,), training data only.
        periods_per_year: For the annual mean of the quadrant.
        thresholds: Bounds of the spectral flag.
        spectral: Whether the spectral flag may call a normal market turbulent.
    """
    if market.size < MIN_OBSERVATIONS:
        return Regime("NORMAL", 1.0, "NORMAL", {})
    parts = _parts(market)
    value = _score(parts)
    quadrant = _quadrant(float(market.mean()) * periods_per_year, parts)
    name = "CRISIS" if value >= 1.8 else "QUIET" if value < 0.7 else "NORMAL"
    is_spectral = (
        parts["turbulence"] > thresholds.turbulence_max or parts["hurst"] > thresholds.hurst_max
    )
    if spectral and name == "NORMAL" and is_spectral:
        name = "TURBULENT"
    if value > 1.5 and (quadrant == "CRISIS" or parts["is_high_volatility"] == 1.0):
        name = "CRISIS"
    return Regime(name, value, quadrant, parts)


def cluster_cap(base: float, regime: str, caps: RegimeCaps) -> float:
    """The most one cluster may weigh in a regime; a regime only ever lowers the base cap."""
    lowered = {"TURBULENT": caps.TURBULENT, "CRISIS": caps.CRISIS}
    return min(base, lowered.get(regime, base))


def _parts(market: FloatArray) -> dict[str, float]:
    recent, tail = market[-SHORT_WINDOW:], market[-SPECTRAL_WINDOW:]
    full = float(market.std())
    memory = hurst(market)
    return {
        "volatility_10": float(recent.std()),
        "volatility_ratio": float(recent.std()) / full if full > 0.0 else 0.0,
        "turbulence": haar_turbulence(tail),
        "clustering": max(0.0, _autocorrelation(np.abs(market))),
        "entropy": _or_zero(permutation_entropy(tail, order=3)),
        "hurst": 0.5 if np.isnan(memory) else memory,
        "adf_p": adf_p_value(market),
        "excess_kurtosis": _or_zero(float(kurtosis(market))) if full > 0.0 else 0.0,
        "is_high_volatility": float(is_high_volatility(market)),
    }


def _score(parts: dict[str, float]) -> float:
    ratio = parts["volatility_ratio"]
    value = (
        0.35 * ratio
        + 0.25 * parts["turbulence"]
        + 0.15 * parts["clustering"]
        + 0.10 * parts["entropy"]
        + 0.10 * 2.0 * abs(parts["hurst"] - 0.5)
        + 0.05 * parts["adf_p"]
        + 0.15 * min(1.0, abs(parts["excess_kurtosis"]) / 10.0)
    )
    if ratio < 0.2:
        value *= 0.5
    if parts["volatility_10"] < 0.001:
        value *= 0.01
    return min(value, 0.6 if ratio < 0.5 else SCORE_CAP)


def _quadrant(annual_mean: float, parts: dict[str, float]) -> str:
    stress = 0.7 * parts["volatility_ratio"] + 0.6 * parts["turbulence"]
    is_stressed = stress > 1.1
    if annual_mean > 0.05:
        return "INFLATIONARY_TREND" if is_stressed else "EXPANSION"
    if annual_mean < -0.05:
        return "CRISIS" if is_stressed else "STAGNATION"
    return "NORMAL"


def haar_turbulence(series: FloatArray) -> float:
    """The share of a series' energy in the details of its Haar transform, in [0, 1].

    Independent noise gives 1 - 2^-3 on average, a slow trend nearly 0.
    """
    total, detail, smooth = float(np.sum(series**2)), 0.0, series
    if total == 0.0:
        return 0.0
    for _ in range(HAAR_LEVELS):
        if smooth.size < 2:
            break
        pairs = smooth[smooth.size % 2 :].reshape(-1, 2)
        detail += float(np.sum((pairs[:, 0] - pairs[:, 1]) ** 2)) / 2.0
        smooth = pairs.sum(axis=1) / np.sqrt(2.0)
    return min(1.0, detail / total)


def adf_p_value(series: FloatArray) -> float:
    """The p-value of the augmented Dickey-Fuller test with a constant and one lag.

    MacKinnon, "Approximate asymptotic distribution functions for unit-root and cointegration
    tests", J. Business and Economic Statistics 12 (1994): the response surface for a constant.
    """
    steps = np.diff(series)
    design = np.column_stack([np.ones(steps.size - 1), series[1:-1], steps[:-1]])
    target = steps[1:]
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    freedom = target.size - design.shape[1]
    if rank < design.shape[1] or freedom < 1:
        return 1.0
    residual = target - design @ solution
    variance = float(residual @ residual) / freedom
    error = np.sqrt(variance * float(np.linalg.inv(design.T @ design)[1, 1]))
    if error == 0.0:
        return 0.0
    return _mackinnon(float(solution[1] / error))


def _mackinnon(statistic: float) -> float:
    if statistic < -18.83:
        return 0.0
    if statistic > 2.74:
        return 1.0
    if statistic <= -1.61:
        surface = np.polynomial.Polynomial([2.1659, 1.4412, 0.038269])
    else:
        surface = np.polynomial.Polynomial([1.7339, 0.93202, -0.12745, -0.010368])
    return float(norm.cdf(surface(statistic)))


def is_high_volatility(market: FloatArray) -> bool:
    """Whether the latest 10-session volatility belongs to the upper of two groups.

    The groups are the exact least-squares split of the rolling volatilities; they count as two
    states only when the upper mean is at least twice the lower.
    """
    windows = np.lib.stride_tricks.sliding_window_view(market, SHORT_WINDOW)
    levels = windows.std(axis=1)
    ordered = np.sort(levels)
    sizes = np.arange(1, ordered.size)
    sums = np.cumsum(ordered)
    lower, upper = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (ordered.size - sizes)
    between = sizes * (ordered.size - sizes) * (upper - lower) ** 2
    best = int(between.argmax())
    is_two_states = bool(upper[best] >= 2.0 * lower[best])
    return is_two_states and bool(levels[-1] > ordered[best])


def _autocorrelation(series: FloatArray) -> float:
    centered = series - series.mean()
    energy = float(centered @ centered)
    return float(centered[1:] @ centered[:-1]) / energy if energy > 0.0 else 0.0


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value
