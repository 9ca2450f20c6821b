"""What the integration tests of the alpha cycle share."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from optimize.sleeve.run import AlphaResult, run_alpha
from tests.support.alpha_lakes import CLOCK, AlphaLake, make_lake, make_model
from trademl.report import plots

SMALL = {"n_equities": 24, "n_coins": 4, "n_sessions": 520}


def small_lake() -> AlphaLake:
    return make_lake(**SMALL)


def publish(data_dir: Path, built: AlphaLake) -> Path:
    """Publishes a lake and puts a model beside it; returns the model's folder."""
    built.publish(data_dir)
    return make_model(data_dir / "models" / "equities_xs" / "m1")


def run(
    data_dir: Path, run_id: str, profile: str = "us_equities_long", **options: Any
) -> AlphaResult:
    settings = {"clock": CLOCK, "model": data_dir / "models" / "equities_xs" / "m1"} | options
    return run_alpha(run_id, data_dir=data_dir, profile=profile, **settings)


@contextmanager
def without_drawing() -> Iterator[None]:
    """Figures are empty elements: drawing them takes two thirds of a run."""

    def empty(name: str, *_args: object) -> str:
        return f'<svg role="img" aria-label="{name}"></svg>'

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "figure", empty)
        yield


def load(root: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / name).read_text())
    return content


def tree_hashes(root: Path) -> dict[str, str]:
    """Content of every file below a folder, links followed."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
