"""The pinned model of a run: a LightGBM booster, its feature list, its record and their hash."""

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from optimize.inputs.pool import Pool
from trademl.clock import parse_clock
from trademl.errors import ConfigError, DataError
from trademl.files import sha256_of_file
from trademl.quant.arrays import FloatArray
from trademl.runs.lineage import combine

MODEL_FILE = "model.txt"
FEATURE_FILE = "feature_list.json"
REPORT_FILE = "report.json"
MODEL_FILES = (MODEL_FILE, FEATURE_FILE, REPORT_FILE)


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A trained model on disk, by content.

    Attributes:
        folder: Where ``model.txt`` and ``feature_list.json`` lie.
        features: The columns of ``features_matrix`` that the model was trained on, in order.
        sha256: Over the model and its feature list.
        as_of: The knowledge time of the version that it was trained on.
    """

    folder: Path
    features: tuple[str, ...]
    sha256: str
    as_of: datetime


def pin_model(folder: Path) -> PinnedModel:
    """Reads a model's feature list and record, and hashes its files.

    Raises:
        DataError: A file is missing, the feature list is not a list of names, or the files are
            not what the record of their training says.
    """
    for name in MODEL_FILES:
        if not (folder / name).is_file():
            raise DataError(f"model folder {folder} has no {name}: train the model first")
    try:
        listed = json.loads((folder / FEATURE_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / FEATURE_FILE} is not JSON: {error}") from error
    names = listed.get("features") if isinstance(listed, dict) else listed
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{folder / FEATURE_FILE} is not a list of feature names: train again")
    hashes = {name: sha256_of_file(folder / name) for name in (MODEL_FILE, FEATURE_FILE)}
    _check_recorded(folder, hashes)
    as_of = trained_as_of(folder)
    if as_of is None:
        raise DataError(f"{folder / REPORT_FILE} does not say as of when: train the model again")
    return PinnedModel(folder, tuple(names), combine(*hashes.values()), as_of)


def _check_recorded(folder: Path, hashes: dict[str, str]) -> None:
    """Compares the files with what their training recorded; without a record nothing is trusted."""
    files = (read_report(folder) or {}).get("files")
    recorded = files if isinstance(files, dict) else {}
    for name, sha256 in hashes.items():
        if name not in recorded:
            raise DataError(f"{folder / REPORT_FILE} has no hash of {name}: train the model again")
        if recorded[name] != sha256:
            raise DataError(f"{folder / name} has changed since training: train again")


def trained_as_of(folder: Path) -> datetime | None:
    """As of when a model in a folder was trained, None where its record does not say.

    Raises:
        DataError: The record is broken.
    """
    text = (read_report(folder) or {}).get("as_of")
    try:
        return parse_clock(text) if isinstance(text, str) else None
    except ConfigError:
        return None


def copy_model(model: PinnedModel, target: Path) -> PinnedModel:
    """Copies the model into a run, so that the run keeps it whatever becomes of the registry."""
    target.mkdir(parents=True, exist_ok=True)
    for name in MODEL_FILES:
        shutil.copyfile(model.folder / name, target / name)
    copied = pin_model(target)
    if copied.sha256 != model.sha256:
        raise DataError(f"model {model.folder} changed while it was copied: run again")
    return copied


def score(model: PinnedModel, pool: Pool) -> FloatArray:
    """The model's prediction for every candidate, shape (n,), from the features of the pool.

    Raises:
        DataError: The lake lacks a column of the model, or the model file is broken.
    """
    return _predict(model, pool, pred_contrib=False)


def contributions(model: PinnedModel, pool: Pool) -> FloatArray:
    """What each of the model's features adds to the score of every candidate (TreeSHAP).

    Returns:
        Shape (n, features + 1), in the units of the score: the columns in the order of
        ``model.features``, then the mean prediction of the training. A row sums to the score.

    Raises:
        DataError: As for ``score``.
    """
    return _predict(model, pool, pred_contrib=True)


def _predict(model: PinnedModel, pool: Pool, *, pred_contrib: bool) -> FloatArray:
    absent = [name for name in model.features if name not in pool.rows.column_names]
    if absent:
        raise DataError(
            f"features_matrix lacks {len(absent)} of the model's features, e.g. {absent[0]}: "
            "train on this version of the lake"
        )
    try:
        booster = _booster(model)
        # float32 as in training; one thread, because the pool is small.
        inputs = pool.matrix(list(model.features)).astype(np.float32)
        predicted = booster.predict(inputs, num_threads=1, pred_contrib=pred_contrib)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"model {model.sha256[:12]} cannot score: {reason}") from error
    return np.asarray(predicted, dtype=np.float64)


def _booster(model: PinnedModel) -> lightgbm.Booster:
    booster = lightgbm.Booster(model_file=str(model.folder / MODEL_FILE))
    if booster.num_feature() != len(model.features):
        raise DataError(
            f"model {model.sha256[:12]} takes {booster.num_feature()} features, its list "
            f"names {len(model.features)}: train again"
        )
    if tuple(booster.feature_name()) != model.features:
        raise DataError(
            f"model {model.sha256[:12]} names its features otherwise than its list: train again"
        )
    return booster


def read_report(folder: Path) -> dict[str, Any] | None:
    """The model's own report, None where training left none.

    Raises:
        DataError: It is broken.
    """
    path = folder / REPORT_FILE
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    return report if isinstance(report, dict) else None
