"""Pre-optimization analysis: clusters, correlations and tail statistics of the streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kurtosis, skew

from optimize.inputs.pool import Candidate
from optimize.inputs.returns import ReturnsMatrix
from optimize.profiles import Profile
from optimize.selection.clustering import cluster
from trademl.errors import DataError, GateFailed
from trademl.quant.arrays import FloatArray
from trademl.quant.metrics import max_drawdown
from trademl.runs.artifacts import read_json

CLUSTERS_FILE = "portfolio_clusters.json"
ANTIFRAGILITY_FILE = "antifragility_stats.json"
REGIME_FILE = "regime.json"
CORRELATIONS_FILE = "correlations.json"
STRONG_CORRELATION = 0.85
ROLLING_WINDOWS = (20, 60, 180)


@dataclass(frozen=True, slots=True)
class PreOpt:
    """What the optimizer reads from the files of this step."""

    clusters: dict[str, list[str]]
    antifragility: list[dict[str, Any]]
    cluster_cap: float
    regime: dict[str, Any]


def synthetic_clusters(synthetic: ReturnsMatrix, profile: Profile) -> dict[str, list[str]]:
    """Correlation clusters of the streams the optimizer will see: shorts already inverted."""
    result = cluster(
        synthetic.values,
        threshold=profile.clusters.threshold,
        lookbacks=profile.clusters.lookbacks,
        max_clusters=profile.clusters.max_clusters,
    )
    groups: dict[str, list[str]] = {}
    for atom, label in zip(synthetic.names, result.labels.tolist(), strict=True):
        groups.setdefault(f"C{label:02d}", []).append(atom)
    return groups


def correlations(synthetic: ReturnsMatrix) -> dict[str, Any]:
    """Average pair correlation over recent windows, and the pairs that move as one."""
    averages = {
        str(window): _average_correlation(synthetic.values[-window:])
        for window in ROLLING_WINDOWS
        if window <= len(synthetic.dates)
    }
    matrix = _correlation(synthetic.values)
    pairs = [
        {"left": synthetic.names[i], "right": synthetic.names[j], "rho": float(matrix[i, j])}
        for i, j in zip(*np.triu_indices(len(synthetic.names), k=1), strict=True)
        if abs(matrix[i, j]) >= STRONG_CORRELATION
    ]
    return {"average_correlation": averages, "strong_pairs": pairs, "threshold": STRONG_CORRELATION}


def antifragility_stats(
    synthetic: ReturnsMatrix, candidates: Mapping[str, Candidate], periods_per_year: int
) -> list[dict[str, Any]]:
    """One record per atom on its synthetic stream."""
    rows = [
        _stream_stats(name, stream, candidates[name], periods_per_year)
        for name, stream in zip(synthetic.names, synthetic.values.T, strict=True)
    ]
    skews = _minmax([row["Skew"] for row in rows])
    gains = _minmax([row["Tail_Gain"] for row in rows])
    for row, by_skew, by_gain in zip(rows, skews, gains, strict=True):
        row["Antifragility_Score"] = (by_skew + by_gain) * row["Significance"]
    best = max(row["Antifragility_Score"] for row in rows)
    worst_tail = max(abs(row["CVaR_95"]) for row in rows)
    for row in rows:
        row["Fragility_Score"] = (
            (1.0 - (row["Antifragility_Score"] / best if best > 0.0 else 0.0))
            + (abs(row["CVaR_95"]) / worst_tail if worst_tail > 0.0 else 0.0)
            + 2.0 * (1.0 - row["Regime_Survival_Score"])
            + 5.0 * row["Gap_Pct"]
        )
    return rows


def load_preopt(data: Path) -> PreOpt:
    """What the pre-optimization step left on file.

    Raises:
        GateFailed: A file is missing or cannot be read: optimization refuses to guess.
    """
    try:
        clusters = read_json(data / CLUSTERS_FILE)["clusters"]
        records = read_json(data / ANTIFRAGILITY_FILE)["records"]
        regime = read_json(data / REGIME_FILE)
        return PreOpt(clusters, records, float(regime["cluster_cap"]), regime)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise GateFailed(
            f"PREOPT_MISSING: optimization needs clusters, antifragility and regime files: {error}"
        ) from error


def _stream_stats(
    name: str, stream: FloatArray, candidate: Candidate, periods_per_year: int
) -> dict[str, Any]:
    low, high = np.quantile(stream, 0.05), np.quantile(stream, 0.95)
    losses = stream[stream <= low]
    gains = stream[stream > high]
    is_moving = float(np.ptp(stream)) > 0.0
    survival, gap = candidate.features["survival"], candidate.features["gap_ratio"]
    return {
        "Symbol": name,
        "Direction": candidate.direction,
        "Vol": float(stream.std() * np.sqrt(periods_per_year)),
        "Skew": float(skew(stream)) if is_moving else 0.0,
        "Kurtosis": float(kurtosis(stream)) if is_moving else 0.0,
        "Tail_Gain": float(gains.mean()) if gains.size else 0.0,
        "VaR_95": float(low),
        "CVaR_95": float(losses.mean()),
        "Tail_Ratio": float(high / abs(low)) if low != 0.0 else None,
        "Max_Drawdown": max_drawdown(stream),
        "N": int(stream.size),
        "Bars": int(stream.size),
        "Significance": min(1.0, stream.size / periods_per_year),
        # No stress calendar reaches the run; 0.5 is the value for "not tested".
        "Regime_Survival_Score": 0.5 if survival is None else survival,
        "Gap_Pct": 0.0 if gap is None else gap,
        "ADX": candidate.features["adx"],
    }


def _minmax(values: list[float]) -> list[float]:
    low, high = min(values), max(values)
    if high == low:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]


def _correlation(values: FloatArray) -> FloatArray:
    centered = values - values.mean(axis=0)
    norms = np.sqrt((centered**2).sum(axis=0))
    return np.asarray((centered.T @ centered) / np.outer(norms, norms))


def _average_correlation(values: FloatArray) -> float | None:
    if values.shape[1] < 2:
        return None
    matrix = _correlation(values)
    return float(matrix[np.triu_indices(values.shape[1], k=1)].mean())
