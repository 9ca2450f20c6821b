"""``trademl versions`` and ``trademl shell``: what is published, and the DuckDB CLI on it."""

import os
import shutil
import sys
from pathlib import Path

import click

from trademl.cli import names
from trademl.cli.options import data_option
from trademl.errors import ConfigError
from trademl.lake import versions as lake
from trademl.settings import Settings


@click.command("versions")
@data_option
def versions_command(data_dir: Path | None) -> None:
    """List the published versions, oldest first."""
    data_dir = data_dir or Settings().data
    versions = lake.list_versions(data_dir)
    for version in versions:
        click.echo(f"{version.name}  as of {version.as_of}")
    if not versions:
        click.echo(f"nothing is published under {data_dir}")


@click.command("shell")
@click.option(
    "--version",
    "name",
    shell_complete=names.versions,
    help="A published version; default: the newest.",
)
@click.option("--command", "-c", help="Run this SQL and leave.")
@data_option
def shell_command(name: str | None, command: str | None, data_dir: Path | None) -> None:
    """Open the DuckDB CLI on a published version, read-only; it never blocks a build.

    backfill_queue and pipeline_runs are there too, as they are when it opens.
    """
    data_dir = data_dir or Settings().data
    version = lake.find_version(data_dir, name)
    lake.install_extensions()
    program = Path(sys.executable).with_name("duckdb")
    if not program.exists():
        found = shutil.which("duckdb")
        if found is None:
            raise ConfigError("the DuckDB CLI is not installed: install the package duckdb-cli")
        program = Path(found)
    start = "; ".join(
        (
            f"set extension_directory = '{lake.EXTENSION_DIRECTORY}'",
            "load ducklake",
            lake.attach_statement(data_dir, version),
            "use lake",
            *_control_views(data_dir),
        )
    )
    arguments = [str(program), "-cmd", start]
    arguments += ["-c", command] if command else []
    os.execv(program, arguments)


def _control_views(data_dir: Path) -> list[str]:
    """SQL that shows the tables of the data node, which lie in an SQLite file."""
    # It imports pyarrow, which a completion need not wait for.
    from ingest.node.export import copy_control

    try:
        copies = copy_control(data_dir)
    except OSError as error:
        click.echo(f"the data node's tables are not shown: {error}", err=True)
        return []
    return [f"create temp view {name} as from '{path}'" for name, path in copies.items()]
