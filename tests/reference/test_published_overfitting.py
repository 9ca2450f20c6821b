"""Probability of backtest overfitting: Bailey, Borwein, Lopez de Prado and Zhu (2017).

The figures follow from the paper's definitions (rank / (N + 1), logit <= 0) with Sharpe ratios of
ddof 1, and were recomputed from them independently of this code.
"""

import numpy as np
import pytest

from models_ml.validation.overfitting import probability_of_backtest_overfitting


def seeded_noise() -> np.ndarray:
    return np.random.default_rng(42).standard_normal((1024, 100)) * 0.01


def test_number_of_combinations() -> None:
    data = seeded_noise()[:, :3]
    assert probability_of_backtest_overfitting(data, 16).n_combinations == 12870
    result = probability_of_backtest_overfitting(data, 8)
    assert (result.n_combinations, result.logits.shape) == (70, (70,))


@pytest.mark.parametrize("n_blocks", [8, 16])
def test_demeaned_columns_of_equal_deviation_always_overfit(n_blocks: int) -> None:
    # What is best in one half is worst in the other, because both halves sum to zero.
    data = seeded_noise()
    data -= data.mean(axis=0)
    data /= data.std(axis=0)
    assert probability_of_backtest_overfitting(data, n_blocks).pbo == 1.0


def test_seeded_noise_and_one_skilled_strategy() -> None:
    data = seeded_noise()
    assert probability_of_backtest_overfitting(data, 8).pbo == pytest.approx(0.4, abs=1e-12)
    data[:, 0] += 0.002
    skilled = probability_of_backtest_overfitting(data, 8).pbo
    assert skilled == pytest.approx(0.0285714285714, abs=1e-12)


def test_odd_number_of_strategies_counts_the_median_as_overfit() -> None:
    # n = 1..7, t = 0..255: sin(.7 t n) + .02 n cos(.013 t). With 7 strategies a median rank exists,
    # and logit <= 0 (the paper) differs from logit < 0.
    t, n = np.arange(256.0)[:, None], np.arange(1.0, 8.0)[None, :]
    result = probability_of_backtest_overfitting(
        np.sin(0.7 * t * n) + 0.02 * n * np.cos(0.013 * t), 8
    )
    assert result.pbo == pytest.approx(0.842857142857, abs=1e-12)
    assert np.mean(result.logits < 0) == pytest.approx(0.771428571429, abs=1e-12)
