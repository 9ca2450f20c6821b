"""Small builders for unit tests of the alpha cycle."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np

from optimize.inputs.pool import Candidate
from optimize.inputs.returns import ReturnsMatrix
from optimize.profiles import SELECTION_FEATURES, Profile, load_profile

FIT = {
    "momentum": 0.4,
    "volatility_ann": 0.25,
    "entropy": 0.95,
    "efficiency": 0.2,
    "hurst": 0.6,
    "survival": 0.9,
    "kurtosis": 2.0,
    "roc": 0.05,
    "eci": 0.01,
}


def make_candidate(
    name: str = "AAA",
    direction: str = "LONG",
    asset_class: str = "equity",
    exchange: str = "XNYS",
    changes: Mapping[str, float | None] | None = None,
    execution: Mapping[str, float | None] | None = None,
) -> Candidate:
    """A candidate that nothing vetoes, with single features or execution data changed."""
    features: dict[str, float | None] = dict.fromkeys(SELECTION_FEATURES, None)
    features |= FIT
    if direction == "SHORT":
        features["momentum"] = -0.4
    features |= changes or {}
    return Candidate(
        atom_id=f"{name}_trend_{direction}",
        security_id=f"id-{name}",
        symbol=name,
        exchange=exchange,
        asset_class=asset_class,
        sector=None,
        logic="trend",
        direction=direction,
        features=features,
        execution={"tick_size": 0.01, "lot_size": 1.0, "price_precision": 2.0} | (execution or {}),
    )


def make_matrix(values: np.ndarray, names: tuple[str, ...] | None = None) -> ReturnsMatrix:
    n_rows, n_columns = values.shape
    first = date(2020, 1, 1)
    days = tuple(first + timedelta(days=back) for back in range(n_rows))
    labels = names or tuple(f"S{number:02d}" for number in range(n_columns))
    return ReturnsMatrix(days, labels, np.asarray(values, dtype=np.float64))


def changed(profile: str, **sections: Mapping[str, object]) -> Profile:
    """A packaged profile with keys of its sections changed, checked again."""
    content = load_profile(profile).resolved()
    for section, changes in sections.items():
        content[section] = {**content[section], **changes}
    return Profile.model_validate(content)
