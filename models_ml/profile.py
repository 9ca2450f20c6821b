"""Training profiles: what a person may decide about a training, as YAML beside this package."""

import json
from math import log2
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from trademl.errors import ConfigError, unknown_name

PROFILES = Path(__file__).resolve().parent / "profiles"
STANDARD_TRIAL_TREES = 200
"""A standard trial has 200 trees of 31 leaves; a profile with less says so."""
STANDARD_TRIAL_LEAVES = 31
MIN_TRIALS = 8
RESERVED = {
    *("deterministic", "force_col_wise", "force_row_wise", "num_threads", "objective"),
    *("seed", "num_iterations", "verbosity", "use_quantized_grad"),
}
"""LightGBM keys that the training sets itself.

Quantized gradients stay off: up to LightGBM 4.7 they sometimes abort with "Check failed:
best_split_info.left_count" and, with feature_fraction, silently fit worse (its pull request 7397).
"""
BINNING = {"max_bin", "min_data_in_bin", "bin_construct_sample_cnt", "feature_pre_filter"}
"""LightGBM keys of the binned data, which all trials of a split share."""

Parameter = bool | int | float | str
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
_CLOSED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Losses:
    """What a position lost that ended at no price, on top of its return to the last one.

    Attributes:
        unknown_removal_return: The company was removed, and nobody said what holders got; 0 is the
            last price.
        long_halt_return: It did not trade for longer than ``identity_gap_days``.
        reason: Why these figures; the report repeats it.
    """

    unknown_removal_return: Annotated[float, Field(ge=-1, le=0)] = -0.3
    long_halt_return: Annotated[float, Field(ge=-1, le=0)] = -0.3
    reason: Annotated[str, Field(min_length=10)] = (
        "companies delisted for poor performance lost 30 % beyond the last price on average "
        "(Shumway, The Delisting Bias in CRSP Data, Journal of Finance 52, 1997)"
    )


@dataclass(frozen=True, slots=True, config=_CLOSED)
class LabelChoice:
    """Which label is learnt.

    Attributes:
        horizon: Sessions of ``labels.label_horizon``.
        target: ``rank``: the rank of ``ret_rel`` within its session, spread evenly over [-1, 1]
            (robust to the fat tails of returns, and what a rank IC measures); ``clipped``:
            ``ret_rel`` itself, cut at ``clip``.
        clip: Bound of the clipped target, a simple return.
        losses: What a position lost of which the lake does not know it.
    """

    horizon: Literal[5, 20] = 5
    target: Literal["rank", "clipped"] = "rank"
    clip: Annotated[float, Field(gt=0)] = 0.2
    losses: Losses = Losses()


