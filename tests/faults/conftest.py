"""A small market, and a lake with one published version and a second night landed."""

from pathlib import Path

import pytest

from tests.integration import lake_support


@pytest.fixture(scope="session")
def market() -> Path:
    return lake_support.year_market()


@pytest.fixture(scope="session")
def two_nights() -> Path:
    """Night 1 landed, built and published; night 2 landed. Nobody may change it."""
    return lake_support.two_nights()


@pytest.fixture(scope="session")
def both_published() -> Path:
    """Both nights built and published, undisturbed. Nobody may change it."""
    return lake_support.two_nights_published()
