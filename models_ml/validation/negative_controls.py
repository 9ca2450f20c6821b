"""Negative controls: the same training on labels that hold nothing to be learnt.

If the pipeline then still "finds" a rank IC, it leaks: a wrong split, a feature that knows the
future, a label that is not aligned. Both controls keep the distribution of the labels of a session
(shuffled) or their history (shifted).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models_ml.data.panel import Panel
from models_ml.data.ranking import starts_of
from models_ml.profile import TrainingProfile
from models_ml.validation.evaluation import mean_ic, session_ics
from models_ml.validation.out_of_fold import Fit, Progress, cross_predict

Distort = Callable[[Panel, int], Panel]


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One negative control.

    Attributes:
        name: ``shuffled_labels`` or ``shifted_labels``.
        ics: Mean rank IC of each repeat.
        ic: Their mean, which the bar is held against.
        bar: Largest admissible absolute value.
    """

    name: str
    ics: tuple[float, ...]
    ic: float
    bar: float

    @property
    def passed(self) -> bool:
        """Whether the labels without signal gave no IC."""
        return abs(self.ic) <= self.bar

    def line(self) -> str:
        """The control as one line for people."""
        verdict = "pass" if self.passed else "FAIL"
        repeats = f"over {len(self.ics)} repeats" if len(self.ics) > 1 else "once"
        return f"{self.name}: rank IC {self.ic:+.4f} {repeats}, bar {self.bar:g}: {verdict}"


def run_controls(
    panel: Panel, profile: TrainingProfile, fit: Fit, progress: Progress | None = None
) -> tuple[ControlResult, ...]:
    """Trains the chosen configuration on shuffled and on shifted labels."""
    distortions: dict[str, Distort] = {
        "shuffled_labels": lambda rows, repeat: shuffled(rows, profile.seed + repeat),
        "shifted_labels": lambda rows, repeat: shifted(
            rows, (repeat + 1) / (profile.controls.repeats + 1)
        ),
    }
    results = []
    for name, distort in distortions.items():
        ics = tuple(
            _ic(distort(panel, repeat), profile, fit) for repeat in range(profile.controls.repeats)
        )
        result = ControlResult(name, ics, float(np.mean(ics)), profile.controls.max_abs_ic)
        results.append(result)
        if progress:
            progress(result.line())
    return tuple(results)


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


def _ic(panel: Panel, profile: TrainingProfile, fit: Fit) -> float:
    paths = cross_predict(panel, profile, [fit], min_weight=profile.trials.min_weight)[0]
    return mean_ic(session_ics(panel, paths))
