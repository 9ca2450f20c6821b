"""What the tests of the alpha cycle share."""

from collections.abc import Iterator

import pytest

from tests.support.runs import without_drawing


@pytest.fixture(scope="module")
def no_drawing() -> Iterator[None]:
    """For tests of which figures are not the point; those of a healthy run draw them."""
    with without_drawing():
        yield
