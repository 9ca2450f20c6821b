"""One synthetic lake and one training on it, made once and copied."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

from models_ml.profile import TrainingProfile, load_profile
from models_ml.registry.model_card import TrainingReport
from models_ml.training.api import train
from tests.support.cache import copied, made_once
from tests.support.training_lakes import Size, publish
from trademl.lake.versions import Version, find_version


@dataclass(frozen=True, slots=True)
class Trained:
    data_dir: Path
    version: Version
    profile: TrainingProfile
    report: TrainingReport
    lines: tuple[str, ...]


def smallest() -> TrainingProfile:
    """The demo's profile with the smallest budget that still finds the planted signal."""
    demo = load_profile("equities_xs_demo")
    return replace(
        demo,
        trees=30,
        gates=None,
        trials=replace(demo.trials, trees=20),
        controls=replace(demo.controls, repeats=2),
    )


def trained_once(target: Path) -> Trained:
    """A training with a planted signal, on 40 names and 1300 sessions, copied to a new folder."""
    made = made_once("trained", train_once, more_sources=("models_ml", "optimize"))
    data_dir = copied(made / "data", target)
    report, lines = pickle.loads((made / "told.pickle").read_bytes())
    return Trained(data_dir, find_version(data_dir), smallest(), report, lines)


def train_once(folder: Path) -> None:
    version = publish(folder / "data", Size())
    lines: list[str] = []
    report = train(
        "equities_xs",
        data_dir=folder / "data",
        version=version,
        profile=smallest(),
        progress=lines.append,
    )
    (folder / "told.pickle").write_bytes(pickle.dumps((report, tuple(lines))))
