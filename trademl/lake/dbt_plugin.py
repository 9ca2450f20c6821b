"""A dbt-duckdb plugin that creates the folder and installs the extension before a connection."""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags

from trademl.clock import parse_clock
from trademl.lake import versions as lake


class Plugin(BasePlugin):
    """Loaded by dbt-duckdb from profiles.yml, before it attaches the catalog."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's
        """Makes the folders under the data directory and installs the DuckLake extension.

        Raises:
            ConfigError: The lake has been built as of a later time, or its path cannot be used.
        """
        data_dir = Path(os.environ.get("TRADEML_DATA", "data"))
        lake.check_data_dir(data_dir)
        flags = get_flags()  # type: ignore[no-untyped-call]
        as_of = getattr(flags, "VARS", {}).get("as_of") or os.environ.get("TRADEML_CLOCK")
        if as_of and not getattr(flags, "FULL_REFRESH", False):
            lake.check_clock(data_dir, parse_clock(str(as_of)))
        lakehouse = lake.lakehouse_dir(data_dir)
        for folder in (lakehouse / "published", lakehouse / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        lake.install_extensions()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's
        """Takes extensions from where every other connection of the project takes them."""
        config["extension_directory"] = str(lake.EXTENSION_DIRECTORY)
