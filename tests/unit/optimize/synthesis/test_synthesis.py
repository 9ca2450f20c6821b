from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optimize.synthesis.sign_test import AtomDirection, OptimizedWeight, sign_test
from optimize.synthesis.streams import synthesize
from trademl.errors import DataError

RETURNS = arrays(
    np.float64,
    st.tuples(st.integers(1, 8), st.just(2)),
    elements=st.floats(-1, 6) | st.just(np.nan),
)


@given(RETURNS)
def test_synthesis_is_exact_cell_by_cell(returns):
    result = synthesize(returns, ["LONG", "SHORT"])
    for row in range(len(returns)):
        long, short = returns[row]
        assert result[row, 0] == long or np.isnan(long)
        expected = -min(short, 1.0)
        assert result[row, 1] == expected or (np.isnan(short) and np.isnan(result[row, 1]))
    finite = result[~np.isnan(result)]
    assert (finite >= -1.0).all()


def test_one_direction_serves_a_vector():
    assert synthesize([0.1, -1.0, 3.0], "SHORT").tolist() == [-0.1, 1.0, -1.0]
    assert synthesize([0.1, -1.0, 3.0], "LONG").tolist() == [0.1, -1.0, 3.0]
    assert synthesize([0.1, 0.2], ["SHORT"]).tolist() == [-0.1, -0.2]


@pytest.mark.parametrize("direction", ["", "long", "FLAT", None, "None"])
def test_a_direction_that_is_missing_is_not_long(direction):
    with pytest.raises(DataError, match="must be LONG or SHORT"):
        synthesize(np.zeros((2, 2)), ["LONG", direction])


def test_directions_must_match_the_columns():
    for returns, directions in [
        (np.zeros((2, 3)), ["LONG", "SHORT"]),
        (np.zeros((2, 2)), "LONG"),
        (np.zeros(2), ["LONG", "SHORT"]),
        (np.zeros((2, 2, 2)), ["LONG", "SHORT"]),
    ]:
        with pytest.raises(DataError, match="do not fit"):
            synthesize(returns, directions)


@dataclass(frozen=True)
class Table:
    dates: tuple[date, ...]
    names: tuple[str, ...]
    values: np.ndarray


DATES = tuple(date(2024, 1, 2) + timedelta(days=i) for i in range(5))
RAW = Table(
    DATES, ("X", "B_C"), np.array([[0.1, 2.0], [-0.2, 0.3], [0, -1], [0.05, 0.0], [0.3, 1]])
)
ATOMS = (
    AtomDirection("X_trend_LONG", "X", "LONG"),
    AtomDirection("B_C_trend_SHORT_1d", "B_C", "SHORT"),
)
SYNTHETIC = Table(
    DATES, tuple(a.atom_id for a in ATOMS), synthesize(RAW.values, [a.direction for a in ATOMS])
)


def codes(result) -> list[str]:
    return [finding.code for finding in result.findings]


def with_cell(table: Table, row: int, column: int, value: float) -> Table:
    values = table.values.copy()
    values[row, column] = value
    return replace(table, values=values)


def test_a_correct_matrix_passes_and_every_atom_is_checked():
    result = sign_test(SYNTHETIC, RAW, ATOMS, run_id="r1")
    assert (result.errors, result.warnings, result.checked_atoms, result.atol) == (0, 0, 2, 0.0)


def test_the_smallest_difference_fails_at_tolerance_zero():
    nudged = with_cell(SYNTHETIC, 1, 0, np.nextafter(-0.2, 0.0))
    assert codes(sign_test(nudged, RAW, ATOMS)) == ["SIGNTEST_LONG_MISMATCH"]
    assert sign_test(nudged, RAW, ATOMS, atol=1e-12).errors == 0


def test_a_short_that_was_not_inverted_or_not_capped_fails():
    plain = replace(SYNTHETIC, values=RAW.values)
    result = sign_test(plain, RAW, ATOMS, run_id="r1")
    assert codes(result) == ["SIGNTEST_SHORT_NOT_INVERTED"]
    assert (result.findings[0].symbol, result.findings[0].run_id) == ("B_C_trend_SHORT_1d", "r1")
    assert codes(sign_test(with_cell(SYNTHETIC, 0, 1, -2.0), RAW, ATOMS)) == [
        "SIGNTEST_SHORT_NOT_INVERTED"
    ]


