"""Returns of a quantile portfolio that trades on a prediction.

Every ``horizon`` sessions the names are ranked, the best (and worst) quantile is bought (and sold)
with equal weights and held until the next time, which is what the label's return measures; nothing
overlaps, but for what is held over a halt. The cost is charged on every traded notional, the borrow
rate on every short for as long as it is held; drift of the weights within a period is ignored.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_ml.data.panel import ENDINGS, Panel
from models_ml.data.ranking import Floats, Indices, group_ranks, sizes_of, starts_of
from models_ml.profile import Strategy, TrainingProfile

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Tape:
    """The rows at which the strategy trades.

    Attributes:
        rows: Indices into the panel.
        starts: Where each period begins in ``rows``.
        period: Period of each row.
        security: Security code of each row.
        ret: Return of each row over the period.
        years: How long each row's position is held; none where none could be entered.
        n_securities: Codes are below it.
        periods_per_year: For annualizing.
    """

    rows: Indices
    starts: Indices
    period: Indices
    security: NDArray[np.int32]
    ret: Floats
    years: Floats
    n_securities: int
    periods_per_year: float


@dataclass(frozen=True, slots=True)
class Returns:
    """Per-period returns of one strategy.

    Attributes:
        net: (periods,) after costs and borrowing.
        gross: (periods,) before them.
        turnover: (periods,) traded notional per unit of capital.
    """

    net: Floats
    gross: Floats
    turnover: Floats


def make_tape(panel: Panel, profile: TrainingProfile) -> Tape:
    """The rows of every horizon-th session, counted from the panel's first one."""
    horizon = profile.label.horizon
    rows = np.flatnonzero((panel.session - panel.session[0]) % horizon == 0)
    starts = starts_of(panel.session[rows])
    period = np.repeat(np.arange(len(starts)), sizes_of(starts, len(rows)))
    per_year = profile.strategy.sessions_per_year
    is_held = panel.ending[rows] != ENDINGS.index("not_entered")
    return Tape(
        rows=rows,
        starts=starts,
        period=period,
        security=panel.security[rows],
        ret=panel.ret[rows],
        years=is_held * (panel.label_end - panel.label_start)[rows] / per_year,
        n_securities=len(panel.securities),
        periods_per_year=per_year / horizon,
    )


def strategy_returns(tape: Tape, prediction: NDArray[np.float32], strategy: Strategy) -> Returns:
    """Trades a prediction along the tape.

    Args:
        tape: Of the panel that was predicted.
        prediction: (rows of the panel,); higher is better.
        strategy: Legs and costs.
    """
    sizes = np.repeat(sizes_of(tape.starts, len(tape.rows)), sizes_of(tape.starts, len(tape.rows)))
    ranks = group_ranks(prediction[tape.rows], tape.starts)
    leg = np.maximum(1, np.floor(sizes * strategy.quantile))
    weights = (ranks > sizes - leg).astype(np.float64)
    weights = _unit(weights, tape)
    if strategy.kind == "long_short":
        weights -= _unit((ranks <= leg).astype(np.float64), tape)
    gross = np.add.reduceat(weights * tape.ret, tape.starts)
    if strategy.kind == "long_only":
        gross -= np.add.reduceat(tape.ret, tape.starts) / sizes_of(tape.starts, len(tape.rows))
    turnover = _turnover(weights, tape)
    short_years = np.add.reduceat(np.maximum(-weights, 0) * tape.years, tape.starts)
    paid = turnover * strategy.cost_bps * BPS + short_years * strategy.borrow_rate_ann
    return Returns(gross - paid, gross, turnover)


def _unit(selected: Floats, tape: Tape) -> Floats:
    """Equal weights of the names selected in a period, summing to one; zero if ties leave none."""
    count = np.add.reduceat(selected, tape.starts)
    return selected / np.maximum(count, 1)[tape.period]


def _turnover(weights: Floats, tape: Tape) -> Floats:
    book = np.zeros((len(tape.starts) + 1, tape.n_securities))
    book[tape.period + 1, tape.security] = weights
    return np.asarray(np.abs(np.diff(book, axis=0)).sum(axis=1))
