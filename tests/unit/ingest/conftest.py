import pytest
import stamina


@pytest.fixture(autouse=True)
def no_waiting():
    """Retries happen, the waits between them do not."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield
