"""The pool: one entry per economic identity, logic and direction, the most traded ones first."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ingest.discovery.candidates import Candidate

DOLLAR = "USD"

Key = tuple[str, str, str]


def normalize_quotes(
    candidates: Iterable[Candidate], dollars: frozenset[str]
) -> tuple[list[Candidate], list[Candidate]]:
    """Counts dollar-like quotes as dollars; what is quoted in something else does not compare.

    Args:
        candidates: Of one scanner.
        dollars: Currencies worth a dollar.

    Returns:
        The candidates quoted in dollars, then the others.
    """
    kept: list[Candidate] = []
    foreign: list[Candidate] = []
    for candidate in candidates:
        if candidate.quote in dollars:
            kept.append(replace(candidate, quote=DOLLAR))
        else:
            foreign.append(candidate)
    return kept, foreign


def consolidate(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate per symbol, logic and direction; a later one fills what the first left null."""
    merged: dict[Key, Candidate] = {}
    for candidate in candidates:
        key = (candidate.symbol, candidate.logic, candidate.direction)
        merged[key] = _joined(merged[key], candidate) if key in merged else candidate
    return by_value(merged.values())


def deduplicate(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate per identity, logic and direction; the others become its alternatives.

    Spot goes before perpetual swaps, which stay as a way to execute; then the highest traded value.
    """
    groups: dict[Key, list[Candidate]] = {}
    for candidate in candidates:
        key = (candidate.identity, candidate.logic, candidate.direction)
        groups.setdefault(key, []).append(candidate)
    return by_value(_chosen(group) for group in groups.values())


def by_value(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The most traded first; ties by symbol, logic and direction, so that there is one order."""
    return sorted(
        candidates,
        key=lambda item: (-item.value_traded, item.symbol, item.logic, item.direction),
    )


def _joined(first: Candidate, later: Candidate) -> Candidate:
    """The first one, with the nulls that the later one knows better."""
    known = {name: value for name, value in first.values.items() if value is not None}
    return replace(
        first,
        values={**first.values, **later.values, **known},
        scanners=tuple(dict.fromkeys((*first.scanners, *later.scanners))),
    )


def _chosen(group: Sequence[Candidate]) -> Candidate:
    best, *others = sorted(by_value(group), key=lambda item: item.asset_type == "perp")
    return replace(best, alternatives=tuple(others))
