"""A small market, and a lake with one published version and a second night landed."""

from datetime import date
from pathlib import Path

import pytest

from simulator.market.clocks import market_clock, previous_clock
from simulator.market.simulate import simulate_market
from tests.integration.lake_support import land_night
from trademl.lake.build import build_lake


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market") / "simulated"
    span = {"start": date(2020, 12, 1), "end": date(2021, 12, 31)}
    simulate_market(folder, seed=3, n_symbols=24, n_crypto=2, **span)
    return folder


@pytest.fixture(scope="session")
def two_nights(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Night 1 landed, built and published; night 2 landed."""
    data = tmp_path_factory.mktemp("nights") / "data"
    land_night(market, data, previous_clock(market))
    build_lake(data, previous_clock(market))
    land_night(market, data, market_clock(market))
    return data
