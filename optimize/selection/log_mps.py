"""Log-MPS: a multiplicative score of features that were first mapped to probabilities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr
from scipy.stats import rankdata

from trademl.errors import ConfigError, DataError
from trademl.quant.arrays import FloatArray

MISSING_PROBABILITY = 0.01
"""A candidate without a value gets what the last in a ranking gets."""

_SIGMA_FLOOR = 1e-9
_PROBABILITY_FLOOR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ScoreResult:
    """Scores of n candidates.

    Attributes:
        score: shape (n,), in (0, 1]: the weighted product of the probabilities.
        probabilities: per feature that was used, shape (n,), in [0, 1], never missing.
    """

    score: FloatArray
    probabilities: Mapping[str, FloatArray]


def log_mps(
    features: Mapping[str, ArrayLike],
    weights: Mapping[str, float],
    methods: Mapping[str, str],
) -> ScoreResult:
    """Score candidates by exp(sum of w ln max(p, 1e-9)), the product of p^w.

    Feed directional features with the sign of the candidate's direction, so that higher is better
    for longs and shorts alike (docs/specification/selection-synthesis-solvers.md#log-mps).

    Args:
        features: raw values per name, each of shape (n,), nan for missing.
        weights: the features to use and their weight, not negative.
        methods: how each is mapped to a probability, a key of ``METHODS``.

    Raises:
        ConfigError: no weight, a weighted feature without values or method, an unknown method, a
            weight that is negative or not finite.
        DataError: shapes differ, no candidate, an infinite value, or ``raw01`` values outside
            [0, 1].
    """
    _check(features, weights, methods)
    columns = {name: np.asarray(features[name], dtype=np.float64) for name in weights}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
        raise DataError(f"features must share one shape (n >= 1,), got {sorted(shapes)}")
    probabilities = {
        name: to_probability(column, methods[name], name) for name, column in columns.items()
    }
    total = np.zeros(next(iter(shapes)))
    for term in log_terms(probabilities, weights).values():
        total += term
    return ScoreResult(np.exp(total), probabilities)


def log_terms(
    probabilities: Mapping[str, FloatArray], weights: Mapping[str, float]
) -> dict[str, FloatArray]:
    """The summands of ln(score): w ln max(p, 1e-9) per feature, shape (n,) each.

    By name, which is the order in which they are added, whatever the mappings' own.
    """
    return {
        name: weights[name] * np.log(np.maximum(probabilities[name], _PROBABILITY_FLOOR))
        for name in sorted(weights)
    }


def to_probability(values: FloatArray, method: str, name: str = "feature") -> FloatArray:
    """Map one feature over all candidates to probabilities; missing values get .01.

    rank: .01 + .99 (average rank - 1) / (n - 1), .505 when nothing ranks; rank_desc: its mirror;
    logistic: 1 / (1 + e^-z); zscore: (clip(z, -3, 3) + 3) / 6; minmax: share of the range, .5
    without one; cdf: Phi(z) clipped to [.001, 1]; raw01: the value itself. z uses the population
    deviation, at least 1e-9. Statistics are over the values that are present.

    Args:
        values: shape (n,), nan for missing.
        method: a key of ``METHODS``.
        name: what to call the feature in an error.

    Raises:
        ConfigError: unknown method.
        DataError: an infinite value, or ``raw01`` with a value outside [0, 1].
    """
    if method not in METHODS:
        raise ConfigError(f"{name}: method {method!r} is none of {', '.join(METHODS)}")
    if np.isinf(values).any():
        raise DataError(f"{name} holds an infinite value")
    present = ~np.isnan(values)
    result = np.full(values.shape, MISSING_PROBABILITY)
    if present.any():
        try:
            result[present] = METHODS[method](values[present])
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return result


def _check(
    features: Mapping[str, ArrayLike], weights: Mapping[str, float], methods: Mapping[str, str]
) -> None:
    if not weights:
        raise ConfigError("log_mps needs at least one weighted feature")
    for name, weight in weights.items():
        if name not in features:
            raise ConfigError(f"feature {name!r} has a weight but no values")
        if name not in methods:
            raise ConfigError(f"feature {name!r} has a weight but no method")
        if not (np.isfinite(weight) and weight >= 0.0):
            raise ConfigError(f"weight of {name!r} must be finite and not negative, got {weight}")


def _rank(values: FloatArray) -> FloatArray:
    if values.size == 1:
        return np.full(1, 0.505)
    ranks = rankdata(values, method="average")
    return np.asarray(0.01 + 0.99 * (ranks - 1.0) / (values.size - 1.0))


def _scores(values: FloatArray) -> FloatArray:
    return np.asarray((values - values.mean()) / max(float(values.std()), _SIGMA_FLOOR))


def _minmax(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    if high - low <= _SIGMA_FLOOR:
        return np.full(values.shape, 0.5)
    return (values - low) / (high - low)


def _raw(values: FloatArray) -> FloatArray:
    if values.min() < 0.0 or values.max() > 1.0:
        raise DataError(
            f"raw01 needs values in [0, 1], got {values.min()} to {values.max()}: use cdf"
        )
    return values


METHODS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "rank": _rank,
    "rank_desc": lambda values: _rank(-values),
    "logistic": lambda values: np.asarray(expit(_scores(values))),
    "zscore": lambda values: (np.clip(_scores(values), -3.0, 3.0) + 3.0) / 6.0,
    "minmax": _minmax,
    "cdf": lambda values: np.clip(ndtr(_scores(values)), 0.001, 1.0),
    "raw01": _raw,
}
