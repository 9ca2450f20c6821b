"""A small market, and a lake with one published version and a second night landed."""

from pathlib import Path

import pytest

from tests.support import lakes


@pytest.fixture(scope="session")
def market() -> Path:
    return lakes.year_market()


@pytest.fixture(scope="session")
def two_nights() -> Path:
    """Night 1 landed, built and published; night 2 landed. Nobody may change it."""
    return lakes.two_nights()


@pytest.fixture(scope="session")
def both_published() -> Path:
    """Both nights built and published, undisturbed. Nobody may change it."""
    return lakes.two_nights_published()
