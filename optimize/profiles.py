"""Profiles: what a sleeve trades, how it chooses and how it allocates.

A profile is a small YAML file laid over ``profiles/defaults.yml``. It is checked completely before
anything runs: an unknown key, a wrong type or a value out of range is one readable line.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trademl.errors import ConfigError, unknown_name

SELECTION_FEATURES = (
    "momentum",
    "volatility_ann",
    "stability",
    "entropy",
    "efficiency",
    "hurst",
    "hurst_clean",
    "adx",
    "liquidity",
    "antifragility",
    "survival",
    "skew",
    "kurtosis",
    "cvar",
    "roc",
    "adv_usd",
    "eci",
    "fragility",
    "n_obs",
    "gap_ratio",
)
"""Raw values of ``feat_<name>`` that the data cycle provides for selection."""

MODEL_SCORE = "model_score"
"""The one ranked value that is not a column of the lake."""

PROFILE_DIRECTORY = Path(__file__).resolve().parent / "profiles"
DEMO_DIRECTORY = PROFILE_DIRECTORY / "demo"
DEFAULTS = "defaults"

MOST_ABS_RETURN = 5.0
"""The lake's bound of toxicity: a profile may ask for less, never for more."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Method = Literal["rank", "rank_desc", "logistic", "zscore", "minmax", "cdf", "raw01"]
PortfolioName = Literal["hrp", "min_variance", "max_sharpe", "risk_parity", "equal_weight"]


class _Section(BaseModel):
    # Strict: true is not a number and "0.2" is none either. Lists stay what YAML makes of a pair.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSection(_Section):
    """Which rows a run reads, and what makes them unusable."""

    calendar: str | None
    lookback_days: Annotated[int, Field(ge=30)]
    min_days_floor: Annotated[int, Field(ge=30)]
    max_missing_ratio: Annotated[float, Field(ge=0.0, lt=1.0)]
    max_age_hours: Annotated[float, Field(gt=0.0)]
    warn_abs_return: Annotated[float, Field(gt=0.0)]
    max_abs_return: Annotated[float, Field(gt=0.0, le=MOST_ABS_RETURN)]
    min_adv_usd: Annotated[float, Field(ge=0.0)]
    require_eligible: bool
    min_metadata_ratio: Unit
    strict_health: bool
    toxic_reasons: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _floor_fits(self) -> "DataSection":
        _check_order("warn_abs_return", self.warn_abs_return, "max_abs_return", self.max_abs_return)
        if self.min_days_floor > self.lookback_days:
            raise ValueError(
                f"min_days_floor {self.min_days_floor} exceeds lookback_days {self.lookback_days}"
            )
        return self


class SoftThresholds(_Section):
    """Thresholds that the stages of relaxation may loosen or waive."""

    entropy_max: Share
    efficiency_min: Unit
    # YAML has no tuples: the one place where a list is taken for one.
    random_walk_zone: Annotated[tuple[Unit, Unit], Field(strict=False)]
    eci_hurdle: float
    min_momentum: float

    @model_validator(mode="after")
    def _zone_is_ordered(self) -> "SoftThresholds":
        low, high = self.random_walk_zone
        _check_order("random_walk_zone's beginning", low, "its end", high)
        return self


class HardThresholds(_Section):
    """Thresholds that nothing loosens."""

    entropy_max: Share
    survival_min: Unit
    kurtosis_max: Annotated[float, Field(gt=0.0)]
    volatility_max: Annotated[float, Field(gt=0.0)]
    volatility_min: Annotated[float, Field(ge=0.0)]
    roc_max: Annotated[float, Field(gt=0.0)]
    roc_min: Annotated[float, Field(ge=-1.0, lt=0.0)]

    @model_validator(mode="after")
    def _volatilities_are_ordered(self) -> "HardThresholds":
        _check_order("volatility_min", self.volatility_min, "volatility_max", self.volatility_max)
        return self


class Relaxation(_Section):
    """Factors of the second stage."""

    entropy_factor: Annotated[float, Field(ge=1.0)]
    efficiency_factor: Share


class Hardening(_Section):
    """The one tightening for pools that look like noise."""

    mean_entropy: Share
    factor: Share


class SelectionSection(_Section):
    """How winners are chosen."""

    logic: Annotated[str, Field(min_length=1)]
    target: Annotated[int, Field(ge=1)]
    top_n: Annotated[int, Field(ge=1)]
    max_winners: Annotated[int, Field(ge=1)]
    soft: SoftThresholds
    hard: HardThresholds
    relaxation: Relaxation
    hardening: Hardening

    @model_validator(mode="after")
    def _target_fits(self) -> "SelectionSection":
        if self.target > self.max_winners:
            raise ValueError(f"target {self.target} exceeds max_winners {self.max_winners}")
        return self


class RankedFeature(_Section):
    """How one feature enters the score; a directional one changes sign for shorts."""

    method: Method
    weight: Annotated[float, Field(ge=0.0)]
    directional: bool = False


