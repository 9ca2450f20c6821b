"""Atomic writing of a trained model's artifacts: all of them, or none."""

import contextlib
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models_ml.data.panel import Matrix, Panel
from models_ml.registry.model_card import Parity
from trademl.errors import DataError
from trademl.files import replace_durably, sha256_of_file

PARITY_ROWS = 20_000
TOLERANCE = 1e-5


@contextlib.contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A folder to fill, which gets its final name when the block ends well, else is removed.

    The caller holds the model's lock, so a temporary folder that is already there belongs to a
    training that died.

    Raises:
        DataError: The final folder exists and its model.txt has other bytes.
    """
    temporary = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if final.exists():
            _same_model(temporary, final)
        else:
            _sync(temporary)
            replace_durably(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _same_model(new_folder: Path, old_folder: Path) -> None:
    old_hash, new_hash = (
        sha256_of_file(folder / "model.txt") for folder in (old_folder, new_folder)
    )
    if old_hash != new_hash:
        raise DataError(
            f"training {old_folder.name} again gave another model.txt ({new_hash[:12]}, "
            f"before {old_hash[:12]}) from the same inputs: LightGBM or the machine has "
            "changed; the old model stays"
        )


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_model(folder: Path, booster: lgb.Booster, features: tuple[str, ...]) -> None:
    """model.txt, model.pkl and feature_list.json."""
    booster.save_model(folder / "model.txt")
    (folder / "model.pkl").write_bytes(pickle.dumps(booster))
    (folder / "feature_list.json").write_text(json.dumps(list(features), indent=1) + "\n")


def write_onnx(folder: Path, booster: lgb.Booster, sample: Matrix) -> Parity:
    """model.onnx, and how far its predictions are from LightGBM's.

    Args:
        folder: Where to write.
        booster: The model.
        sample: float32 rows to compare on, nan included.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's dependencies
        import onnxruntime
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        shape = FloatTensorType([None, sample.shape[1]])
        model = convert_lightgbm(booster, initial_types=[("features", shape)], name="model")
        content = model.SerializeToString()
        (folder / "model.onnx").write_bytes(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options)
        scored = np.asarray(session.run(None, {"features": sample})[0]).ravel()
    gap = np.abs(scored - cast("NDArray[np.float64]", booster.predict(sample)))
    return Parity(len(sample), float(gap.max()), float(np.mean(gap > TOLERANCE)))


def parity_sample(panel: Panel) -> Matrix:
    """Rows spread evenly over the panel."""
    rows = np.linspace(0, len(panel) - 1, min(PARITY_ROWS, len(panel))).astype(np.intp)
    return panel.features[rows]


def write_predictions(folder: Path, panel: Panel, paths: NDArray[np.float32]) -> None:
    """oof_predictions.parquet: the mean over the splits that tested a row, and what came true."""
    table = pa.table(
        {
            "security_id": _decoded(panel.security, panel.securities),
            "symbol": _decoded(panel.symbol, panel.symbols),
            "session_date": panel.sessions[panel.session],
            "t0": panel.sessions[panel.label_start],
            "t1": panel.sessions[panel.label_end],
            "prediction": paths.mean(axis=0, dtype=np.float64),
            "n_splits": np.isfinite(paths).sum(axis=0).astype(np.int8),
            "ret": panel.ret,
            "ret_rel": panel.ret_rel,
        }
    )
    pq.write_table(table, folder / "oof_predictions.parquet", compression="zstd")


def _decoded(codes: NDArray[np.int32], values: NDArray[np.object_]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values.tolist(), pa.string()))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file written so far, by name."""
    return {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
