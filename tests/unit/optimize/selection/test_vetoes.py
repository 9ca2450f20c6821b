import pytest

from optimize.profiles import load_profile
from optimize.selection.vetoes import Veto, hard_vetoes, signed_momentum, soft_vetoes
from tests.support.candidates import make_candidate

PROFILE = load_profile("us_equities_long")
HARD, SOFT = PROFILE.selection.hard, PROFILE.selection.soft


def names(found: tuple[Veto, ...]) -> list[str]:
    return [veto.name for veto in found]


def test_a_fit_candidate_has_no_veto() -> None:
    assert hard_vetoes(make_candidate(), HARD, frozenset()) == ()
    assert soft_vetoes(make_candidate(), SOFT) == ()
    assert soft_vetoes(make_candidate(direction="SHORT"), SOFT) == ()


@pytest.mark.parametrize(
    ("feature", "bad", "good"),
    [
        ("survival", 0.099, 0.1),
        ("kurtosis", 20.1, 20.0),
        ("volatility_ann", 2.51, 2.5),
        ("volatility_ann", 0.019, 0.02),
        ("roc", 1.01, 1.0),
        ("roc", -0.81, -0.8),
        ("entropy", 0.9991, 0.999),
    ],
)
def test_hard_vetoes_both_ways(feature: str, bad: float, good: float) -> None:
    vetoed = hard_vetoes(make_candidate(changes={feature: bad}), HARD, frozenset())
    assert names(vetoed) == [feature]
    assert vetoed[0].value == bad
    assert vetoed[0].is_hard
    assert hard_vetoes(make_candidate(changes={feature: good}), HARD, frozenset()) == ()


@pytest.mark.parametrize(
    ("name", "changes", "fit"),
    [
        ("entropy", {"entropy": 0.996}, {"entropy": 0.995}),
        ("efficiency", {"efficiency": 0.049}, {"efficiency": 0.05}),
        ("random_walk", {"hurst": 0.5}, {"hurst": 0.521}),
        ("random_walk", {"hurst": 0.48}, {"hurst": 0.479}),
        ("momentum", {"momentum": -0.01, "eci": -1.0}, {"momentum": 0.0, "eci": -1.0}),
        ("friction", {"momentum": 0.1, "eci": 0.11}, {"momentum": 0.1, "eci": 0.1}),
        ("missing_entropy", {"entropy": None}, {}),
        ("missing_eci", {"eci": None}, {}),
    ],
)
def test_soft_vetoes_both_ways(
    name: str, changes: dict[str, float | None], fit: dict[str, float | None]
) -> None:
    vetoed = soft_vetoes(make_candidate(changes=changes), SOFT)
    assert names(vetoed) == [name]
    assert not vetoed[0].is_hard
    assert soft_vetoes(make_candidate(changes=fit), SOFT) == ()


def test_momentum_is_judged_as_the_direction_wants_it() -> None:
    rising, falling = {"momentum": 0.3}, {"momentum": -0.3}
    assert names(soft_vetoes(make_candidate(changes=falling), SOFT)) == ["momentum", "friction"]
    assert soft_vetoes(make_candidate(direction="SHORT", changes=falling), SOFT) == ()
    shorted = soft_vetoes(make_candidate(direction="SHORT", changes=rising), SOFT)
    assert names(shorted) == ["momentum", "friction"]
    assert signed_momentum(make_candidate(direction="SHORT", changes=rising)) == -0.3


def test_a_strong_trend_may_pay_for_friction() -> None:
    crypto = load_profile("crypto_long").selection.soft  # hurdle -.6, so 1.25 of it is -.75
    strong = make_candidate(changes={"momentum": 1.1, "eci": 1.8})
    weak = make_candidate(changes={"momentum": 0.9, "eci": 1.6})
    hopeless = make_candidate(changes={"momentum": 1.1, "eci": 1.9})
    assert soft_vetoes(strong, crypto) == ()
    assert names(soft_vetoes(weak, crypto)) == ["friction"]
    assert names(soft_vetoes(hopeless, crypto)) == ["friction"]


def test_toxic_and_unlisted_names_are_barred() -> None:
    toxic = hard_vetoes(make_candidate(), HARD, frozenset({"id-AAA"}))
    assert names(toxic) == ["toxic"]
    unlisted = make_candidate(exchange="")
    assert names(hard_vetoes(unlisted, HARD, frozenset())) == ["missing_metadata"]
    for name in ("tick_size", "lot_size", "price_precision"):
        (unknown,) = hard_vetoes(make_candidate(execution={name: None}), HARD, frozenset())
        assert (unknown.name, unknown.limit) == ("missing_metadata", f"a known {name}")
    # A market that lists nothing has no metadata to miss.
    assert hard_vetoes(unlisted, HARD, frozenset(), is_metadata_known=False) == ()


def test_a_veto_tells_its_value() -> None:
    veto = soft_vetoes(make_candidate(changes={"efficiency": 0.01}), SOFT)[0]
    assert veto.describe() == "soft efficiency 0.01 (at least 0.05)"
