import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.solvers.simplex import project_capped_simplex, resolve_cap
from trademl.errors import Infeasible


@settings(max_examples=200)
@given(
    weights=st.lists(st.floats(-3, 3), min_size=1, max_size=12),
    slack=st.floats(0, 1),
)
def test_the_projection_is_the_nearest_point(weights, slack):
    raw = np.array(weights)
    cap = (1.0 + slack * (raw.size - 1)) / raw.size
    point = project_capped_simplex(raw, cap)
    assert point.min() >= 0.0
    assert point.max() <= cap
    assert point.sum() == pytest.approx(1.0, abs=1e-12)
    # Nearest: moving towards any corner of the set must not come closer to the raw weights.
    rng = np.random.default_rng(raw.size)
    for _ in range(20):
        corner = np.zeros(raw.size)
        left = 1.0
        for i in rng.permutation(raw.size):
            corner[i] = min(cap, left)
            left -= corner[i]
        assert (raw - point) @ (corner - point) <= 1e-9


def test_weights_that_are_in_the_set_come_back_untouched():
    weights = np.array([0.3, 0.3, 0.4])
    assert project_capped_simplex(weights, 0.4) is weights


def test_excess_is_shared_equally_among_those_below_the_cap():
    point = project_capped_simplex(np.array([0.7, 0.2, 0.1]), 0.5)
    np.testing.assert_allclose(point, [0.5, 0.3, 0.2], atol=1e-15)


def test_caps_are_relaxed_only_where_they_must_be():
    assert resolve_cap(None, 4).reported is None
    assert resolve_cap(0.25, 4).is_relaxed is False
    assert resolve_cap(1 / 3, 3).is_relaxed is False
    relaxed = resolve_cap(0.2, 4)
    assert (relaxed.limit, relaxed.is_relaxed, relaxed.reported) == (0.25, True, 0.25)
    assert resolve_cap(5.0, 4).limit == 1.0
    for cap in (0.0, -1.0, float("nan")):
        with pytest.raises(Infeasible):
            resolve_cap(cap, 4)
