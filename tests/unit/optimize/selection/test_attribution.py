import numpy as np
import pyarrow as pa

from optimize.inputs.pool import Pool
from optimize.profiles import Profile
from optimize.selection.attribution import attribute, select_without_model
from optimize.selection.funnel import select
from optimize.selection.inference import infer
from tests.support.candidates import changed, make_candidate

NAMES = tuple("ABCDEFGH")
MOMENTUM = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
AGAINST = np.array([-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0])
"""A model that likes what momentum does not."""
CLUSTERS = {f"{name}_trend_LONG": place for place, name in enumerate(NAMES)}


def make_pool() -> Pool:
    candidates = tuple(
        make_candidate(name, changes={"momentum": up})
        for name, up in zip(NAMES, MOMENTUM, strict=True)
    )
    return Pool(candidates, pa.table({"symbol": list(NAMES)}), {})


def two_of_eight(model_weight: float) -> Profile:
    """Two winners, ranked by momentum and the model."""
    rules = changed("us_equities_long", selection={"target": 2, "max_winners": 2}).resolved()
    rules["ranking"] = {
        "momentum": {"method": "rank", "weight": 1.0, "directional": True},
        "model_score": {"method": "rank", "weight": model_weight, "directional": True},
    }
    return Profile.model_validate(rules)


def test_contributions_of_a_name_add_up_to_its_lead_over_the_pool() -> None:
    pool, profile = make_pool(), two_of_eight(3.0)
    inference = infer(pool, profile, AGAINST)
    result = select(pool, inference, CLUSTERS, profile, frozenset())
    found = attribute(pool, inference, result, {}, None)
    logs = np.log(inference.scores)
    lead = {name: logs[NAMES.index(name)] - logs.mean() for name in NAMES}
    total = found.ranked["momentum"] + found.ranked["model_score"]
    assert np.allclose(total, [lead[item.symbol] for item in found.chosen], rtol=1e-12)
    best = found.chosen[0].symbol
    by_hand = 3.0 * (np.log(inference.probabilities["model_score"][NAMES.index(best)]))
    by_hand -= 3.0 * np.log(inference.probabilities["model_score"]).mean()
    assert np.isclose(found.ranked["model_score"][0], by_hand, rtol=1e-12)


def test_the_names_that_the_model_brings_in_and_keeps_out() -> None:
    pool, profile = make_pool(), two_of_eight(50.0)
    inference = infer(pool, profile, AGAINST)
    result = select(pool, inference, CLUSTERS, profile, frozenset())
    assert [won.scored.candidate.symbol for won in result.winners] == ["H", "G"]
    found = select_without_model(pool, inference, CLUSTERS, profile, frozenset(), result)
    assert found is not None
    assert found.entered == ("H", "G")
    assert found.displaced == ("A", "B")


def test_a_model_that_agrees_changes_nothing() -> None:
    pool, profile = make_pool(), two_of_eight(3.0)
    inference = infer(pool, profile, -AGAINST)
    result = select(pool, inference, CLUSTERS, profile, frozenset())
    found = select_without_model(pool, inference, CLUSTERS, profile, frozenset(), result)
    assert found is not None
    assert found.entered == found.displaced == ()


def test_without_a_score_there_is_nothing_to_leave_out() -> None:
    pool, profile = make_pool(), two_of_eight(3.0)
    inference = infer(pool, profile, None)
    result = select(pool, inference, CLUSTERS, profile, frozenset())
    assert select_without_model(pool, inference, CLUSTERS, profile, frozenset(), result) is None


def test_the_record_names_every_feature_and_every_chosen_name() -> None:
    pool, profile = make_pool(), two_of_eight(50.0)
    inference = infer(pool, profile, AGAINST)
    result = select(pool, inference, CLUSTERS, profile, frozenset())
    without = select_without_model(pool, inference, CLUSTERS, profile, frozenset(), result)
    terms = {"feat_a": np.array([0.25, 0.5])}
    record = attribute(pool, inference, result, terms, without).record(inference)
    assert record["ranked"]["model_score"]["weight"] == 50.0
    assert record["model"] == {"feat_a": {"mean": 0.375, "sum": 0.75}}
    assert [row["symbol"] for row in record["names"]] == ["H", "G"]
    assert [row["model"]["feat_a"] for row in record["names"]] == [0.25, 0.5]
    assert record["without_model"] == {"entered": ["H", "G"], "displaced": ["A", "B"]}
