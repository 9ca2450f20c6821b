"""What each ranked feature, and the model behind one of them, did for the names that were chosen.

The score is a product of powers, so its logarithm is a sum with one term per feature: what a
feature added to a name is its term less the pool's mean of it. The model's score is such a term;
LightGBM tells how the model's own features add up to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimize.inputs.pool import Candidate, Pool
from optimize.profiles import MODEL_SCORE, Profile
from optimize.selection.funnel import select
from optimize.selection.inference import Inference
from optimize.selection.log_mps import log_terms
from optimize.selection.relaxation import HtrResult
from trademl.quant.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class WithoutModel:
    """The same selection by the other features alone.

    Attributes:
        entered: Symbols that are chosen only because of the model, best score first.
        displaced: Symbols that would be chosen in their place, best score without it first.
    """

    entered: tuple[str, ...]
    displaced: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Why k names were chosen, best score first.

    Attributes:
        chosen: The names.
        scores: alpha_score, shape (k,).
        ranked: By ranked feature, shape (k,): what it added to ln(alpha_score) beyond the pool's
            mean. The sum over the features is the lead of a name over the pool.
        model: By feature of the model, shape (k,): what it added to the model's score beyond the
            mean of the training, in the units of the score. Signed for the direction: positive
            speaks for choosing the name. Empty without a model.
        without_model: None where no model's score was ranked.
    """

    chosen: tuple[Candidate, ...]
    scores: FloatArray
    ranked: Mapping[str, FloatArray]
    model: Mapping[str, FloatArray]
    without_model: WithoutModel | None

    def record(self, inference: Inference) -> dict[str, Any]:
        """The content of attribution.json."""
        return {
            "ranked": {
                name: {
                    "weight": inference.weights[name],
                    "method": inference.methods[name],
                    "mean": float(values.mean()),
                }
                for name, values in self.ranked.items()
            },
            "model": {
                name: {"mean": float(values.mean()), "sum": float(values.sum())}
                for name, values in self.model.items()
            },
            "names": [self._name_record(place) for place in range(len(self.chosen))],
            "without_model": None
            if self.without_model is None
            else {
                "entered": list(self.without_model.entered),
                "displaced": list(self.without_model.displaced),
            },
        }

    def _name_record(self, place: int) -> dict[str, Any]:
        item = self.chosen[place]
        return {
            "atom_id": item.atom_id,
            "symbol": item.symbol,
            "alpha_score": float(self.scores[place]),
            "ranked": {name: float(values[place]) for name, values in self.ranked.items()},
            "model": {name: float(values[place]) for name, values in self.model.items()},
        }


def attribute(
    pool: Pool,
    inference: Inference,
    result: HtrResult,
    model_terms: Mapping[str, FloatArray],
    without_model: WithoutModel | None,
) -> Attribution:
    """Takes the scores of the winners apart.

    Args:
        pool: The candidates.
        inference: Their scores, in the same order.
        result: Who was chosen of them.
        model_terms: By feature of the model, shape (winners,) in their order, signed for the
            direction; empty without a model.
        without_model: See ``select_without_model``.
    """
    place = {item.atom_id: row for row, item in enumerate(pool.candidates)}
    chosen = tuple(won.scored.candidate for won in result.winners)
    rows = [place[item.atom_id] for item in chosen]
    terms = log_terms(inference.probabilities, inference.weights)
    return Attribution(
        chosen=chosen,
        scores=inference.scores[rows],
        ranked={name: values[rows] - values.mean() for name, values in terms.items()},
        model=model_terms,
        without_model=without_model,
    )


def select_without_model(
    pool: Pool,
    inference: Inference,
    cluster_of: Mapping[str, int],
    profile: Profile,
    toxic: frozenset[str],
    result: HtrResult,
) -> WithoutModel | None:
    """Selects again with the model's term left out of every score, and compares.

    Vetoes, clusters and stages are the same; names that the other features cannot tell apart go by
    their atom id, as always.

    Args:
        pool: The candidates.
        inference: Their scores with the model, in the same order.
        cluster_of: Atom id to cluster.
        profile: Thresholds.
        toxic: Securities the data cycle marked as toxic.
        result: The selection with the model.

    Returns:
        None where no model's score was ranked.
    """
    if MODEL_SCORE not in inference.weights:
        return None
    terms = log_terms(inference.probabilities, inference.weights)
    others = [values for name, values in terms.items() if name != MODEL_SCORE]
    scores = np.exp(np.sum(others, axis=0)) if others else np.ones(len(inference.atoms))
    neutral = select(pool, replace(inference, scores=scores), cluster_of, profile, toxic)
    with_model, without = _symbols(result), _symbols(neutral)
    return WithoutModel(
        entered=tuple(symbol for symbol in with_model if symbol not in without),
        displaced=tuple(symbol for symbol in without if symbol not in with_model),
    )


def _symbols(result: HtrResult) -> list[str]:
    return [won.scored.candidate.symbol for won in result.winners]
