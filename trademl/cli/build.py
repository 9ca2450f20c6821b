"""``trademl build``: the nightly dbt build, waiting for one that is running."""

from datetime import UTC, datetime
from pathlib import Path

import click

from trademl.cli.options import data_option
from trademl.clock import parse_clock
from trademl.lake.build import build_lake
from trademl.settings import Settings


@click.command("build")
@data_option
@click.option("--clock", help="The run's time, ISO 8601; default: TRADEML_CLOCK, else now.")
@click.option("--full-refresh", is_flag=True, help="Build every table anew from the landed files.")
def build_command(data_dir: Path | None, clock: str | None, full_refresh: bool) -> None:
    """Build the lake and publish a version when every test passes.

    The same as `dbt build --select flow_data` in the project's folder, but it waits for a build
    that is running.
    """
    settings = Settings()
    chosen = clock or settings.clock
    moment = parse_clock(chosen) if chosen else datetime.now(UTC)
    version = build_lake(data_dir or settings.data, moment, full_refresh=full_refresh)
    click.echo(f"published: {version.name} (as of {version.as_of})")
