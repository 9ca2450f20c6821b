import numpy as np
import pytest

from optimize.portfolio.regime import (
    adf_p_value,
    cluster_cap,
    detect,
    haar_turbulence,
    is_high_volatility,
)
from optimize.profiles import load_profile

RISK = load_profile("us_equities_long").risk


def noise(n: int = 500, scale: float = 0.01, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, n)


def crisis() -> np.ndarray:
    """Calm, then ten days of violent swings."""
    market = noise(scale=0.004)
    market[-10:] = np.array([0.09, -0.11] * 5)
    return market


def restless() -> np.ndarray:
    """Neither quiet nor in crisis: the last days swing twice as wide and alternate in sign."""
    market = noise()
    market[-64:] = np.tile([0.014, -0.014], 32) * np.linspace(0.8, 1.2, 64)
    return market


def test_the_caps_of_the_regimes() -> None:
    found = {
        "QUIET": detect(noise(), 252, RISK.regime, spectral=True),
        "TURBULENT": detect(restless(), 252, RISK.regime, spectral=True),
        "NORMAL": detect(restless(), 252, RISK.regime, spectral=False),
        "CRISIS": detect(crisis(), 252, RISK.regime, spectral=True),
    }
    assert {name: regime.name for name, regime in found.items()} == {name: name for name in found}
    caps = {name: cluster_cap(0.25, name, RISK.regime_caps) for name in found}
    assert caps == {"QUIET": 0.25, "NORMAL": 0.25, "TURBULENT": 0.20, "CRISIS": 0.15}


def test_a_regime_never_raises_a_cap() -> None:
    assert cluster_cap(0.1, "CRISIS", RISK.regime_caps) == 0.1


def test_too_few_observations_are_normal() -> None:
    regime = detect(noise(19), 252, RISK.regime, spectral=True)
    assert (regime.name, regime.score, regime.quadrant) == ("NORMAL", 1.0, "NORMAL")


def test_the_score_is_deterministic_and_bounded() -> None:
    first = detect(crisis(), 252, RISK.regime, spectral=True)
    assert first == detect(crisis(), 252, RISK.regime, spectral=True)
    assert first.score <= 2.5


def test_quadrants_follow_the_mean_and_the_stress() -> None:
    def quadrant(market: np.ndarray) -> str:
        return detect(market, 252, RISK.regime, spectral=True).quadrant

    flat = noise() - noise().mean()
    assert quadrant(flat) == "NORMAL"
    calm = flat.copy()
    calm[-10:] *= 0.3
    calm -= calm.mean()
    assert quadrant(calm + 0.001) == "EXPANSION"
    assert quadrant(calm - 0.001) == "STAGNATION"
    wild = crisis() - crisis().mean()
    assert quadrant(wild + 0.001) == "INFLATIONARY_TREND"
    assert quadrant(wild - 0.001) == "CRISIS"


def test_haar_energy_of_noise_and_of_a_trend() -> None:
    shares = [haar_turbulence(noise(64, seed=seed)) for seed in range(300)]
    assert np.mean(shares) == pytest.approx(0.875, abs=0.01)
    assert np.std(shares) == pytest.approx(0.058, abs=0.01)
    assert haar_turbulence(np.ones(64)) == pytest.approx(0.0, abs=1e-12)
    assert haar_turbulence(np.tile([1.0, -1.0], 32)) == pytest.approx(1.0)
    assert haar_turbulence(np.zeros(64)) == 0.0


def test_adf_rejects_noise_and_keeps_a_walk() -> None:
    assert adf_p_value(noise()) < 1e-6
    walks = [adf_p_value(np.cumsum(noise(seed=seed))) for seed in range(200)]
    assert np.mean(np.array(walks) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_two_states_of_volatility() -> None:
    calm, wild = noise(200, 0.004), noise(60, 0.03, seed=5)
    assert is_high_volatility(np.concatenate([calm, wild]))
    assert not is_high_volatility(np.concatenate([wild, calm]))
    assert not is_high_volatility(noise())
