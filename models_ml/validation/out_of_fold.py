"""Out-of-fold predictions over the splits of combinatorial purged cross-validation."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models_ml.data.panel import Panel
from models_ml.data.ranking import centered_ranks, starts_of
from models_ml.data.sample_weights import time_decay
from models_ml.profile import LabelChoice, Parameter, TrainingProfile, Validation
from models_ml.validation.cpcv import CombinatorialPurgedCV
from trademl.errors import DataError

Indices = NDArray[np.intp]
Scores = NDArray[np.float64]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fit:
    """What one model is fitted with: all LightGBM parameters, and the number of trees."""

    params: dict[str, Parameter]
    trees: int


def make_fit(profile: TrainingProfile, params: dict[str, Parameter], trees: int) -> Fit:
    """The parameters of a configuration on top of the profile's, and what makes a fit repeatable.

    A fit has one thread and splits run side by side: as fast as several threads per fit, no
    barrier per leaf to spin at when other programs want the cores (measured: up to ten times
    slower), and the same bits on any number of cores. With one thread, histograms by column take
    three quarters of the time of those by row (400,000 rows of 36 features).
    """
    fixed: dict[str, Parameter] = {
        "objective": "regression",
        "deterministic": True,
        "force_col_wise": True,
        "feature_pre_filter": False,
        "num_threads": 1,
        "seed": profile.seed,
        "verbosity": -1,
    }
    return Fit({**profile.lightgbm, **params, **fixed}, trees)


def target_of(panel: Panel, label: LabelChoice) -> NDArray[np.float32]:
    """What the model learns for each row: see LabelChoice."""
    if label.target == "clipped":
        return np.clip(panel.ret_rel, -label.clip, label.clip).astype(np.float32)
    return centered_ranks(panel.ret_rel, starts_of(panel.session)).astype(np.float32)


def row_weights(panel: Panel, profile: TrainingProfile, rows: Indices) -> NDArray[np.float32]:
    """Time-decay weights of training rows, relative to the newest of them."""
    dates = panel.sessions[panel.session[rows]]
    return time_decay(dates, dates.max(), profile.weights.half_life_months, profile.weights.floor)


def splitter(validation: Validation) -> CombinatorialPurgedCV:
    """The project's CPCV with the profile's numbers."""
    return CombinatorialPurgedCV(
        n_groups=validation.groups,
        n_test_groups=validation.test_groups,
        embargo=validation.embargo_sessions,
    )


def splits(panel: Panel, validation: Validation) -> Iterator[tuple[Indices, Indices]]:
    """(train, test) row indices of every split.

    Groups are cut by the rows' sessions, so that all names of a date stay together; a row is
    purged by everything from its session to its own label's end, which covers the label's window.
    """
    yield from splitter(validation).split(panel.session, panel.label_end)


def check_groups(panel: Panel, validation: Validation) -> tuple[int, ...]:
    """The lengths of the date groups, in sessions of the axis, not of the rows present.

    Raises:
        DataError: A group is shorter than the profile allows, or a split has no rows to train on.
    """
    span = int(panel.session[-1] - panel.session[0]) + 1
    needed = validation.groups * validation.min_group_sessions
    if span < needed:
        raise DataError(
            f"{span} sessions have features and labels; {validation.groups} out-of-sample groups "
            f"of at least {validation.min_group_sessions} need {needed}: land a longer history"
        )
    begins = starts_of(splitter(validation).group_of(panel.session).astype(np.int32))
    lengths = np.diff(np.r_[panel.session[begins], panel.session[-1] + 1])
    if lengths.min() < validation.min_group_sessions:
        raise DataError(
            f"an out-of-sample group has {lengths.min()} sessions, "
            f"{validation.min_group_sessions} are needed"
        )
    for number, (train, _) in enumerate(splits(panel, validation), start=1):
        if len(train) == 0:
            raise DataError(
                f"split {number} keeps none of {len(panel)} rows to train on after purging"
            )
    return tuple(int(length) for length in lengths)


def cross_predict(
    panel: Panel,
    profile: TrainingProfile,
    fits: Sequence[Fit],
    progress: Progress | None = None,
    min_weight: float = 0.0,
) -> NDArray[np.float32]:
    """Trains every fit on every split and predicts the split's test rows.

    The features are binned once per split, from its training rows only, and shared by the fits.
    The n-th prediction of a row goes to path n: a group is tested once on each path.

    Args:
        panel: The rows.
        profile: How to split, what to learn, and how many splits to work on at once.
        fits: With the same binning.
        progress: Told of every split.
        min_weight: Training rows that weigh less are left out.

    Returns:
        (fits, paths, rows) predictions, each made by a model that never saw the row's label window.
    """
    target = target_of(panel, profile.label)
    cv = splitter(profile.validation)
    out = np.full((len(fits), cv.n_paths, len(panel)), np.nan, dtype=np.float32)
    path = np.zeros(len(panel), dtype=np.intp)
    running: deque[tuple[Future[list[Scores]], Indices]] = deque()
    with ThreadPoolExecutor(profile.threads) as pool:
        for number, (train, test) in enumerate(splits(panel, profile.validation), start=1):
            rows = train[row_weights(panel, profile, train) >= min_weight]
            job = pool.submit(_one_split, panel, profile, fits, target, rows, test)
            running.append((job, test))
            while len(running) > (profile.threads if number < cv.n_splits else 0):
                done, tested = running.popleft()
                out[:, path[tested], tested] = done.result()
                path[tested] += 1
                if progress:
                    count = number - len(running)
                    progress(f"split {count} of {cv.n_splits}: {len(fits)} models")
    return out


def binned(
    panel: Panel, profile: TrainingProfile, target: NDArray[np.float32], rows: Indices, fit: Fit
) -> lgb.Dataset:
    """LightGBM's histogram of some rows; all fits that share it have the same binning."""
    return lgb.Dataset(
        panel.features[rows],
        label=target[rows],
        weight=row_weights(panel, profile, rows),
        feature_name=list(panel.feature_names),
        params=dict(fit.params),
    ).construct()


def _one_split(
    panel: Panel,
    profile: TrainingProfile,
    fits: Sequence[Fit],
    target: NDArray[np.float32],
    train: Indices,
    test: Indices,
) -> list[Scores]:
    data = binned(panel, profile, target, train, fits[0])
    held_out = panel.features[test]
    models = (train_one(data, fit) for fit in fits)
    return [np.asarray(model.predict(held_out, num_threads=1)) for model in models]


def train_one(data: lgb.Dataset, fit: Fit) -> lgb.Booster:
    """One model on binned data."""
    return lgb.train(dict(fit.params), data, num_boost_round=fit.trees)
