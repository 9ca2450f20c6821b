"""What unit tests of several packages share."""

import pytest

from models_ml.profile import TrainingProfile
from tests.support.trainings import Trained, smallest, trained_once


@pytest.fixture(scope="session")
def profile() -> TrainingProfile:
    return smallest()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_once(tmp_path_factory.mktemp("trained") / "data")
