import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from optimize.selection.log_mps import METHODS, log_mps, to_probability
from trademl.errors import ConfigError, DataError

VALUES = np.array([3.0, -1.0, 2.0, 2.0, np.nan, 10.0])
PRESENT = VALUES[~np.isnan(VALUES)]
Z = (PRESENT - PRESENT.mean()) / PRESENT.std()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("rank", 0.01 + 0.99 * np.array([3, 0, 1.5, 1.5, 4]) / 4),
        ("rank_desc", 0.01 + 0.99 * np.array([1, 4, 2.5, 2.5, 0]) / 4),
        ("logistic", 1 / (1 + np.exp(-Z))),
        ("zscore", (np.clip(Z, -3, 3) + 3) / 6),
        ("minmax", (PRESENT + 1) / 11),
        ("cdf", np.clip(norm.cdf(Z), 0.001, 1)),
    ],
)
def test_each_method_by_its_formula_with_missing_last(method, expected):
    result = to_probability(VALUES, method)
    np.testing.assert_allclose(result[~np.isnan(VALUES)], expected, rtol=1e-12)
    assert result[4] == 0.01


def test_extreme_values_are_clipped_where_the_method_says_so():
    values = np.concatenate([np.zeros(99), [1000.0]])
    assert to_probability(values, "zscore")[-1] == 1.0
    assert to_probability(-values, "cdf")[-1] == 0.001


def test_raw_probabilities_pass_unchanged_and_others_are_refused():
    values = np.array([0.0, 0.4, 1.0, np.nan])
    assert to_probability(values, "raw01").tolist() == [0.0, 0.4, 1.0, 0.01]
    with pytest.raises(DataError, match=r"survival: raw01 needs values in \[0, 1\]"):
        to_probability(np.array([0.5, 1.2]), "raw01", "survival")


def test_cdf_never_switches_to_raw_because_the_values_happen_to_fit():
    values = np.array([0.2, 0.5, 0.8])
    assert np.abs(to_probability(values, "cdf") - values).max() > 0.05


@pytest.mark.parametrize(
    ("method", "expected"),
    [("rank", 0.505), ("rank_desc", 0.505), ("logistic", 0.5), ("minmax", 0.5), ("cdf", 0.5)],
)
@pytest.mark.parametrize("n", [1, 5])
def test_a_constant_column_says_nothing(method, expected, n):
    assert to_probability(np.full(n, 0.3), method) == pytest.approx(expected)


def test_the_score_is_the_weighted_product():
    features = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([0.2, np.nan, 0.9])}
    weights, methods = {"a": 1.7469, "b": 0.5}, {"a": "rank", "b": "raw01"}
    result = log_mps(features, weights, methods)
    a, b = result.probabilities["a"], result.probabilities["b"]
    np.testing.assert_allclose(a, [0.01, 0.505, 1.0])
    np.testing.assert_allclose(b, [0.2, 0.01, 0.9])
    np.testing.assert_allclose(result.score, a**1.7469 * b**0.5, rtol=1e-12)


def test_a_zero_probability_floors_the_score_and_a_zero_weight_counts_nothing():
    features = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0])}
    methods = {"a": "raw01", "b": "raw01"}
    result = log_mps(features, {"a": 1.0, "b": 0.0}, methods)
    np.testing.assert_allclose(result.score, [1e-9, 1.0])


def test_features_without_weight_are_not_used():
    result = log_mps({"a": [1.0, 2.0], "junk": [np.inf, 0.0]}, {"a": 1.0}, {"a": "rank"})
    assert list(result.probabilities) == ["a"]


def test_the_order_of_the_mappings_changes_no_bit():
    rng = np.random.default_rng(0)
    features = {name: rng.standard_normal(50) for name in "abcdef"}
    weights = dict(zip("abcdef", rng.random(6).tolist(), strict=True))
    methods = dict.fromkeys("abcdef", "logistic")
    turned = log_mps(features, dict(reversed(weights.items())), methods)
    assert turned.score.tobytes() == log_mps(features, weights, methods).score.tobytes()


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=30),
    st.sampled_from(sorted(METHODS)),
    st.floats(0, 3),
)
def test_scores_and_probabilities_stay_in_range_and_follow_the_value(values, method, weight):
    result = log_mps({"x": values}, {"x": weight}, {"x": method})
    p = result.probabilities["x"]
    assert ((p >= 0) & (p <= 1)).all()
    assert ((result.score > 0) & (result.score <= 1)).all()
    order = np.argsort(np.array(values))[: np.sum(~np.isnan(values))]
    steps = np.diff(p[order])
    assert (steps <= 1e-12).all() if method == "rank_desc" else (steps >= -1e-12).all()


@pytest.mark.parametrize(
    ("features", "weights", "methods", "error"),
    [
        ({}, {}, {}, ConfigError),
        ({"a": [1.0]}, {"b": 1.0}, {"b": "rank"}, ConfigError),
        ({"a": [1.0]}, {"a": 1.0}, {}, ConfigError),
        ({"a": [1.0]}, {"a": 1.0}, {"a": "median"}, ConfigError),
        ({"a": [1.0]}, {"a": -1.0}, {"a": "rank"}, ConfigError),
        ({"a": [1.0]}, {"a": float("nan")}, {"a": "rank"}, ConfigError),
        ({"a": []}, {"a": 1.0}, {"a": "rank"}, DataError),
        ({"a": [np.inf]}, {"a": 1.0}, {"a": "rank"}, DataError),
        ({"a": [[1.0]]}, {"a": 1.0}, {"a": "rank"}, DataError),
        (
            {"a": [1.0], "b": [1.0, 2.0]},
            {"a": 1.0, "b": 1.0},
            dict.fromkeys("ab", "rank"),
            DataError,
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(features, weights, methods, error):
    with pytest.raises(error):
        log_mps(features, weights, methods)
