"""Selection figures: rank probability, permutation entropy, short inversion, half-life."""

import numpy as np
import pytest

from models_ml.data.sample_weights import time_decay
from optimize.selection.log_mps import log_mps
from optimize.synthesis.streams import synthesize
from trademl.quant.complexity import permutation_entropy


def test_rank_to_probability() -> None:
    # Log-MPS maps ranks by .01 + .99 (rank - 1) / (n - 1).
    result = log_mps({"x": [1.0, 2.0, 3.0, 4.0]}, {"x": 1.0}, {"x": "rank"})
    assert result.probabilities["x"] == pytest.approx([0.01, 0.34, 0.67, 1.0], rel=1e-12)


def test_permutation_entropy_of_bandt_and_pompe() -> None:
    # Bandt and Pompe (2002), the example of order 3: 1.5219 bits of log2(6).
    value = permutation_entropy([4, 7, 9, 10, 6, 11, 3], order=3)
    assert value == pytest.approx(0.58876, abs=5e-6)
    assert value * np.log2(6) == pytest.approx(1.5219, abs=5e-5)


def test_short_inversion_is_exact() -> None:
    # -clip(R, upper = 1): docs/specification/selection-synthesis-solvers.md#atoms-and-synthesis.
    assert synthesize(np.array([0.1, -0.2, 1.5]), "SHORT").tolist() == [-0.1, 0.2, -1.0]


def test_half_life_of_eighteen_months() -> None:
    # Weight .5 at 18 months of 30.4375 days (547.875 days; 548 rounds it up).
    end = np.datetime64("2024-07-01")
    weight = time_decay(np.array([end - 548, end]), end, half_life_months=18.0, floor=1e-6)
    assert weight == pytest.approx([0.5 ** (548 / 547.875), 1.0], rel=1e-6)
    assert weight[0] == pytest.approx(0.5, abs=1e-4)
