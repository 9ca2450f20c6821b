import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_ml.validation.cpcv import CombinatorialPurgedCV
from trademl.errors import ConfigError, DataError


def panel(rng: np.random.Generator, n_symbols: int, n_sessions: int, longest: int):
    """A shuffled panel with gaps: (symbol, session, label end)."""
    symbol, session = np.divmod(np.arange(n_symbols * n_sessions), n_sessions)
    keep = rng.random(symbol.size) < 0.9
    keep &= ~((symbol == 0) & (session < n_sessions // 2))  # listed late
    order = rng.permutation(np.flatnonzero(keep))
    end = session + rng.integers(0, longest + 1, session.size)
    return symbol[order], session[order] + 1000, end[order] + 1000


def by_definition(cv: CombinatorialPurgedCV, symbol, start, end, groups):
    """Train and test rows by the words of the definition, one block and one row at a time."""
    group = cv.group_of(start)
    test = np.isin(group, groups)
    train = ~test
    blocks: list[list[int]] = []
    for g in groups:
        if blocks and blocks[-1][-1] == g - 1:
            blocks[-1].append(g)
        else:
            blocks.append([g])
    for block in blocks:
        inside = np.isin(group, block)
        for row in np.flatnonzero(train):
            peers = inside if cv.purge_scope == "all" else inside & (symbol == symbol[row])
            if not peers.any():
                continue
            first, last = start[peers].min(), end[peers].max()
            overlaps = start[row] <= last and end[row] >= first
            embargoed = last < start[row] <= last + cv.embargo
            train[row] = not (overlaps or embargoed)
    return np.flatnonzero(train), np.flatnonzero(test)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_groups=st.integers(2, 6),
    data=st.data(),
    embargo=st.integers(0, 6),
    longest=st.integers(0, 9),
    scope=st.sampled_from(["all", "symbol"]),
)
def test_splits_equal_the_definition_row_by_row(seed, n_groups, data, embargo, longest, scope):
    tested = data.draw(st.integers(1, n_groups - 1))
    symbol, start, end = panel(np.random.default_rng(seed), 3, 60, longest)
    cv = CombinatorialPurgedCV(n_groups, tested, embargo, scope)
    splits = list(cv.split(start, end, symbol))
    assert len(splits) == cv.n_splits
    for groups, (train, test) in zip(cv.test_groups, splits, strict=True):
        expected_train, expected_test = by_definition(cv, symbol, start, end, groups)
        np.testing.assert_array_equal(train, expected_train)
        np.testing.assert_array_equal(test, expected_test)


def test_no_training_label_touches_a_test_label_and_no_date_is_on_both_sides():
    symbol, start, end = panel(np.random.default_rng(1), 5, 200, 12)
    for train, test in CombinatorialPurgedCV(6, 2, 5).split(start, end):
        assert not set(start[train]) & set(start[test])
        overlap = (start[train][:, None] <= end[test]) & (end[train][:, None] >= start[test])
        assert not overlap.any()
        assert np.unique(symbol[train]).size == 5  # purging across symbols keeps every symbol


def test_splits_of_public_implementation_with_one_row_per_date():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio.model_selection import CombinatorialPurgedCV as Peer
    rows = np.arange(120)
    for purge, embargo in [(0, 0), (3, 0), (0, 4), (5, 6)]:
        peer = Peer(n_folds=6, n_test_folds=2, purged_size=purge, embargo_size=embargo)
        ours = CombinatorialPurgedCV(6, 2, embargo).split(rows, rows + purge)
        for (train, test), (peer_train, peer_tests) in zip(
            ours, peer.split(rows.reshape(-1, 1)), strict=True
        ):
            np.testing.assert_array_equal(train, peer_train)
            np.testing.assert_array_equal(test, np.concatenate(peer_tests))


@pytest.mark.parametrize(("n_groups", "tested"), [(5, 2), (8, 2), (6, 3), (4, 1)])
def test_paths_use_every_tested_group_of_every_split_once(n_groups, tested):
    cv = CombinatorialPurgedCV(n_groups, tested)
    paths = cv.path_splits()
    used = [(split, group) for path in paths for group, split in enumerate(path)]
    declared = [(s, g) for s, groups in enumerate(cv.test_groups) for g in groups]
    assert sorted(used) == sorted(declared)
    assert cv.n_paths * n_groups == cv.n_splits * tested


def test_groups_are_runs_of_dates_and_differ_by_at_most_one_session():
    _, start, _ = panel(np.random.default_rng(2), 4, 83, 1)
    group = CombinatorialPurgedCV(8).group_of(start)
    sizes = [np.unique(start[group == g]).size for g in range(8)]
    assert max(sizes) - min(sizes) <= 1
    order = np.argsort(start, kind="stable")
    assert (np.diff(group[order]) >= 0).all()
    for session in np.unique(start):
        assert np.unique(group[start == session]).size == 1


def test_symbol_scope_keeps_rows_that_only_other_symbols_touch():
    # Symbol 1 has no label longer than its day; symbol 0's labels of 9 sessions do not purge it.
    session = np.tile(np.arange(40), 2)
    symbol = np.repeat([0, 1], 40)
    end = session + np.where(symbol == 0, 9, 0)
    everyone = list(CombinatorialPurgedCV(4, 1, 0, "all").split(session, end))
    own = list(CombinatorialPurgedCV(4, 1, 0, "symbol").split(session, end, symbol))
    kept = np.setdiff1d(own[1][0], everyone[1][0])
    assert set(symbol[kept]) == {1}
    assert set(session[kept]) == set(range(20, 29))


def test_many_groups_still_fit_their_bits():
    start = np.arange(640)
    cv = CombinatorialPurgedCV(64, 1, 0)
    train, test = list(cv.split(start, start))[63]
    assert test.tolist() == list(range(630, 640))
    assert train.tolist() == list(range(630))


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_groups": 1},
        {"n_groups": 65},
        {"n_test_groups": 8},
        {"n_test_groups": 0},
        {"embargo": -1},
        {"purge_scope": "date"},
        {"n_groups": 30, "n_test_groups": 15},
    ],
)
def test_impossible_parameters_are_refused(arguments):
    with pytest.raises(ConfigError):
        CombinatorialPurgedCV(**arguments)


def test_bad_rows_are_refused_when_split_is_called():
    cv = CombinatorialPurgedCV(3, 1, 0)
    rows = np.arange(9)
    with pytest.raises(DataError, match="row 4: label ends at 3"):
        cv.split(rows, np.where(rows == 4, 3, rows))
    with pytest.raises(DataError, match="integer"):
        cv.split(rows.astype(float), rows)
    with pytest.raises(DataError, match="9 rows, label_end 8"):
        cv.split(rows, rows[:-1])
    with pytest.raises(DataError, match="2 sessions for 3 groups"):
        cv.split(np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(DataError, match="need 378"):
        CombinatorialPurgedCV(3, 1, min_group_sessions=126).split(rows, rows)
    with pytest.raises(ConfigError, match="symbols"):
        CombinatorialPurgedCV(3, 1, 0, "symbol").split(rows, rows)
    with pytest.raises(DataError, match="symbols has 2 rows"):
        CombinatorialPurgedCV(3, 1, 0, "symbol").split(rows, rows, ["A", "B"])
