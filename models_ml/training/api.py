"""The public API of training: trains a model on one published version of the lake."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import lightgbm as lgb
from filelock import FileLock, Timeout

from models_ml.data.green_gate import GateCheck, check_gates, left_out
from models_ml.data.panel import Panel, load_panel
from models_ml.profile import TrainingProfile, find_profile
from models_ml.registry import store
from models_ml.registry.model_card import TrainingReport
from models_ml.training.pipeline import Job, fit_and_publish, refuse_leaks
from models_ml.validation.foresight import known_by, truncation
from models_ml.validation.negative_controls import ControlResult
from models_ml.validation.out_of_fold import Progress
from trademl import __version__
from trademl.errors import ConfigError, DataError
from trademl.lake import versions as lake
from trademl.lake.versions import Version


def train_if_ready(
    model_name: str,
    *,
    data_dir: Path,
    profile_name: str | None = None,
    version_name: str | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Trains a model on the newest (or a named) published version when its tables are GREEN there.

    Raises:
        GateFailed: They are not; the message names each table with its numbers.
        ConfigError: The profile is wrong.
        DataError: Nothing is published, or the data is not enough.
    """
    profile = find_profile(model_name, profile_name)
    version = lake.find_version(data_dir, version_name)
    return train(model_name, data_dir=data_dir, version=version, profile=profile, progress=progress)


def train(
    model_name: str,
    *,
    data_dir: Path,
    version: Version,
    profile: TrainingProfile,
    progress: Progress | None = None,
    again: bool = False,
) -> TrainingReport:
    """Trains a model and leaves its artifacts in ``<data_dir>/models/<model_name>/<model_id>/``.

    The id follows from the content of the data, the profile and the code, so training twice on the
    same inputs finds the finished model and fits nothing.

    Args:
        model_name: The profile must be for it.
        data_dir: Holds the lake, and receives the model.
        version: The published version to read.
        profile: Everything that a person may decide.
        progress: Told of every step in one line.
        again: Fit also where the model exists, and fail when model.txt gets other bytes.

    Raises:
        GateFailed: A table is not GREEN, or a control found a leak.
        DataError: Too little data, or another training of this model is running.
        ConfigError: The profile is for another model or matches no features.
    """
    if profile.model != model_name:
        raise ConfigError(f"the profile trains {profile.model!r}, not {model_name!r}")
    say = progress or _silent
    with _exclusive(store.models_dir(data_dir) / model_name):
        gates, panel, truncated = _read(version, profile, data_dir, say)
        refuse_leaks(profile, (truncated,))
        code = code_version()
        model_id = model_id_of(panel, profile, code)
        job = Job(data_dir, version, profile, model_id, code, gates, truncated, say)
        if job.folder.exists() and not again:
            say(f"{model_name} {model_id}: already trained on exactly this data, profile and code")
        else:
            fit_and_publish(job, panel)
        store.point_latest(data_dir, model_name, model_id)
    return store.load_report(data_dir, model_name, model_id)


def model_id_of(panel: Panel, profile: TrainingProfile, code: str) -> str:
    """Sixteen hexadecimal digits from the content of the data, the profile and the code."""
    inputs = [panel.digest(), json.dumps(asdict(profile), sort_keys=True), code]
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]


def code_version() -> str:
    """The package's version, LightGBM's, and a hash over the sources that decide a model.

    These are this package's and the numerics that it judges trials with.
    """
    package = Path(__file__).resolve().parents[1]
    state = hashlib.sha256()
    for folder in (package, package.parent / "trademl" / "quant"):
        for path in sorted(folder.rglob("*.py")):
            state.update(path.relative_to(folder).as_posix().encode())
            state.update(path.read_bytes())
    return f"{__version__}+{state.hexdigest()[:12]}, lightgbm {lgb.__version__}"


def _silent(_: str) -> None:
    """Nobody wants to know."""


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One training of a model at a time: a second would remove the first one's temporary folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DataError(
            f"another training of {folder.name} is running; wait for it to end"
        ) from error
    except OSError as error:
        raise DataError(
            f"the model cannot be written under {folder}: {error.strerror or error}; "
            "free or unlock the data directory and train again"
        ) from error


def _read(
    version: Version, profile: TrainingProfile, data_dir: Path, say: Progress
) -> tuple[tuple[GateCheck, ...], Panel, ControlResult]:
    """What the version knew: gates, the rows known as of it, and whether it held later ones."""
    connection = lake.open_version(data_dir, version)
    try:
        gates = check_gates(connection, version, profile.model, profile.gates, profile.universe)
        for check in gates:
            say(f"gate {check.line()}")
            if check.left_out:
                say(check.names_line())
        panel = load_panel(connection, profile, left_out(gates))
    finally:
        connection.close()
    truncated = truncation(panel, version.as_of)
    say(truncated.line())
    if truncated.offending:
        panel = panel.take(known_by(panel, version.as_of))
    if not len(panel):
        raise DataError(f"no row was known as of {version.as_of}: build the lake again")
    say(f"{len(panel)} rows of {len(panel.feature_names)} features from version {version.name}")
    return gates, panel, truncated