class ModelSection(_Section):
    """The trained model whose score is ranked; None for a sleeve that goes without."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None
    required: bool

    @model_validator(mode="after")
    def _required_is_named(self) -> "ModelSection":
        if self.required and self.name is None:
            raise ValueError("model.required needs model.name, e.g. equities_xs")
        return self


class ClusterSection(_Section):
    """Correlation clusters."""

    lookbacks: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
    threshold: Annotated[float, Field(gt=0.0)]
    max_clusters: Annotated[int, Field(ge=1)]


class RegimeCaps(_Section):
    """Cluster caps that a nervous market lowers the base cap to."""

    TURBULENT: Share
    CRISIS: Share


class RegimeThresholds(_Section):
    """When the spectral flag calls a normal market turbulent."""

    turbulence_max: Share
    hurst_max: Share


class RiskSection(_Section):
    """Concentration limits."""

    cluster_cap: Share
    name_cap: Share
    regime_caps: RegimeCaps
    regime: RegimeThresholds


class OptimizerSection(_Section):
    """Which portfolios are built, and which one is the run's answer."""

    primary: PortfolioName
    profiles: Annotated[list[PortfolioName], Field(min_length=1)]
    linkage: Literal["single", "complete", "average", "ward"]
    periods_per_year: Annotated[int, Field(ge=1, le=366)]

    @model_validator(mode="after")
    def _primary_is_built(self) -> "OptimizerSection":
        if len(set(self.profiles)) < len(self.profiles):
            raise ValueError(f"optimizer.profiles {self.profiles} names a portfolio twice")
        if self.primary not in self.profiles:
            raise ValueError(f"primary {self.primary!r} is not among profiles {self.profiles}")
        return self


class FeatureFlags(_Section):
    """Switches of a run."""

    feat_short_direction: bool
    feat_directional_sign_test_gate_atomic: bool
    feat_spectral_regimes: bool


class Profile(_Section):
    """One sleeve's complete configuration."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    asset_class: Literal["equity", "crypto"]
    direction: Literal["LONG", "SHORT"]
    environment: Literal["production", "dev"]
    exclude_symbols: list[str]
    data: DataSection
    selection: SelectionSection
    ranking: Annotated[dict[str, RankedFeature], Field(min_length=1)]
    model: ModelSection
    clusters: ClusterSection
    risk: RiskSection
    optimizer: OptimizerSection
    features: FeatureFlags

    @model_validator(mode="after")
    def _sections_agree(self) -> "Profile":
        if self.direction == "SHORT" and not self.features.feat_short_direction:
            raise ValueError("direction SHORT needs features.feat_short_direction: true")
        if self.asset_class == "equity" and self.data.calendar is None:
            raise ValueError("asset_class equity needs data.calendar, e.g. XNYS")
        if not any(feature.weight > 0.0 for feature in self.ranking.values()):
            raise ValueError("ranking has no feature with a weight above 0")
        unknown = set(self.ranking) - {*SELECTION_FEATURES, MODEL_SCORE}
        if unknown:
            raise ValueError(f"ranking.{min(unknown)} is not a selection feature")
        return self

    def resolved(self) -> dict[str, Any]:
        """All keys with their values, as plain JSON types."""
        return self.model_dump(mode="json")


def _check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if low >= high:
        raise ValueError(f"{low_name} {low:g} must be below {high_name} {high:g}")


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(path.stem for path in PROFILE_DIRECTORY.glob("*.yml") if path.stem != DEFAULTS)


def demo_profile_names() -> list[str]:
    """The profiles for markets of a few dozen names, which the demo takes; loaded by name too."""
    return sorted(path.stem for path in DEMO_DIRECTORY.glob("*.yml"))


def load_profile(name: str) -> Profile:
    """The profile of that name, or of a YAML file where ``name`` is a path to one.

    Raises:
        ConfigError: No such profile, broken YAML, or a key or value that is not allowed.
    """
    path = _locate(name)
    merged = _merge(_read_yaml(PROFILE_DIRECTORY / f"{DEFAULTS}.yml"), _read_yaml(path))
    try:
        return Profile.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(f"profile {path.name}: {_first_problem(error)}") from error


def _locate(name: str) -> Path:
    if name.endswith((".yml", ".yaml")):
        path = Path(name)
    elif name in profile_names():
        path = PROFILE_DIRECTORY / f"{name}.yml"
    elif name in demo_profile_names():
        path = DEMO_DIRECTORY / f"{name}.yml"
    else:
        raise ConfigError(
            unknown_name(name, "a profile", profile_names(), ", or a .yml file's path")
        )
    if not path.is_file():
        raise ConfigError(f"profile file {name!r} does not exist")
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"profile {path.name} is not readable YAML: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"profile {path.name} must be a mapping of keys, got {type(content).__name__}"
        )
    return content


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _first_problem(error: ValidationError) -> str:
    """The first of pydantic's findings as one line with the key, the value got and the fix."""
    errors = error.errors(include_url=False)
    first = errors[0]
    key = ".".join(str(part) for part in first["loc"]) or "profile"
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "unknown key: remove it or correct its spelling"
    elif first["type"] == "missing":
        return f"{key} is missing: add it" + _others(errors)
    if first["type"] == "value_error":
        return reason + _others(errors)
    return f"{key} = {first['input']!r}: {reason}" + _others(errors)


def _others(errors: list[Any]) -> str:
    return f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
