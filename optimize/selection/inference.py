"""Alpha inference: Log-MPS over looked-up features and the pinned model's score.

Directional features change sign for shorts, so "higher is better" holds on both sides; there is no
sort flag that two directions could share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from optimize.inputs.pool import Pool
from optimize.profiles import MODEL_SCORE, Profile
from optimize.selection.log_mps import log_mps
from trademl.errors import DataError
from trademl.quant.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """Scores of a pool, in its order.

    Attributes:
        scores: alpha_score, shape (n,), in [0, 1].
        probabilities: Per feature, shape (n,), in [0, 1].
        raw: The values that were mapped, signed for the direction, nan where missing.
        weights: Weight per feature that was used.
        methods: Mapping method per feature that was used.
        absent: Ranked features that no candidate has a value for.
    """

    atoms: tuple[str, ...]
    scores: FloatArray
    probabilities: Mapping[str, FloatArray]
    raw: Mapping[str, FloatArray]
    weights: Mapping[str, float]
    methods: Mapping[str, str]
    absent: tuple[str, ...]

    def to_arrow(self) -> pa.Table:
        """The InferenceOutputs table: atom_id, alpha_score, one column per probability."""
        columns: dict[str, Any] = {"atom_id": list(self.atoms), "alpha_score": self.scores}
        for name in sorted(self.probabilities):
            columns[f"{name}_prob"] = self.probabilities[name]
        return pa.table(columns)

    def metadata(self) -> dict[str, Any]:
        """What the scores were made of."""
        return {
            "weights": dict(self.weights),
            "methods": dict(self.methods),
            "absent_features": list(self.absent),
        }


def infer(pool: Pool, profile: Profile, model_scores: FloatArray | None) -> Inference:
    """Scores the candidates of a pool.

    A feature that no candidate has says nothing about any of them: it is left out and named in
    the result, rather than given to everyone as the lowest probability.

    Args:
        pool: Candidates with their features at the decision date.
        profile: Ranking weights, methods and direction.
        model_scores: Shape (n,), None where the profile goes without a model.

    Raises:
        DataError: No ranked feature has a value, or the outputs break their contract.
    """
    raw = {name: _directed(name, pool, profile, model_scores) for name in profile.ranking}
    present = [name for name, values in raw.items() if np.isfinite(values).any()]
    if not present:
        raise DataError("no ranked feature has a value: check features_matrix and the profile")
    weights = {name: profile.ranking[name].weight for name in present}
    methods: dict[str, str] = {name: profile.ranking[name].method for name in present}
    used = {name: raw[name] for name in present}
    result = log_mps(used, weights, methods)
    inference = Inference(
        atoms=tuple(candidate.atom_id for candidate in pool.candidates),
        scores=result.score,
        probabilities=result.probabilities,
        raw=used,
        weights=weights,
        methods=methods,
        absent=tuple(sorted(set(raw) - set(present))),
    )
    _check_contract(inference)
    return inference


def _directed(
    name: str, pool: Pool, profile: Profile, model_scores: FloatArray | None
) -> FloatArray:
    if name == MODEL_SCORE:
        values = np.full(len(pool.candidates), np.nan) if model_scores is None else model_scores
    else:
        features = [candidate.features[name] for candidate in pool.candidates]
        values = np.array([np.nan if value is None else value for value in features])
    is_inverted = profile.ranking[name].directional and profile.direction == "SHORT"
    return -values if is_inverted else values


def _check_contract(inference: Inference) -> None:
    """Every score and probability is a number in [0, 1]."""
    columns = {"alpha_score": inference.scores, **inference.probabilities}
    for name, values in columns.items():
        if not np.isfinite(values).all() or values.min() < 0.0 or values.max() > 1.0:
            raise DataError(f"InferenceOutputs: {name} holds a value outside [0, 1]")
