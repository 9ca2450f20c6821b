"""Settings: base YAML, then the environment profile's YAML, then ``.env``, then the environment.

The later wins, key by key; tables by vendor are joined entry by entry. ``TRADEML_ENV`` chooses the
profile; `trademl config show` tells where each value came from.
"""

import os
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from trademl.errors import ConfigError, unknown_name

CONFIG_DIR = Path(__file__).parent / "config"
DEFAULT_ENV = "local"
_DOTENV = ".env"
_PREFIX = "TRADEML_"
_PER_VENDOR = {
    "max_inflight": "NODE_MAX_INFLIGHT_",
    "freeze_seconds": "VENDOR_FREEZE_SECONDS_",
}
"""Tables by vendor, and the beginning of the variables that set one vendor's entry."""
VENDOR_ALIASES = {
    "alfred": "fred",
    "alpha_vantage": "alphavantage",
    "av": "alphavantage",
    "edgar": "sec_edgar",
    "polygon": "massive",
    "sec": "sec_edgar",
}
"""Other names that vendors go by in settings; one vendor must not have two entries in a table."""
_ELSEWHERE = {"TRADEML_MEMORY_LIMIT"}
"""Variables that dbt's profile reads."""

_Days = Annotated[int, Field(ge=1, le=36600)]
_Slots = Annotated[int, Field(ge=1, le=64)]
_Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
_Fraction = Annotated[float, Field(gt=0, le=1)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+")]

Layer = tuple[str, dict[str, Any]]
"""A layer's name, and the values it sets, by field."""


def _secret(*names: str) -> Any:
    return Field(default=SecretStr(""), validation_alias=AliasChoices(*names))


def _named(*names: str) -> Any:
    return Field(validation_alias=AliasChoices(*names))


class Settings(BaseSettings):
    """Where data lives, how the data node works, which hosts to ask, and the keys to ask with.

    Attributes:
        env: The environment profile: a file under ``trademl/config/env``.
        data: The data directory.
        clock: The run's time, ISO 8601; none takes now.
        keep_bodies: Whether vendors' bodies are kept as received, under ``bodies/``.
        node_id: Names this node in leases and logs.
        scheduler_mode: How work is given out; every vendor has executors of its own.
        max_inflight: Requests at once per vendor, 1 to 64; ``default`` for the others.
        freeze_seconds: How long a vendor rests after it refused, at most a week; ``default`` for
            the others.
        max_days_per_task: Upper bound on the days of a backfill task, beside the dataset's own.
        forward_quota: FORWARD tasks that are served before all others in each cycle, at least 1.
        actions_recent_days: Days of splits and dividends that are asked again each time.
        actions_all_days: Days after which all of them are asked again.
        min_green_fraction: GREEN fraction that stage gating asks for, up to 1.
        maintenance_time: When maintenance and the heavy audit run, local to ``timezone``.
        timezone: The node's time zone.
        training_enabled: Whether this environment trains models.
        backfill_enabled: Whether this environment fetches history.
        macro_series: The series of FRED that the node keeps; in a variable, separated by commas.
        auto_promote: Whether a better model becomes champion by itself.
    """

    model_config = SettingsConfigDict(
        env_file=_DOTENV, extra="ignore", env_prefix=_PREFIX, populate_by_name=True
    )

    env: str = DEFAULT_ENV
    data: Path
    clock: str | None = None
    reference_dir: Path | None = None

    keep_bodies: bool = _named("KEEP_BODIES")
    node_id: _Name = _named("EDGE_NODE_ID")
    scheduler_mode: Literal["per_vendor"] = _named("EDGE_SCHEDULER_MODE")
    max_inflight: dict[str, _Slots]
    freeze_seconds: dict[str, _Seconds]
    max_days_per_task: _Days = _named("BACKFILL_MAX_DAYS_PER_TASK")
    forward_quota: Annotated[int, Field(ge=1)]
    actions_recent_days: _Days
    actions_all_days: _Days
    min_green_fraction: _Fraction = _named("BACKFILL_MIN_GREEN_FRAC")
    maintenance_time: time
    timezone: str
    macro_series: tuple[str, ...]
    training_enabled: bool
    backfill_enabled: bool
    auto_promote: bool = _named("TRAINING_ENABLE_AUTO_PROMOTE")

    alpaca_key_id: SecretStr = _secret("APCA_API_KEY_ID", "ALPACA_API_KEY")
    alpaca_secret_key: SecretStr = _secret("APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY")
    massive_api_key: SecretStr = _secret("MASSIVE_API_KEY", "POLYGON_API_KEY")
    finnhub_api_key: SecretStr = _secret("FINNHUB_API_KEY")
    alphavantage_key: SecretStr = _secret("ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY")
    fmp_key: SecretStr = _secret("FMP_API_KEY")
    fred_key: SecretStr = _secret("FRED_API_KEY")
    sec_user_agent: str = Field(default="", validation_alias=AliasChoices("SEC_USER_AGENT"))

    alpaca_data_url: _Url
    alpaca_trading_url: _Url
    alphavantage_url: _Url
    binance_url: _Url
    finnhub_url: _Url
    fmp_url: _Url
    fred_url: _Url
    massive_url: _Url
    sec_data_url: _Url
    sec_www_url: _Url
    tradingview_url: _Url

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name, *entry = (str(part) for part in first["loc"])
            field = _field_named(name)
            where = ".".join([field, *entry])
            layer = sources().get(where) or sources().get(field, "default")
            got = "" if is_secret(field) else f", got {first['input']!r}"
            by = variables(field) or [_PER_VENDOR[field] + "_".join(entry).upper()]
            wrong = first["msg"].removeprefix("Value error, ")
            raise ConfigError(
                f"setting {where} ({layer}): {wrong}{got}; mend it there or set {' or '.join(by)}"
            ) from None

    @field_validator("max_inflight", "freeze_seconds")
    @classmethod
    def _has_default(cls, table: dict[str, float]) -> dict[str, float]:
        if "default" not in table:
            raise ValueError("needs an entry 'default'")
        return table

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("is not a time zone such as America/New_York")
        return name

    @field_validator("maintenance_time")
    @classmethod
    def _is_local(cls, at: time) -> time:
        if at.tzinfo is not None:
            raise ValueError("takes a local time such as 02:00; the zone is a setting of its own")
        return at

    @field_validator("macro_series", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Pydantic's hook: the sources, strongest first."""
        # Pydantic's own sources would let a variable's first name in .env win over its second
        # name in the environment.
        is_asked = isinstance(dotenv_settings, DotEnvSettingsSource) and dotenv_settings.env_file
        layers = _layers(with_dotenv=bool(is_asked))
        return (init_settings, *(_Table(settings_cls, content) for _, content in layers))


class _Table(PydanticBaseSettingsSource):
    """A source that is a plain table of field names and values."""

    def __init__(self, settings_cls: type[BaseSettings], content: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._content = dict(content)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Pydantic's hook; the whole table is given at once instead."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        return self._content


def sources() -> dict[str, str]:
    """Where each setting comes from: the name of the strongest layer that sets it.

    Tables by vendor have one line per entry, such as ``max_inflight.alpaca``; what no layer sets
    has ``default``.

    Raises:
        ConfigError: The environment's profile does not exist, or a file is not a table of settings.
    """
    layer_of = {name: "default" for name in Settings.model_fields if name not in _PER_VENDOR}
    for layer, content in reversed(_layers()):
        for name, value in content.items():
            entries = [f"{name}.{vendor}" for vendor in value] if name in _PER_VENDOR else [name]
            layer_of |= dict.fromkeys(entries, layer)
    return layer_of


def profiles() -> list[str]:
    """The environment profiles there are."""
    return sorted(path.stem for path in (CONFIG_DIR / "env").glob("*.yml"))


def is_secret(name: str) -> bool:
    """Whether a setting's value must never be shown."""
    return Settings.model_fields[name].annotation is SecretStr


def variables(name: str) -> list[str]:
    """The environment variables that set a field, the first one that is set counts."""
    choices = Settings.model_fields[name].validation_alias
    if isinstance(choices, AliasChoices):
        return [str(choice) for choice in choices.choices]
    return [] if name in _PER_VENDOR else [f"{_PREFIX}{name}".upper()]


def unknown_variables() -> list[str]:
    """Variables that begin as settings do but set nothing, most likely misspelt; in order."""
    known = {
        variable for name in Settings.model_fields for variable in variables(name)
    } | _ELSEWHERE
    present = {key.upper() for table in (os.environ, dotenv_values(_DOTENV)) for key in table}
    return sorted(key for key in present if key.startswith(_PREFIX) and key not in known)


def _field_named(name: str) -> str:
    """The field that pydantic names in an error, where it may call it by a variable."""
    fields = (field for field in Settings.model_fields if name in variables(field))
    return next(fields, name)


def _layers(*, with_dotenv: bool = True) -> list[Layer]:
    """All layers, strongest first."""
    dotenv = dotenv_values(_DOTENV) if with_dotenv else {}
    return [
        ("environment", _from_variables(os.environ)),
        (_DOTENV, _from_variables(dotenv)),
        *_yaml_layers(os.environ.get("TRADEML_ENV") or dotenv.get("TRADEML_ENV")),
    ]


def _from_variables(table: Mapping[str, str | None]) -> dict[str, Any]:
    """The fields that a table of variables sets; entries of single vendors are gathered."""
    upper = {key.upper(): value for key, value in table.items() if value is not None}
    fields: dict[str, Any] = {}
    for name in Settings.model_fields:
        values = [upper[variable] for variable in variables(name) if variable in upper]
        if values:
            fields[name] = values[0]
    for field, start in _PER_VENDOR.items():
        entries = {
            _vendor(key.removeprefix(start)): value
            for key, value in upper.items()
            if key.startswith(start)
        }
        fields |= {field: entries} if entries else {}
    return fields


def _vendor(name: str) -> str:
    lower = str(name).lower()
    return VENDOR_ALIASES.get(lower, lower)


def _yaml_layers(chosen: str | None) -> list[Layer]:
    """The YAML files, strongest first."""
    name = chosen or DEFAULT_ENV
    if name not in profiles():
        raise ConfigError(
            f"TRADEML_ENV: {unknown_name(name, 'an environment profile', profiles())}"
        )
    return [
        (path.relative_to(CONFIG_DIR.parent).as_posix(), _read(path))
        for path in (CONFIG_DIR / "env" / f"{name}.yml", CONFIG_DIR / "base.yml")
    ]


def _read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} is not a table of settings; write NAME: VALUE lines")
    unknown = {str(name) for name in content} - set(Settings.model_fields)
    if unknown:
        raise ConfigError(f"{path.name} has settings nobody knows: {', '.join(sorted(unknown))}")
    tables = {
        name: {_vendor(vendor): value for vendor, value in content[name].items()}
        for name in _PER_VENDOR
        if name in content
    }
    return {**content, **tables}
