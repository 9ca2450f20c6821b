"""The rows of the report that say why the names were chosen."""

from collections.abc import Iterable, Mapping

import numpy as np

from optimize.profiles import Profile
from optimize.selection.attribution import Attribution
from trademl.quant.arrays import FloatArray
from trademl.report import ChoiceRows, ContributionRow

SHOWN_NAMES = 15
"""Columns of a table; the means are over all chosen names, and the file has every one."""

SHOWN_FEATURES = 10
"""Features of the model that have a row of their own."""


def choice_rows(attribution: Attribution, profile: Profile) -> ChoiceRows:
    """Both tables of contributions, heaviest features first, and what the model changed."""
    without = attribution.without_model
    return ChoiceRows(
        symbols=tuple(item.symbol for item in attribution.chosen[:SHOWN_NAMES]),
        ranking=_ranking_rows(attribution, profile),
        model=_model_rows(attribution.model),
        entered=without.entered if without else (),
        displaced=without.displaced if without else (),
        is_model_ranked=without is not None,
    )


def _ranking_rows(attribution: Attribution, profile: Profile) -> tuple[ContributionRow, ...]:
    rows = []
    for name, values in _heaviest_first(attribution.ranked):
        rule = profile.ranking[name]
        rows.append(_row(name, f"{rule.weight:g}, {rule.method}", values))
    total = np.sum(list(attribution.ranked.values()), axis=0)
    return (*rows, _row("sum", "", total))


def _model_rows(terms: Mapping[str, FloatArray]) -> tuple[ContributionRow, ...]:
    if not terms:
        return ()
    ordered = list(_heaviest_first(terms))
    rows = [_row(name, "", values) for name, values in ordered[:SHOWN_FEATURES]]
    rest = [values for _, values in ordered[SHOWN_FEATURES:]]
    if rest:
        rows.append(_row(f"{len(rest)} others", "", np.sum(rest, axis=0)))
    return (*rows, _row("sum", "", np.sum(list(terms.values()), axis=0)))


def _heaviest_first(terms: Mapping[str, FloatArray]) -> Iterable[tuple[str, FloatArray]]:
    return sorted(terms.items(), key=lambda pair: (-float(np.abs(pair[1]).mean()), pair[0]))


def _row(name: str, note: str, values: FloatArray) -> ContributionRow:
    shown = tuple(float(value) for value in values[:SHOWN_NAMES])
    return ContributionRow(name, note, float(values.mean()), shown)
