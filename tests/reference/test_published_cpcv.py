"""Combinatorial purged cross-validation: Lopez de Prado (2018), chapters 7 and 12.

12 rows, 3 groups, 2 test groups with purge 1 or embargo 1 is the worked case of public
implementations (skfolio's CombinatorialPurgedCV splits the same, see tests/unit/models_ml). A purge
of p rows there is a label here that ends p sessions after its row.
"""

import numpy as np
import pytest

from models_ml.validation.cpcv import CombinatorialPurgedCV

ROWS = np.arange(12)


@pytest.mark.parametrize(
    ("purge", "embargo", "expected"),
    [
        (0, 0, [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]),
        (1, 0, [[9, 10, 11], [5, 6], [0, 1, 2]]),
        (0, 1, [[9, 10, 11], [5, 6, 7], [0, 1, 2, 3]]),
    ],
)
def test_train_sets_of_twelve_rows(purge: int, embargo: int, expected: list[list[int]]) -> None:
    splits = list(CombinatorialPurgedCV(3, 2, embargo).split(ROWS, ROWS + purge))
    assert [train.tolist() for train, _ in splits] == expected
    assert [test.tolist() for _, test in splits] == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 8, 9, 10, 11],
        [4, 5, 6, 7, 8, 9, 10, 11],
    ]


@pytest.mark.parametrize(("groups", "tested", "splits", "paths"), [(5, 2, 10, 4), (8, 2, 28, 7)])
def test_numbers_of_splits_and_paths(groups: int, tested: int, splits: int, paths: int) -> None:
    cv = CombinatorialPurgedCV(groups, tested)
    assert (cv.n_splits, cv.n_paths) == (splits, paths)
    assert cv.path_splits().shape == (paths, groups)


def test_middle_fold_of_a_panel_keeps_sixty_of_a_hundred_dates() -> None:
    # 3 symbols x 100 sessions, 5 groups, horizon 5, embargo 10 from the block's last label end:
    # 100 - 20 tested - 5 before - 5 after - 10 embargoed (Lopez de Prado 2018, chapter 7).
    session = np.tile(np.arange(100), 3)
    symbol = np.repeat([0, 1, 2], 100)
    splits = list(CombinatorialPurgedCV(5, 1, 10).split(session, session + 5))
    train, _ = splits[2]
    assert len(train) == 180
    assert np.unique(session[train]).size == 60
    assert np.unique(symbol[train]).size == 3
