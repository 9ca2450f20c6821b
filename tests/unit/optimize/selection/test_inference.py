import numpy as np
import pyarrow as pa
import pytest

from optimize.inputs.pool import Pool
from optimize.profiles import Profile
from optimize.selection.inference import infer
from tests.support.candidates import changed, make_candidate
from trademl.errors import DataError

MOMENTUM = (0.1, 0.5, 0.3, -0.2, 0.0)
ENTROPY = (0.95, 0.93, 0.97, 0.91, 0.99)
SCORES = np.array([0.02, 0.01, 0.05, -0.03, 0.0])


def make_pool(direction: str = "LONG") -> Pool:
    candidates = tuple(
        make_candidate(name, direction, changes={"momentum": up, "entropy": noise, "adx": None})
        for name, up, noise in zip("ABCDE", MOMENTUM, ENTROPY, strict=True)
    )
    return Pool(candidates, pa.table({"symbol": list("ABCDE")}), {})


def toy(profile: str = "us_equities_long") -> Profile:
    """Three features with hand-picked weights."""
    content = changed(profile).resolved()
    content["ranking"] = {
        "momentum": {"method": "rank", "weight": 2.0, "directional": True},
        "entropy": {"method": "rank_desc", "weight": 0.5},
        "model_score": {"method": "rank", "weight": 1.0, "directional": True},
    }
    return Profile.model_validate(content)


def ranks(values: tuple[float, ...] | np.ndarray) -> np.ndarray:
    places = np.argsort(np.argsort(values))
    return 0.01 + 0.99 * places / 4


def test_the_score_is_the_weighted_product_of_probabilities() -> None:
    """By hand on five candidates and three features."""
    found = infer(make_pool(), toy(), SCORES)
    by_hand = ranks(MOMENTUM) ** 2.0 * ranks(-np.array(ENTROPY)) ** 0.5 * ranks(SCORES)
    assert np.allclose(found.scores, by_hand, rtol=1e-12)
    assert found.to_arrow().column_names == [
        "atom_id",
        "alpha_score",
        "entropy_prob",
        "model_score_prob",
        "momentum_prob",
    ]


def test_directional_features_change_sign_for_shorts_and_others_do_not() -> None:
    found = infer(make_pool("SHORT"), toy("us_equities_short"), SCORES)
    by_hand = ranks(-np.array(MOMENTUM)) ** 2.0 * ranks(-np.array(ENTROPY)) ** 0.5 * ranks(-SCORES)
    assert np.allclose(found.scores, by_hand, rtol=1e-12)
    assert int(found.scores.argmax()) == 3  # the falling name with the worst model score


def test_a_feature_nobody_has_is_left_out_and_named() -> None:
    found = infer(make_pool(), toy(), None)
    assert found.absent == ("model_score",)
    assert set(found.probabilities) == {"momentum", "entropy"}


def test_a_candidate_without_a_value_comes_last() -> None:
    pool = make_pool()
    blind = make_candidate("Z", changes={"momentum": None, "entropy": None})
    larger = Pool((*pool.candidates, blind), pa.table({"symbol": list("ABCDEZ")}), {})
    found = infer(larger, toy(), np.append(SCORES, np.nan))
    assert int(found.scores.argmin()) in (3, 5)
    assert found.probabilities["momentum"][5] == 0.01


def test_nothing_to_rank_by_is_an_error() -> None:
    content = changed("us_equities_long").resolved()
    content["ranking"] = {"adx": {"method": "cdf", "weight": 1.0}}
    with pytest.raises(DataError, match="no ranked feature has a value"):
        infer(make_pool(), Profile.model_validate(content), None)
