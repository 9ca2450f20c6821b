from pathlib import Path

import pytest

from simulator.market.simulate import simulate_market


@pytest.fixture(scope="package")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default market, seed 7."""
    out = tmp_path_factory.mktemp("simulated") / "market"
    simulate_market(out, seed=7)
    return out
