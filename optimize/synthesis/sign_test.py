"""The sign test: synthetic streams and optimized weights against each atom's direction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

from optimize.synthesis.streams import LONG, SHORT, synthesize
from trademl.quant.arrays import FloatArray

Level = Literal["ERROR", "WARN"]

NET_WEIGHT_TOLERANCE = -1e-12
"""A synthetic long may carry this much negative weight as rounding noise."""


class ReturnTable(Protocol):
    """Returns in a table: T dates (ascending, unique), N names, float64 values of shape (T, N)."""

    @property
    def dates(self) -> Sequence[date]:
        """The T dates."""

    @property
    def names(self) -> Sequence[str]:
        """The N column names."""

    @property
    def values(self) -> FloatArray:
        """The returns."""


@dataclass(frozen=True, slots=True)
class AtomDirection:
    """An atom, the physical column it is made from, and ``LONG`` or ``SHORT``."""

    atom_id: str
    physical_symbol: str
    direction: str


@dataclass(frozen=True, slots=True)
class OptimizedWeight:
    """An atom's line in an optimized profile."""

    atom_id: str
    direction: str
    net_weight: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the test has to say; ``symbol`` is an atom, or '' for the whole input."""

    level: Level
    code: str
    run_id: str
    symbol: str
    message: str


@dataclass(frozen=True, slots=True)
class SignTestResult:
    """Outcome of a sign test; it passes when ``errors`` is 0."""

    findings: tuple[Finding, ...]
    checked_atoms: int
    atol: float
    errors: int = field(init=False)
    warnings: int = field(init=False)

    def __post_init__(self) -> None:
        """Count the findings by level."""
        errors = sum(finding.level == "ERROR" for finding in self.findings)
        object.__setattr__(self, "errors", errors)
        object.__setattr__(self, "warnings", len(self.findings) - errors)


def sign_test(
    synthetic: ReturnTable | None,
    returns: ReturnTable | None,
    atoms: Sequence[AtomDirection],
    *,
    optimized: Sequence[OptimizedWeight] | None = None,
    atol: float = 0.0,
    run_id: str = "",
) -> SignTestResult:
    """Compare every synthetic stream with what its direction makes of the raw returns.

    Before optimization: same index, same missing cells, and |synthetic - expected| <= atol in
    every cell of every atom (0 by default; negation and clipping are exact). After it, with
    ``optimized``: every SHORT atom of the profile stands there as LONG with a net weight that is
    not negative. Whatever could not be compared is an error, never a pass: no atoms, a missing
    column, an undeclared column, another index.

    Args:
        synthetic: the solver's input, one column per atom id; None where the file is missing.
        returns: raw returns, one column per physical symbol; None where missing.
        atoms: the declared atoms. Ids are never parsed.
        optimized: the lines of the checked profile (hrp) after optimization; None before it.
        atol: largest difference accepted in a cell.
        run_id: put into every finding.

    Returns:
        Findings in the order: input, atoms as given, undeclared columns, optimized lines.
    """
    problems = list(_input_findings(synthetic, returns, atoms))
    checked = 0
    if synthetic is not None and returns is not None and not problems:
        problems += _index_findings(synthetic, returns)
        for atom in atoms:
            errors = list(_atom_findings(synthetic, returns, atom, atol))
            problems += errors
            checked += not any(code in _NOT_COMPARED for code, _, _ in errors)
        declared = {atom.atom_id for atom in atoms}
        problems += [
            ("SIGNTEST_UNDECLARED_ATOM", name, "synthetic column that no atom declares")
            for name in synthetic.names
            if name not in declared
        ]
    if optimized is not None:
        problems += _optimizer_findings(atoms, optimized)
    findings = tuple(Finding("ERROR", code, run_id, name, text) for code, name, text in problems)
    return SignTestResult(findings, checked, atol)


_Found = tuple[str, str, str]
_NOT_COMPARED = (
    "SIGNTEST_MISSING_SYNTHETIC",
    "SIGNTEST_MISSING_PHYSICAL_COL",
    "SIGNTEST_DIRECTION",
)


def _input_findings(
    synthetic: ReturnTable | None, returns: ReturnTable | None, atoms: Sequence[AtomDirection]
) -> Iterator[_Found]:
    for name, panel in (("SYNTHETIC", synthetic), ("RAW", returns)):
        if panel is None:
            yield f"SIGNTEST_MISSING_{name}", "", "the matrix is missing"
        elif panel.values.size == 0:
            yield f"SIGNTEST_EMPTY_{name}", "", f"the matrix is empty: {panel.values.shape}"
    if not atoms:
        yield "SIGNTEST_NO_ATOMS", "", "no atom is declared, so nothing could be checked"


def _index_findings(synthetic: ReturnTable, returns: ReturnTable) -> Iterator[_Found]:
    for name, dates in (("synthetic", synthetic.dates), ("raw", returns.dates)):
        if any(later <= earlier for earlier, later in pairwise(dates)):
            yield "SIGNTEST_INDEX_MISMATCH", "", f"the {name} dates are not ascending and unique"
    if list(synthetic.dates) != list(returns.dates):
        n_joint = len(set(synthetic.dates) & set(returns.dates))
        yield (
            "SIGNTEST_INDEX_MISMATCH",
            "",
            f"{len(synthetic.dates)} synthetic and {len(returns.dates)} raw dates share {n_joint}: "
            "they must be the same",
        )


def _atom_findings(
    synthetic: ReturnTable, returns: ReturnTable, atom: AtomDirection, atol: float
) -> Iterator[_Found]:
    if atom.direction not in (LONG, SHORT):
        yield "SIGNTEST_DIRECTION", atom.atom_id, f"direction {atom.direction!r}"
        return
    if atom.atom_id not in synthetic.names:
        yield "SIGNTEST_MISSING_SYNTHETIC", atom.atom_id, "the atom has no synthetic column"
        return
    if atom.physical_symbol not in returns.names:
        text = f"raw returns have no column {atom.physical_symbol!r}"
        yield "SIGNTEST_MISSING_PHYSICAL_COL", atom.atom_id, text
        return
    actual, raw = _joint(synthetic, atom.atom_id, returns, atom.physical_symbol)
    expected = synthesize(raw, atom.direction)
    missing = np.isnan(actual) != np.isnan(expected)
    if missing.any():
        text = f"{int(missing.sum())} cells are missing on one side only"
        yield "SIGNTEST_NAN_MISMATCH", atom.atom_id, text
    gap = np.abs(actual - expected)
    gap = gap[~np.isnan(gap)]
    if gap.size and gap.max() > atol:
        code = "SIGNTEST_LONG_MISMATCH" if atom.direction == LONG else "SIGNTEST_SHORT_NOT_INVERTED"
        text = f"{int((gap > atol).sum())} of {gap.size} cells differ, by up to {gap.max():.3g}"
        yield code, atom.atom_id, text


def _joint(
    left: ReturnTable, left_name: str, right: ReturnTable, right_name: str
) -> tuple[FloatArray, FloatArray]:
    """One column of each table, on the dates both have."""
    row_of = {day: row for row, day in enumerate(right.dates)}
    pairs = [(row, row_of[day]) for row, day in enumerate(left.dates) if day in row_of]
    rows = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return (
        left.values[rows[:, 0], list(left.names).index(left_name)],
        right.values[rows[:, 1], list(right.names).index(right_name)],
    )


def _optimizer_findings(
    atoms: Sequence[AtomDirection], optimized: Sequence[OptimizedWeight]
) -> Iterator[_Found]:
    if not optimized:
        yield "SIGNTEST_OPTIMIZER_PARSE", "", "the optimized profile has no lines"
    declared: Mapping[str, str] = {atom.atom_id: atom.direction for atom in atoms}
    for line in optimized:
        direction = declared.get(line.atom_id)
        if direction is None:
            yield "SIGNTEST_UNDECLARED_ATOM", line.atom_id, "weighted, but no atom declares it"
        elif direction == SHORT and not (
            line.direction == LONG and line.net_weight >= NET_WEIGHT_TOLERANCE
        ):
            text = f"stands as {line.direction} with net weight {line.net_weight}"
            yield "SIGNTEST_OPTIMIZER_NOT_NORMALIZED", line.atom_id, text
