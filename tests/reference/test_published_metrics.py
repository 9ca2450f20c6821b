"""Performance metrics against quantopian/empyrical's own test series."""

import numpy as np
import pytest

from trademl.quant.metrics import performance

# empyrical/tests/test_stats.py, "mixed_returns": nan counts as time, not as an observation.
MIXED = np.array([np.nan, 1.0, 10.0, -4.0, 2.0, 3.0, 2.0, 1.0, -10.0]) / 100


def test_mixed_returns_of_empyrical() -> None:
    metrics = performance(MIXED, 252)
    assert metrics.max_drawdown == pytest.approx(-0.1, rel=1e-12)
    assert metrics.annual_return == pytest.approx(1.9135925373, rel=1e-10)
    assert metrics.annual_volatility == pytest.approx(0.9136465400, rel=1e-9)
    assert metrics.sharpe == pytest.approx(1.7238613962, rel=1e-10)
    assert metrics.calmar == pytest.approx(19.1359253732, rel=1e-10)
    assert metrics.sortino == pytest.approx(2.605531251673555, rel=1e-10)
    assert (metrics.n_periods, metrics.n_obs) == (9, 8)
