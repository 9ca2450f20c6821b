"""Controls that train the chosen configuration again, and what every control can see.

Labels that hold nothing to learn (shuffled, shifted) must give no rank IC, features that are a
session old (lagged) must give most of what fresh ones do, and the model's own rank IC must be one
that honest models have. Each control is blind to something; ``KINDS`` says to what. Those that need
no training are in ``models_ml.validation.foresight``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from models_ml.data.panel import Panel
from models_ml.data.ranking import starts_of
from models_ml.profile import TrainingProfile
from models_ml.validation.evaluation import mean_ic, session_ics
from models_ml.validation.out_of_fold import Fit, Progress, cross_predict

LAG = 1
"""Sessions by which the lag control delays the features."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a control can and cannot see.

    Attributes:
        sees: What makes it fail.
        blind_to: What it passes although it is wrong.
    """

    sees: str
    blind_to: str


KINDS = {
    "panel_truncation": Kind(
        "a row of a session, a label or a knowledge time after as_of",
        "a row whose known_at is wrong, and values that were made from later ones",
    ),
    "feature_foresight": Kind(
        "one feature, or its change since the session before, that tells the next opening, the "
        "next close or the label",
        "a leak below the bound, one that only several features tell together, and one that is "
        "the same for all names",
    ),
    "plausible_ic": Kind(
        "a model that is better than any honest one",
        "a leak that leaves the model's rank IC below the bound, or lies before the label's window",
    ),
    "lagged_features": Kind(
        "a signal that is gone when the features are a session old, as a leak of the session "
        "that follows is",
        "a weak leak of many sessions, most of which are still ahead a session later; and an "
        "honest signal of a single session looks like a leak",
    ),
    "shuffled_labels": Kind(
        "rows that are tested by models which were trained on them",
        "every feature that knows the future: its labels are no longer there to be told",
    ),
    "shifted_labels": Kind(
        "training labels that overlap tested ones, and traits by which a name's labels of any "
        "time are known",
        "a feature that knows its own session's future: the label has moved away from it",
    ),
}
"""Every control by its name, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One control.

    Attributes:
        name: A key of ``KINDS``.
        ics: Mean rank IC of each repeat; none where the control does not measure one.
        ic: Their mean, which the bar is held against.
        bar: Largest admissible absolute value.
        floor: Least admissible value, where there is one.
        offending: Rows that break the rule, for a control that counts them.
        found: What it found, for people.
        sees: What makes it fail.
        blind_to: What it passes although it is wrong.
    """

    name: str
    ics: tuple[float, ...]
    ic: float
    bar: float
    floor: float | None = None
    offending: int = 0
    found: str = ""
    sees: str = ""
    blind_to: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing leaks, as far as this control can see."""
        is_above = self.floor is None or self.ic >= self.floor
        return abs(self.ic) <= self.bar and is_above and not self.offending

    def line(self) -> str:
        """The control as one line for people."""
        return f"{self.name}: {self._figure()}: {'pass' if self.passed else 'FAIL'}"

    def _figure(self) -> str:
        if not self.ics:
            return self.found
        repeats = f"over {len(self.ics)} repeats" if len(self.ics) > 1 else "once"
        least = "" if self.floor is None else f", at least {self.floor:.4f}"
        found = f" ({self.found})" if self.found else ""
        return f"rank IC {self.ic:+.4f}{found} {repeats}, bar {self.bar:g}{least}"


def told(result: ControlResult) -> ControlResult:
    """The result with what its kind can and cannot see."""
    kind = KINDS[result.name]
    return replace(result, sees=kind.sees, blind_to=kind.blind_to)


