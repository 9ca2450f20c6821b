import pytest

from tests.support.queues import Node


@pytest.fixture
def node():
    """A queue in memory with one vendor that allows nearly everything."""
    return Node()
