import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.portfolio.caps import project, resolve_limits


def test_attainable_caps_stay() -> None:
    limits = resolve_limits([5, 5, 5, 5], 0.30, 0.10)
    assert limits.relaxed == {}
    assert limits.cluster_cap == 0.30
    assert np.array_equal(limits.cluster_limits, np.full(4, 0.30))


def test_a_single_name_limits_its_cluster() -> None:
    limits = resolve_limits([1, 6, 6, 6], 0.35, 0.10)
    assert np.allclose(limits.cluster_limits, [0.10, 0.35, 0.35, 0.35])
    assert limits.relaxed == {}


def test_too_few_clusters_relax_the_cluster_cap_to_one_over_n() -> None:
    limits = resolve_limits([10, 10], 0.25, 0.10)
    assert limits.cluster_cap == pytest.approx(0.5)
    assert limits.relaxed == {"cluster_cap": (0.25, 0.5)}


def test_both_caps_together_relax_no_more_than_they_must() -> None:
    limits = resolve_limits([1, 14], 0.25, 0.10)
    assert limits.cluster_limits.sum() == pytest.approx(1.0)
    assert np.allclose(limits.cluster_limits, [0.10, 0.90])
    assert limits.relaxed["cluster_cap"] == pytest.approx((0.25, 0.90))
    assert "name_cap" not in limits.relaxed


def test_a_tiny_pool_relaxes_the_name_cap() -> None:
    limits = resolve_limits([2, 2], 0.25, 0.10)
    assert limits.name_cap == pytest.approx(0.25)
    assert set(limits.relaxed) == {"name_cap", "cluster_cap"}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    cluster_cap=st.floats(0.02, 1.0),
    name_cap=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**16),
)
def test_projection_respects_every_limit_and_the_sum(
    sizes: list[int], cluster_cap: float, name_cap: float, seed: int
) -> None:
    limits = resolve_limits(sizes, cluster_cap, name_cap)
    assert limits.cluster_limits.sum() >= 1.0 - 1e-9
    raw = np.random.default_rng(seed).dirichlet(np.full(len(sizes), 0.4))
    clusters = project(raw, limits.cluster_limits, 1.0)
    assert clusters.sum() == pytest.approx(1.0, abs=1e-9)
    assert clusters.min() >= 0.0
    assert (clusters <= limits.cluster_limits + 1e-9).all()
    for size, weight in zip(sizes, clusters, strict=True):
        inner = np.random.default_rng(seed + 1).dirichlet(np.ones(size))
        names = project(inner * weight, np.full(size, limits.name_cap), float(weight))
        assert names.sum() == pytest.approx(weight, abs=1e-9)
        assert (names <= limits.name_cap + 1e-9).all()


def test_projection_is_the_nearest_point() -> None:
    raw, bounds = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.5, 0.5])
    found = project(raw, bounds, 1.0)
    assert np.allclose(found, [0.4, 0.35, 0.25])
    best = min(
        float(((raw - np.array([a, b, 1.0 - a - b])) ** 2).sum())
        for a in np.linspace(0.0, 0.4, 81)
        for b in np.linspace(0.0, 0.5, 101)
        if 0.0 <= 1.0 - a - b <= 0.5
    )
    assert float(((raw - found) ** 2).sum()) <= best + 1e-12


def test_weights_within_the_limits_are_not_touched() -> None:
    raw = np.array([0.3, 0.3, 0.4])
    assert project(raw, np.array([0.5, 0.5, 0.5]), 1.0) is raw


def test_an_empty_cluster_stays_empty() -> None:
    assert np.array_equal(project(np.zeros(3), np.full(3, 0.1), 0.0), np.zeros(3))
