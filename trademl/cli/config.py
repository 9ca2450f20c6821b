"""``trademl config show``: every setting, its value, and the layer that it comes from."""

from collections.abc import Iterator

import click
from pydantic import SecretStr

from ingest.catalog.capabilities import read_capabilities
from trademl.errors import ConfigError
from trademl.settings import Settings, sources, unknown_variables

SET, NOT_SET = "set", "not set"


@click.group("config")
def config_group() -> None:
    """What this environment is set to, and why."""


@config_group.command("show")
def config_show() -> None:
    """Print every setting, its value and where it comes from; keys only as set or not set.

    The layers, strongest first: the environment, .env, the profile that TRADEML_ENV names, the
    base configuration.
    """
    misspelt = unknown_variables()
    if misspelt:
        raise ConfigError(
            f"variables that no setting knows: {', '.join(misspelt)}; mend or remove them"
        )
    rows = list(settings_table(Settings(), sources()))
    known = {"default", *(row.vendor for row in read_capabilities())}
    for name in (row[0] for row in rows):
        table, dot, vendor = name.partition(".")
        if dot and vendor not in known:
            raise ConfigError(
                f"setting {table} names no vendor of the registry: {vendor}; there are: "
                f"{', '.join(sorted(known))}"
            )
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, layer in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {layer}")


def settings_table(settings: Settings, layers: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, value and layer of each setting; entries of tables by vendor one by one.

    Args:
        settings: The settings.
        layers: Where each comes from, see ``trademl.settings.sources``.
    """
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, dict):
            for entry in sorted(value):
                key = f"{name}.{entry}"
                yield key, str(value[entry]), layers[key]
        else:
            yield name, _shown(value), layers[name]


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return SET if value.get_secret_value() else NOT_SET
    return NOT_SET if value is None or value == "" else str(value)