def run_controls(
    panel: Panel,
    trial_panel: Panel,
    profile: TrainingProfile,
    fit: Fit,
    ic: float,
    progress: Progress | None = None,
) -> tuple[ControlResult, ...]:
    """Judges the chosen configuration's rank IC and trains it on lagged, shuffled, shifted rows.

    Args:
        panel: All rows, whose features the trial rows had a session before.
        trial_panel: Those of them that trials see.
        profile: The bars.
        fit: The chosen configuration.
        ic: Its mean rank IC out of fold on the trial rows.
        progress: Told of every control.
    """
    results = []
    for result in _controls(panel, trial_panel, profile, fit, ic):
        results.append(told(result))
        if progress:
            progress(results[-1].line())
    return tuple(results)


def _controls(
    panel: Panel, trial_panel: Panel, profile: TrainingProfile, fit: Fit, ic: float
) -> Iterator[ControlResult]:
    yield plausible(ic, profile)
    yield _lag_control(lagged(panel, trial_panel), profile, fit, ic)
    repeats = range(profile.controls.repeats)
    mixed = (shuffled(trial_panel, profile.seed + repeat) for repeat in repeats)
    yield _without_signal("shuffled_labels", mixed, profile, fit)
    moved = (shifted(trial_panel, (repeat + 1) / (len(repeats) + 1)) for repeat in repeats)
    yield _without_signal("shifted_labels", moved, profile, fit)


def plausible(ic: float, profile: TrainingProfile) -> ControlResult:
    """Holds a model's rank IC against what honest models reach."""
    return ControlResult("plausible_ic", (ic,), ic, profile.controls.plausible.max_ic)


def shuffled(panel: Panel, seed: int) -> Panel:
    """Labels permuted among the names of each session."""
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(panel)), panel.session))
    return replace(panel, ret=panel.ret[order], ret_rel=panel.ret_rel[order])


def shifted(panel: Panel, fraction: float) -> Panel:
    """Each name's labels moved in time by a fraction of the history, round the end.

    The lag is counted in the sessions that have rows; rows without a label to receive are left
    out. The windows that purging looks at stay where they were.
    """
    starts = starts_of(panel.session)
    period = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(panel)]))
    source = np.full((len(starts), len(panel.securities)), -1, dtype=np.int64)
    source[period, panel.security] = np.arange(len(panel))
    lag = round(fraction * len(starts))
    moved = np.roll(source, lag, axis=0)[period, panel.security]
    rows = np.flatnonzero(moved >= 0)
    source_rows = moved[rows]
    return replace(panel.take(rows), ret=panel.ret[source_rows], ret_rel=panel.ret_rel[source_rows])


def lagged(panel: Panel, trial_panel: Panel) -> Panel:
    """The trial rows with the features that their names had a session before.

    Rows of names that have none then are left out.
    """
    before = panel.rows_before(trial_panel, LAG)
    rows = np.flatnonzero(before >= 0)
    return replace(trial_panel.take(rows), features=panel.features[before[rows]])


def _lag_control(
    delayed: Panel, profile: TrainingProfile, fit: Fit, fresh_ic: float
) -> ControlResult:
    """Fails where there was a signal and hardly any is left; without one there is nothing to lose.

    "A signal" is a rank IC beyond what labels without one may show.
    """
    bars = profile.controls
    ic = _ic(delayed, profile, fit)
    floor = fresh_ic * bars.plausible.min_kept if fresh_ic > bars.max_abs_ic else None
    found = f"{fresh_ic:+.4f} without the delay"
    return ControlResult("lagged_features", (ic,), ic, bars.plausible.max_ic, floor, found=found)


def _without_signal(
    name: str, panels: Iterable[Panel], profile: TrainingProfile, fit: Fit
) -> ControlResult:
    ics = tuple(_ic(panel, profile, fit) for panel in panels)
    return ControlResult(name, ics, float(np.mean(ics)), profile.controls.max_abs_ic)


def _ic(panel: Panel, profile: TrainingProfile, fit: Fit) -> float:
    paths = cross_predict(panel, profile, [fit], min_weight=profile.trials.min_weight)[0]
    return mean_ic(session_ics(panel, paths))
