import pytest

from tests.unit.ingest_queue.node import Node


@pytest.fixture
def node():
    """A queue in memory with one vendor that allows nearly everything."""
    return Node()
