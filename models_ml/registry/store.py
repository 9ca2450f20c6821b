"""Trained models on disk: ``<data>/models/<name>/<model_id>/``, and which of them is the latest.

A model's folder appears whole or not at all. ``LATEST`` is replaced after it, so it never names a
folder that is not there. model.txt and feature_list.json are enough to use a model without this
package.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models_ml.registry.folders import LATEST as LATEST
from models_ml.registry.folders import model_dir as model_dir
from models_ml.registry.folders import models_dir as models_dir
from models_ml.registry.model_card import TrainingReport, from_json
from trademl.errors import DataError
from trademl.files import sha256_of_file, write_atomic


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model ready to predict.

    Attributes:
        name: The model's name.
        model_id: Its folder.
        path: Its model.txt.
        feature_list: Columns of the matrix that ``predict`` takes, in order.
        sha256: Of model.txt: what an alpha run pins.
        booster: LightGBM's own object.
    """

    name: str
    model_id: str
    path: Path
    feature_list: tuple[str, ...]
    sha256: str
    booster: lgb.Booster

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores rows; higher is better.

        Args:
            features: (n, features) float32 in the order of ``feature_list``; nan where unknown.

        Raises:
            DataError: The matrix has another shape or type than the model was trained on.
        """
        if features.ndim != 2 or features.shape[1] != len(self.feature_list):
            raise DataError(
                f"{self.name} takes {len(self.feature_list)} features per row, "
                f"got shape {features.shape}"
            )
        if features.dtype != np.float32:
            raise DataError(f"{self.name} was trained on float32, got {features.dtype}")
        return cast("NDArray[np.float64]", self.booster.predict(features))


def latest_model_id(data_dir: Path, name: str) -> str:
    """The id that was trained last.

    Raises:
        DataError: The model was never trained.
    """
    pointer = models_dir(data_dir) / name / LATEST
    if not pointer.is_file():
        raise DataError(f"model {name!r} was never trained: run `trademl train {name}` first")
    return str(json.loads(pointer.read_text())["model_id"])


def point_latest(data_dir: Path, name: str, model_id: str) -> None:
    """Makes a model the latest; the last step of a training."""
    pointer = models_dir(data_dir) / name / LATEST
    write_atomic(pointer, json.dumps({"model_id": model_id}) + "\n")


def load_report(data_dir: Path, name: str, model_id: str | None = None) -> TrainingReport:
    """The report of a trained model, of the latest by default.

    Raises:
        DataError: There is no such model, or its report cannot be read.
    """
    folder = model_dir(data_dir, name, model_id or latest_model_id(data_dir, name))
    try:
        return from_json((folder / "report.json").read_text())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"model {name} {folder.name} has no readable report: {first}") from error


def load_model(data_dir: Path, name: str, model_id: str | None = None) -> TrainedModel:
    """Opens a trained model, the latest by default.

    Raises:
        DataError: There is no such model, or model.txt is not what its training wrote.
    """
    report = load_report(data_dir, name, model_id)
    folder = model_dir(data_dir, name, report.model_id)
    path = folder / "model.txt"
    sha256 = sha256_of_file(path)
    if sha256 != report.files["model.txt"]:
        raise DataError(f"{path} has changed since training: SHA-256 {sha256}: train again")
    features = tuple(json.loads((folder / "feature_list.json").read_text()))
    return TrainedModel(name, report.model_id, path, features, sha256, lgb.Booster(model_file=path))
