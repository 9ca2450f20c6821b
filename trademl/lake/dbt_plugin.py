"""A dbt-duckdb plugin that finds the lake and installs the extension before a connection."""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags

from trademl.clock import parse_clock
from trademl.lake import versions as lake

_DUCKLAKE = "ducklake:duckdb:"


class Plugin(BasePlugin):
    """Loaded by dbt-duckdb from profiles.yml, before it attaches the catalog."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's
        """Makes the folders under the data directory and installs the DuckLake extension.

        Raises:
            ConfigError: The lake has been built as of a later time, or its path cannot be used.
        """
        data_dir = _data_dir()
        lake.check_data_dir(data_dir)
        flags = get_flags()  # type: ignore[no-untyped-call]
        as_of = getattr(flags, "VARS", {}).get("as_of") or os.environ.get("TRADEML_CLOCK")
        if as_of and not getattr(flags, "FULL_REFRESH", False):
            lake.check_clock(data_dir, parse_clock(str(as_of)))
        lakehouse = lake.lakehouse_dir(data_dir)
        for folder in (lakehouse / "published", lakehouse / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        lake.install_extensions()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Puts the data directory before the profile's paths; extensions are the project's own."""
        data_dir = _data_dir()
        config["extension_directory"] = str(lake.EXTENSION_DIRECTORY)
        config["temp_directory"] = str(data_dir / config["temp_directory"])
        for attached in creds.attach:
            catalog = attached.path.removeprefix(_DUCKLAKE)
            attached.path = f"{_DUCKLAKE}{data_dir / catalog}"
            attached.options["data_path"] = f"{data_dir / attached.options['data_path']}/"


def _data_dir() -> Path:
    """Absolute: put before a path a second time, when dbt connects again, it changes nothing."""
    return Path(os.environ.get("TRADEML_DATA", "data")).absolute()
