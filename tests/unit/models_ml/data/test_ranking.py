import numpy as np
import pytest
from scipy import stats

from models_ml.data.ranking import centered_ranks, group_ranks, newey_west_t, rank_ic, starts_of

SESSION = np.repeat(np.arange(6, dtype=np.int32), [7, 1, 2, 20, 3, 11])
STARTS = starts_of(SESSION)
VALUES = np.round(np.random.default_rng(0).standard_normal(len(SESSION)), 1)
OTHER = np.round(np.random.default_rng(1).standard_normal(len(SESSION)) + VALUES, 1)


def test_starts_of_runs() -> None:
    assert STARTS.tolist() == [0, 7, 8, 10, 30, 33]
    assert starts_of(np.empty(0, np.int32)).tolist() == []


def test_ranks_with_ties_agree_with_scipy_in_every_session() -> None:
    expected = np.concatenate([stats.rankdata(VALUES[s == SESSION]) for s in range(6)])
    assert group_ranks(VALUES, STARTS).tolist() == expected.tolist()


def test_centered_ranks_span_one_both_ways_and_sum_to_zero() -> None:
    ranks = centered_ranks(np.arange(len(SESSION)), STARTS)
    assert ranks[:7].tolist() == pytest.approx([-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1])
    assert ranks[7] == 0
    assert np.add.reduceat(centered_ranks(VALUES, STARTS), STARTS) == pytest.approx(np.zeros(6))


def test_rank_ic_is_spearmans_correlation() -> None:
    ics = rank_ic(centered_ranks(VALUES, STARTS), centered_ranks(OTHER, STARTS), STARTS)
    for session in (0, 3, 4, 5):
        own = session == SESSION
        expected = stats.spearmanr(VALUES[own], OTHER[own]).statistic
        assert ics[session] == pytest.approx(expected)


def test_too_few_names_or_only_ties_have_no_ic() -> None:
    flat = np.where(SESSION == 3, 1.0, VALUES)
    ics = rank_ic(centered_ranks(flat, STARTS), centered_ranks(OTHER, STARTS), STARTS)
    assert np.isnan(ics).tolist() == [False, True, True, True, False, False]


def test_t_statistic_without_overlap_is_the_plain_one() -> None:
    series = np.random.default_rng(2).standard_normal(200) + 0.2
    plain = series.mean() / (series.std() / np.sqrt(200))
    assert newey_west_t(series, 0) == pytest.approx(plain)


def test_overlap_lowers_the_t_statistic_of_correlated_terms() -> None:
    noise = np.random.default_rng(3).standard_normal(2000)
    overlapping = np.convolve(noise, np.ones(5), "valid") + 0.5
    ratio = newey_west_t(overlapping, 0) / newey_west_t(overlapping, 4)
    # The variance of a mean of 5-term sums is 5 times the naive one; Bartlett's weights give 3.4.
    assert ratio == pytest.approx(np.sqrt(3.4), rel=0.1)


def test_no_evidence_is_zero() -> None:
    assert newey_west_t(np.array([np.nan, 1.0]), 3) == 0.0
    assert newey_west_t(np.ones(5), 1) == 0.0
