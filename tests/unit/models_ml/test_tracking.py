from pathlib import Path

import pytest

from models_ml.tracking import STORE, TrialLog
from trademl.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_only_different_trials_count(folder: Path) -> None:
    log = TrialLog(folder, "some_model")
    assert log.count_configurations() == 0
    for name in ("a", "b", "a"):
        log.log(name, "trial", {"x": 1}, {"ic": 0.1}, {"configuration": name})
    log.log("c", "control", {"x": 1}, {"ic": float("nan")}, {})
    assert log.count_configurations() == 2
    assert TrialLog(folder, "some_model").count_configurations() == 2
    assert TrialLog(folder, "another").count_configurations() == 0


def test_nothing_in_the_store_depends_on_where_it_lies(folder: Path) -> None:
    TrialLog(folder, "some_model").log("a", "trial", {}, {}, {"configuration": "a"})
    assert str(folder).encode() not in (folder / STORE).read_bytes()


def test_telemetry_is_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    TrialLog(folder, "some_model")
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


@pytest.mark.parametrize("kind", ["folder", "garbage"])
def test_a_store_that_cannot_be_used_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (tmp_path / STORE).mkdir()
    else:
        (tmp_path / STORE).write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"cannot be logged in models/mlflow\.db: ") as caught:
        TrialLog(tmp_path, "some_model")
    assert "\n" not in str(caught.value)
