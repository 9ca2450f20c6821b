"""What the tests over loopback share."""

import pytest
import stamina


@pytest.fixture
def data(tmp_path):
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def no_waits():
    """Three tries as always, without waits between them."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield
