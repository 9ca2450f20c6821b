import pytest

from optimize.profiles import SelectionSection, load_profile
from optimize.selection.relaxation import HtrResult, Scored, identity, relax
from tests.support.candidates import changed, make_candidate
from trademl.errors import GateFailed

RULES = load_profile("us_equities_long").selection


def make_pool(
    n: int,
    n_clusters: int = 6,
    changes: dict[int, dict[str, float | None]] | None = None,
    everyone: dict[str, float | None] | None = None,
) -> list[Scored]:
    """Candidates whose score falls with their number, dealt round the clusters."""
    return [
        Scored(
            make_candidate(
                f"N{number:03d}", changes={**(everyone or {}), **(changes or {}).get(number, {})}
            ),
            1.0 - number / (2.0 * n),
            number % n_clusters,
        )
        for number in range(n)
    ]


def chosen(result: HtrResult) -> list[str]:
    return [won.scored.candidate.symbol for won in result.winners]


def test_stage_1_takes_the_best_of_each_cluster() -> None:
    result = relax(make_pool(60), RULES)
    assert result.stage == 1
    assert chosen(result) == [f"N{number:03d}" for number in range(18)]
    assert {won.stage for won in result.winners} == {1}
    assert not result.is_scarce


def test_stage_2_loosens_entropy_and_efficiency_by_fixed_factors() -> None:
    rules = changed(
        "us_equities_long", selection={"soft": {**RULES.soft.model_dump(), "entropy_max": 0.8}}
    ).selection
    pool = make_pool(60, everyone={"entropy": 0.9, "efficiency": 0.041})
    result = relax(pool, rules)
    assert result.stage == 2
    strict, loose = (record.thresholds for record in result.stages)
    assert loose.entropy_max == 1.2 * strict.entropy_max
    assert loose.efficiency_min == 0.8 * strict.efficiency_min
    assert [record.n_selected for record in result.stages] == [0, 18]
    assert {won.stage for won in result.winners} == {2}


def test_stage_2_never_loosens_entropy_beyond_one() -> None:
    result = relax(make_pool(60, everyone={"entropy": 0.9985}), RULES)
    assert result.stages[1].thresholds.entropy_max == 1.0


def test_stage_3_forces_the_best_of_clusters_without_a_winner() -> None:
    walks = {number: {"hurst": 0.5} for number in range(60) if number % 6 != 0}
    rules = RULES.model_copy(update={"target": 8})
    result = relax(make_pool(60, changes=walks), rules)
    assert result.stage == 3
    forced = [won for won in result.winners if won.stage == 3]
    assert [won.scored.candidate.symbol for won in forced] == [
        "N001",
        "N002",
        "N003",
        "N004",
        "N005",
    ]
    assert all(veto.name == "random_walk" for won in forced for veto in won.waived)


def test_stage_4_fills_to_the_target_and_names_what_it_waives() -> None:
    walks = {number: {"hurst": 0.5} for number in range(60) if number not in (0, 6, 12, 18, 24)}
    result = relax(make_pool(60, changes=walks), RULES)
    assert result.stage == 4
    assert len(result.winners) == 15
    filled = [won for won in result.winners if won.stage == 4]
    # N018 and N024 are clean but beyond their cluster's top_n: they come before any waived veto.
    clean = {won.scored.candidate.symbol for won in filled if not won.waived}
    assert clean == {"N018", "N024"}
    assert {veto.name for won in filled for veto in won.waived} == {"random_walk"}


def test_a_hard_veto_is_never_waived_not_even_for_the_target() -> None:
    barred = {number: {"entropy": 0.9995} for number in range(10)}
    barred |= {number: {"hurst": 0.5} for number in range(10, 60)}
    result = relax(make_pool(60, changes=barred), RULES)
    assert result.stage == 4
    assert len(result.winners) == 15
    assert not {f"N{number:03d}" for number in range(10)} & set(chosen(result))
    assert [veto.name for veto in result.vetoes["N000_trend_LONG"] if veto.is_hard] == ["entropy"]


def test_toxic_names_are_never_selected() -> None:
    toxic = frozenset({"id-N000", "id-N001"})
    result = relax(make_pool(60), RULES, toxic)
    assert not {"N000", "N001"} & set(chosen(result))


def test_a_small_pool_is_returned_whole_and_called_scarce() -> None:
    result = relax(make_pool(9, everyone={"hurst": 0.5}), RULES)
    assert len(result.winners) == 9
    assert result.is_scarce
    assert result.stage == 4


def test_nobody_left_is_an_error_with_an_example() -> None:
    with pytest.raises(GateFailed, match=r"NO_WINNERS.*kurtosis 50\.0"):
        relax(make_pool(5, everyone={"kurtosis": 50.0}), RULES)


def test_winners_are_capped_by_score() -> None:
    result = relax(make_pool(120, n_clusters=20), RULES)
    assert len(result.winners) == RULES.max_winners == 25
    assert chosen(result) == [f"N{number:03d}" for number in range(25)]


def test_hardening_is_applied_once() -> None:
    hardening = {"mean_entropy": 0.9, "factor": 0.9}
    rules: SelectionSection = changed(
        "us_equities_long", selection={"hardening": hardening}
    ).selection
    result = relax(make_pool(60, everyone={"entropy": 0.95}), rules)
    assert result.is_hardened
    base = 0.9 * rules.soft.entropy_max
    assert result.stages[0].thresholds.entropy_max == base
    assert result.stages[1].thresholds.entropy_max == min(1.0, 1.2 * base)
    calm = relax(make_pool(60, everyone={"entropy": 0.9}), rules)
    assert not calm.is_hardened  # the mean must exceed the trigger


def test_one_coin_in_two_dollars_is_one_identity() -> None:
    pool = [
        Scored(make_candidate("BTCUSDC", asset_class="crypto"), 0.9, 0),
        Scored(make_candidate("BTCUSDT", asset_class="crypto"), 0.8, 0),
        Scored(make_candidate("ETHUSDT", asset_class="crypto"), 0.7, 0),
    ]
    assert chosen(relax(pool, RULES)) == ["BTCUSDC", "ETHUSDT"]
    assert identity(make_candidate("USDT", asset_class="crypto")) == "id-USDT"
    assert identity(make_candidate("AUSD")) == "id-AUSD"


def test_equal_scores_are_ordered_by_name_whatever_the_input_order() -> None:
    pool = [Scored(make_candidate(name), 0.5, 0) for name in ("C", "A", "B", "D")]
    rules = RULES.model_copy(update={"target": 3})
    assert chosen(relax(pool, rules)) == chosen(relax(pool[::-1], rules)) == ["A", "B", "C"]
