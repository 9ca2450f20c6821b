"""Controls that need no training: rows and features that know what they cannot know yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from models_ml.data.panel import Panel
from models_ml.data.ranking import Floats, centered_ranks, rank_ic, starts_of
from models_ml.profile import TrainingProfile
from models_ml.validation.negative_controls import ControlResult, told
from trademl.clock import parse_clock

MIN_SESSIONS = 20
"""With fewer sessions a mean of rank correlations is chance."""
STANDARD_ERRORS = 3.0
"""A mean rank IC counts from so many standard errors toward zero: with 45 features in two forms
against three futures, two standard errors would be passed by chance."""
FUTURES = {
    "next_open_ret": "the next opening",
    "next_close_ret": "the next close",
    "ret_rel": "the label",
}


def known_by(panel: Panel, as_of: str) -> NDArray[np.bool_]:
    """Whether each row was known, and its label's window had ended, at a moment.

    Args:
        panel: The rows.
        as_of: ISO 8601 with a zone.

    Returns:
        (rows,); a row that does not say when it was known was not.
    """
    moment = _utc(parse_clock(as_of))
    is_over = panel.sessions[panel.label_end] <= moment.astype("datetime64[D]")
    return np.asarray((panel.known_at <= moment) & is_over)  # NaT compares as False


def truncation(panel: Panel, as_of: str) -> ControlResult:
    """Whether the panel holds nothing from after the moment as of which its version was built.

    Args:
        panel: As read, before ``known_by`` cuts it.
        as_of: Of the version; ISO 8601 with a zone.
    """
    late = np.flatnonzero(~known_by(panel, as_of))
    found = f"{len(late)} of {len(panel)} rows are from after {as_of} or known after it"
    if len(late):
        row = int(late[0])
        found += (
            f", the first of {panel.securities[panel.security[row]]} on "
            f"{panel.sessions[panel.session[row]]}, label until "
            f"{panel.sessions[panel.label_end[row]]}, known at {panel.known_at[row]}"
        )
    return told(ControlResult("panel_truncation", (), 0.0, 0.0, offending=len(late), found=found))


@dataclass(frozen=True, slots=True)
class Telling:
    """How well one feature tells one future.

    Attributes:
        what: Feature, form and future, for people.
        ic: Its mean rank IC, moved toward zero by its standard errors.
    """

    what: str
    ic: float


def foresight(panel: Panel, trial_panel: Panel, profile: TrainingProfile) -> ControlResult:
    """Whether a single feature tells what follows its session better than honest ones can.

    Every feature, and its change since the name's session before (the level of tomorrow's price
    tells little, its change tomorrow's move), is ranked against the move to the next opening, to
    the next close, and the label. The first two lie before the label's window, which begins at the
    next close, so that no model's score can show such a leak.

    Args:
        panel: All rows, whose features the trial rows had a session before.
        trial_panel: Those of them that are looked at.
        profile: The bound.
    """
    bar = profile.controls.plausible.max_ic
    worst = max(_tellings(panel, trial_panel), key=lambda telling: abs(telling.ic), default=None)
    if worst is None:
        return told(ControlResult("feature_foresight", (), 0.0, bar, found="nothing to look at"))
    return told(ControlResult("feature_foresight", (worst.ic,), worst.ic, bar, found=worst.what))


def _tellings(panel: Panel, trial_panel: Panel) -> Iterator[Telling]:
    futures = {name: getattr(trial_panel, name) for name in FUTURES}
    futures = {name: future for name, future in futures.items() if np.isfinite(future).any()}
    if not futures:
        return
    is_over = np.all([np.isfinite(future) for future in futures.values()], axis=0)
    rows = trial_panel.take(is_over)
    ranked = _Ranked(rows.session, {name: future[is_over] for name, future in futures.items()})
    before = panel.rows_before(rows, 1)
    for column, name in enumerate(panel.feature_names):
        now = rows.features[:, column].astype(np.float64)
        change = np.where(before >= 0, now - panel.features[before, column], np.nan)
        for values, form in ((now, name), (change, f"the change of {name}")):
            for future, ic in ranked.ics(values).items():
                yield Telling(f"{form} against {FUTURES[future]}", ic)


class _Ranked:
    """Some futures, ranked within their sessions."""

    def __init__(self, session: NDArray[np.int32], futures: dict[str, Floats]) -> None:
        self._session, self._futures = session, futures
        starts = starts_of(session)
        self._ranks = {name: centered_ranks(future, starts) for name, future in futures.items()}

    def ics(self, values: Floats) -> dict[str, float]:
        """How well the (rows,) values tell each future, on the rows where they are known."""
        is_known = np.isfinite(values)
        starts = starts_of(self._session[is_known])
        if len(starts) < MIN_SESSIONS:
            return {}
        ranks = self._ranks
        if not is_known.all():
            ranks = {
                name: centered_ranks(future[is_known], starts)
                for name, future in self._futures.items()
            }
        mine = centered_ranks(values[is_known], starts)
        return {name: _surely(rank_ic(mine, theirs, starts)) for name, theirs in ranks.items()}


def _surely(ics: Floats) -> float:
    """The mean over sessions, less its standard errors; 0 where too few sessions have one."""
    usable = ics[np.isfinite(ics)]
    if len(usable) < MIN_SESSIONS:
        return 0.0
    mean, error = float(usable.mean()), float(usable.std(ddof=1) / np.sqrt(len(usable)))
    return float(np.copysign(max(0.0, abs(mean) - STANDARD_ERRORS * error), mean))


def _utc(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")
