"""``trademl raw``: landed files, taken back by hand."""

from pathlib import Path

import click

from trademl.cli.options import data_option, moment_of
from trademl.clock import iso
from trademl.lake.versions import check_clock
from trademl.settings import Settings


@click.group("raw")
def raw_group() -> None:
    """What was landed: append-only Parquet files."""


@raw_group.command("retract")
@click.argument("file")
@click.option("--why", required=True, help="What is wrong with it; told in raw_retractions.")
@data_option
@click.option("--clock", help="The run's time, ISO 8601; default: TRADEML_CLOCK, else now.")
def retract_command(file: str, why: str, data_dir: Path | None, clock: str | None) -> None:
    """Take a landed FILE back, by its path or ingest_id: the next build leaves it out.

    The file stays, and builds as of an earlier time read it as before. What it covered is missing
    from then on, and asked for again.
    """
    from ingest.landing.retraction import retract

    settings = Settings()
    folder, moment = data_dir or settings.data, moment_of(settings, clock)
    # Dated back, it would change what is published already.
    check_clock(folder, moment)
    done = retract(folder, file, why, moment)
    if done.is_new:
        click.echo(
            f"retracted {done.file} with {done.rows} rows: builds as of {iso(done.retracted_at)} "
            "and later leave it out"
        )
    else:
        click.echo(f"nothing to do: {done.file} was retracted at {iso(done.retracted_at)}")