def test_a_missing_cell_on_one_side_fails_and_on_both_passes():
    assert codes(sign_test(with_cell(SYNTHETIC, 2, 0, np.nan), RAW, ATOMS)) == [
        "SIGNTEST_NAN_MISMATCH"
    ]
    assert codes(sign_test(SYNTHETIC, with_cell(RAW, 2, 0, np.nan), ATOMS)) == [
        "SIGNTEST_NAN_MISMATCH"
    ]
    both = sign_test(with_cell(SYNTHETIC, 2, 0, np.nan), with_cell(RAW, 2, 0, np.nan), ATOMS)
    assert both.errors == 0


def test_an_index_that_shrank_or_is_not_sorted_fails():
    shorter = Table(DATES[1:], SYNTHETIC.names, SYNTHETIC.values[1:])
    result = sign_test(shorter, RAW, ATOMS)
    assert codes(result) == ["SIGNTEST_INDEX_MISMATCH"]
    assert "4 synthetic and 5 raw dates share 4" in result.findings[0].message
    doubled = replace(SYNTHETIC, dates=(DATES[0], *DATES[:4]))
    assert "SIGNTEST_INDEX_MISMATCH" in codes(sign_test(doubled, RAW, ATOMS))
    later = tuple(day + timedelta(days=100) for day in DATES)
    assert "SIGNTEST_INDEX_MISMATCH" in codes(
        sign_test(replace(SYNTHETIC, dates=later), RAW, ATOMS)
    )


def test_what_cannot_be_compared_is_an_error_not_a_pass():
    assert codes(sign_test(None, RAW, ATOMS)) == ["SIGNTEST_MISSING_SYNTHETIC"]
    assert codes(sign_test(SYNTHETIC, None, ATOMS)) == ["SIGNTEST_MISSING_RAW"]
    empty = Table((), SYNTHETIC.names, np.empty((0, 2)))
    assert codes(sign_test(empty, RAW, ATOMS)) == ["SIGNTEST_EMPTY_SYNTHETIC"]
    assert codes(sign_test(SYNTHETIC, empty, ATOMS)) == ["SIGNTEST_EMPTY_RAW"]
    assert codes(sign_test(SYNTHETIC, RAW, ())) == ["SIGNTEST_NO_ATOMS"]


def test_missing_and_undeclared_columns_are_errors():
    missing = sign_test(SYNTHETIC, RAW, (*ATOMS, AtomDirection("Y_trend_LONG", "Y", "LONG")))
    assert codes(missing) == ["SIGNTEST_MISSING_SYNTHETIC"]
    assert missing.checked_atoms == 2
    renamed = replace(RAW, names=("X", "Z"))
    assert codes(sign_test(SYNTHETIC, renamed, ATOMS)) == ["SIGNTEST_MISSING_PHYSICAL_COL"]
    undeclared = sign_test(SYNTHETIC, RAW, ATOMS[:1])
    assert codes(undeclared) == ["SIGNTEST_UNDECLARED_ATOM"]
    wrong = (ATOMS[0], replace(ATOMS[1], direction="FLAT"))
    assert codes(sign_test(SYNTHETIC, RAW, wrong)) == ["SIGNTEST_DIRECTION"]


def test_after_optimization_shorts_stand_as_long_with_weight_not_negative():
    short = ATOMS[1].atom_id
    good = [OptimizedWeight(ATOMS[0].atom_id, "LONG", 0.4), OptimizedWeight(short, "LONG", 0.6)]
    assert sign_test(SYNTHETIC, RAW, ATOMS, optimized=good).errors == 0
    noise = [OptimizedWeight(short, "LONG", -1e-12)]
    assert sign_test(SYNTHETIC, RAW, ATOMS, optimized=noise).errors == 0
    for bad in (OptimizedWeight(short, "SHORT", 0.6), OptimizedWeight(short, "LONG", -1e-9),
                OptimizedWeight(short, "LONG", float("nan"))):  # fmt: skip
        assert codes(sign_test(SYNTHETIC, RAW, ATOMS, optimized=[bad])) == [
            "SIGNTEST_OPTIMIZER_NOT_NORMALIZED"
        ]
    assert codes(sign_test(SYNTHETIC, RAW, ATOMS, optimized=[])) == ["SIGNTEST_OPTIMIZER_PARSE"]
    stranger = [OptimizedWeight("Q_trend_LONG", "LONG", 1.0)]
    assert codes(sign_test(SYNTHETIC, RAW, ATOMS, optimized=stranger)) == [
        "SIGNTEST_UNDECLARED_ATOM"
    ]