@dataclass(frozen=True, slots=True, config=_CLOSED)
class GateOverride:
    """A row of ``seeds.model_gates`` as this profile wants it instead."""

    table_name: str
    window_years: Annotated[float, Field(gt=0)]
    min_green_fraction: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Gates:
    """Deviations from the gates of the seed, with the reason that the report repeats."""

    reason: Annotated[str, Field(min_length=10)]
    overrides: Annotated[tuple[GateOverride, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Universe:
    """How much of the universe must be left once names below the GREEN threshold are out of it.

    Attributes:
        min_names: Least share of the names of the gate's window that remain.
        min_depth: Least mean number of names per session of the window, as a share of those of its
            last session: a window of fifteen years that one old name fills is not fifteen years
            of a market.
    """

    min_names: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_depth: Annotated[float, Field(ge=0, le=1)] = 0.5


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Validation:
    """Combinatorial purged cross-validation and the blocks of the overfitting test.

    Attributes:
        groups: Contiguous date groups.
        test_groups: Groups left out together; C(groups, test_groups) splits.
        embargo_sessions: Sessions after each test block that are not trained on.
        min_group_sessions: A group shorter than this (half a year by default) refuses the training.
        pbo_blocks: Even number of blocks of CSCV.
    """

    groups: Annotated[int, Field(ge=3)] = 8
    test_groups: Positive = 2
    embargo_sessions: Annotated[int, Field(ge=0)] = 10
    min_group_sessions: Positive = 126
    pbo_blocks: Annotated[int, Field(ge=2, multiple_of=2)] = 16


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Weights:
    """Time decay of training rows, by calendar age before the end of the split's training rows."""

    half_life_months: Annotated[float, Field(gt=0)] = 18.0
    floor: Annotated[float, Field(gt=0, lt=1)] = 1e-6


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Trial:
    """One configuration: LightGBM parameters on top of the profile's common ones."""

    name: str
    params: dict[str, Parameter]


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Trials:
    """The configurations to compare, and the budget each gets.

    Attributes:
        session_stride: Trials see every n-th session only; 1 is all.
        trees: Trees of a trial.
        min_weight: Rows that weigh less than this (the newest weighs 1) are left out of trials.
        select_by: The chosen one has the best median path ``sharpe`` or the best mean rank ``ic``.
        grid: At least eight different configurations.
    """

    session_stride: Positive
    trees: Positive
    select_by: Literal["sharpe", "ic"]
    grid: Annotated[tuple[Trial, ...], Field(min_length=MIN_TRIALS)]
    min_weight: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("grid")
    @classmethod
    def _all_different(cls, grid: tuple[Trial, ...]) -> tuple[Trial, ...]:
        if len({trial.name for trial in grid}) < len(grid):
            raise ValueError("two trials have the same name")
        if len({repr(sorted(trial.params.items())) for trial in grid}) < len(grid):
            raise ValueError("two trials have the same params, so fewer were really tried")
        for trial in grid:
            _refuse_keys(trial.params, RESERVED | BINNING)
        return grid


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Strategy:
    """How predictions become the returns that are judged.

    Attributes:
        kind: ``long_short``: top minus bottom quantile, each leg one unit of capital;
            ``long_only``: top quantile minus the mean of the universe.
        quantile: Share of names in a leg.
        cost_bps: Cost per traded notional, in basis points.
        borrow_rate_ann: What borrowing a share that is sold short costs a year, of its value. The
            whole market costs about .25 %, special stocks 4.3 % (D'Avolio, The Market for Borrowing
            Stock, Journal of Financial Economics 66, 2002); a model's shorts are often special.
        sessions_per_year: For annualizing.
    """

    kind: Literal["long_short", "long_only"]
    quantile: Annotated[float, Field(gt=0, le=0.5)]
    cost_bps: Annotated[float, Field(ge=0)]
    sessions_per_year: Positive = 252
    borrow_rate_ann: Annotated[float, Field(ge=0, lt=1)] = 0.02


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Plausible:
    """What an honest signal looks like; beyond it the pipeline leaks until somebody shows not.

    Attributes:
        max_ic: Largest rank IC, of the model out of fold and of any one feature.
        min_kept: Share of the model's rank IC that features a session old must still give.
        reason: Why these bounds; the report repeats it.
    """

    max_ic: Fraction = 0.2
    min_kept: Fraction = 0.3
    reason: Annotated[str, Field(min_length=10)] = (
        "an IC of .1 counts as exceptional (Grinold and Kahn, Active Portfolio Management, 2000), "
        "and twice that has no published daily cross-section of stocks; what a name's features "
        "told of several sessions yesterday they mostly tell today"
    )


@dataclass(frozen=True, slots=True, config=_CLOSED)
class Controls:
    """Bars of the controls; beyond one the pipeline leaks.

    Attributes:
        max_abs_ic: The bar on the mean rank IC, over the repeats, of labels without signal.
        repeats: Shuffles, and shifts, to average over (a small panel is noisy).
        on_failure: ``refuse`` the training, or only ``report``.
        plausible: Bounds of an honest signal.
    """

    max_abs_ic: Fraction
    repeats: Positive
    on_failure: Literal["refuse", "report"]
    plausible: Plausible = Plausible()


@dataclass(frozen=True, slots=True, config=_CLOSED)
class TrainingProfile:
    """Everything that decides a training, besides the data.

    Attributes:
        model: The model's name, the folder under ``models/`` and the key of its gates.
        purpose: One sentence that the report repeats.
        features: Names of ``feat_`` columns in order; a trailing ``*`` takes all that match,
            sorted.
        seed: Of LightGBM and of the controls.
        threads: Of LightGBM; a different number may change the last bits.
        trees: Full budget of the chosen configuration.
        lightgbm: Parameters common to all configurations.
        gates: Deviations from the seed's gates, if any.
        universe: What must be left of the universe when names below the gate's threshold leave it.
    """

    model: str
    purpose: str
    features: Annotated[tuple[str, ...], Field(min_length=1)]
    seed: int
    threads: Positive
    trees: Positive
    lightgbm: dict[str, Parameter]
    label: LabelChoice
    validation: Validation
    weights: Weights
    trials: Trials
    strategy: Strategy
    controls: Controls
    gates: Gates | None = None
    universe: Universe = Universe()

    @field_validator("lightgbm")
    @classmethod
    def _not_reserved(cls, params: dict[str, Parameter]) -> dict[str, Parameter]:
        return _refuse_keys(params, RESERVED)

    @model_validator(mode="after")
    def _strides_meet(self) -> "TrainingProfile":
        if self.label.horizon % self.trials.session_stride:
            raise ValueError(
                f"trials.session_stride {self.trials.session_stride} must divide "
                f"label.horizon {self.label.horizon}"
            )
        return self


def _refuse_keys(params: dict[str, Parameter], forbidden: set[str]) -> dict[str, Parameter]:
    refused = sorted(forbidden & set(params))
    if refused:
        raise ValueError(f"{refused[0]} is not a trial's to set")
    return params


def profile_names() -> list[str]:
    """The training profiles that come with the package."""
    return sorted(path.stem for path in PROFILES.glob("*.yml"))


def model_names() -> list[str]:
    """The models that the packaged profiles train."""
    return sorted({load_profile(name).model for name in profile_names()})


def find_profile(model: str, name: str | None = None) -> TrainingProfile:
    """The profile that a model is trained with: the named one, else the model's own.

    Raises:
        ConfigError: There is no such model or profile, or the profile is for another model.
    """
    if name is None and model not in model_names():
        raise ConfigError(unknown_name(model, "a model", model_names()))
    profile = load_profile(name or model)
    if profile.model != model:
        raise ConfigError(f"the profile trains {profile.model!r}, not {model!r}")
    return profile


def load_profile(name: str) -> TrainingProfile:
    """Reads a profile by its name in ``models_ml/profiles``, or by a path that ends in .yml.

    Raises:
        ConfigError: There is no such profile, it is not YAML, or a key is missing, unknown or out
            of range.
    """
    if not name.endswith(".yml") and name not in profile_names():
        raise ConfigError(
            unknown_name(name, "a training profile", profile_names(), ", or a .yml file's path")
        )
    path = Path(name) if name.endswith(".yml") else PROFILES / f"{name}.yml"
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"training profile {name!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"training profile {path.name} is not YAML: {' '.join(str(error).split())}"
        ) from error
    return parse_profile(content, path.name)


def parse_profile(content: Any, where: str) -> TrainingProfile:
    """Checks the parsed YAML of a profile.

    Raises:
        ConfigError: With one line that names the first offending key.
    """
    if not isinstance(content, dict):
        raise ConfigError(
            f"training profile {where}: a mapping of keys is needed, got {type(content).__name__}"
        )
    try:
        return TypeAdapter(TrainingProfile).validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "profile"
        got = (
            ""
            if first["type"] == "missing" or isinstance(first["input"], dict)
            else f", got {first['input']!r:.60}"
        )
        raise ConfigError(f"training profile {where}: {key}: {first['msg']}{got}") from error


def disclosures(profile: TrainingProfile) -> tuple[str, ...]:
    """What a reader of the results must know: wherever the profile departs from the standard."""
    lines = [f"target: {profile.label.target} of ret_rel over {profile.label.horizon} sessions"]
    trials = profile.trials
    if trials.session_stride > 1:
        lines.append(
            f"trials and controls see one session in {trials.session_stride}; the chosen one, all"
        )
    if trials.trees < STANDARD_TRIAL_TREES:
        lines.append(
            f"trials have {trials.trees} trees, fewer than the standard {STANDARD_TRIAL_TREES}"
        )
    small = [trial.name for trial in trials.grid if leaves(profile, trial) < STANDARD_TRIAL_LEAVES]
    if small:
        lines.append(
            f"{len(small)} trials have fewer than the standard {STANDARD_TRIAL_LEAVES} leaves: "
            f"{', '.join(small)}"
        )
    if trials.min_weight:
        years = -log2(trials.min_weight) * profile.weights.half_life_months / 12
        lines.append(
            f"trials and controls train without rows that weigh below {trials.min_weight:g} "
            f"(older than {years:.1f} years); the chosen one, with them"
        )
    lost = profile.label.losses
    lines.append(
        f"where no price and nobody says what holders got, a removal lost "
        f"{abs(lost.unknown_removal_return):.0%} after the last price and a long halt "
        f"{abs(lost.long_halt_return):.0%}, which shorts gained: {lost.reason}"
    )
    if profile.strategy.kind == "long_short":
        lines.append(f"shorts pay {profile.strategy.borrow_rate_ann:.1%} a year to borrow")
    bounds = profile.controls.plausible
    lines.append(
        f"a rank IC up to {bounds.max_ic:g} is plausible, and {bounds.min_kept:g} of it is left "
        f"when features are a session old: {bounds.reason}"
    )
    if profile.controls.on_failure == "report":
        lines.append("a failing negative control is reported, it does not refuse")
    if profile.gates:
        lines.append(f"gates differ from the seed: {profile.gates.reason}")
    return tuple(lines)


def leaves(profile: TrainingProfile, trial: Trial) -> int:
    """The leaves per tree of a trial."""
    return int((profile.lightgbm | trial.params).get("num_leaves", STANDARD_TRIAL_LEAVES))
