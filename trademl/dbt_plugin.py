"""Prepares what a plain ``dbt build`` needs before it connects: a folder and the extension."""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from trademl import lake


class Plugin(BasePlugin):
    """Loaded by dbt-duckdb from profiles.yml, before it attaches the catalog."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's
        """Makes the folders under the data directory and installs the DuckLake extension."""
        lakehouse = lake.lakehouse_dir(Path(os.environ.get("TRADEML_DATA", "data")))
        for folder in (lakehouse / "published", lakehouse / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        lake.install_extensions()
