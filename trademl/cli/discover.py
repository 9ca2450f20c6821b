"""``trademl discover``: scanners to the candidates of a run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from trademl.cli import names
from trademl.cli.options import data_option, moment_of
from trademl.clock import iso, parse_clock
from trademl.errors import ConfigError
from trademl.settings import Settings

NOW = timedelta(hours=1)
"""How far a clock may be from the wall where the live screener is asked: it has no history."""


@click.command("discover")
@click.option(
    "--scanner",
    "scanners",
    required=True,
    multiple=True,
    shell_complete=names.scanners,
    help="A scanner's name, or the path of a .yml file; may be given several times.",
)
@click.option("--run-id", required=True, help="Names the run: letters, digits, '_' and '-'.")
@data_option
@click.option("--clock", help="The run's time, ISO 8601; default: TRADEML_CLOCK, else now.")
@click.option("--base-url", help="Asks this host instead of the vendor's, e.g. a replay.")
@click.option("--strict", is_flag=True, help="Fail where a row or a scanner would be left out.")
def discover_command(
    scanners: tuple[str, ...],
    run_id: str,
    data_dir: Path | None,
    clock: str | None,
    base_url: str | None,
    strict: bool,
) -> None:
    """Ask scanners for candidates and write export/RUN_ID under the data directory.

    candidates.json holds all that were found, candidates_validated.json those that go on to
    selection: what the newest version as of the clock holds, one per identity, logic and
    direction, with tick size, lot size and precision. On the first day land the candidates, build,
    and discover again.
    """
    from ingest.discovery.scanner_config import load_scanner

    loaded = [load_scanner(name) for name in dict.fromkeys(scanners)]
    # pyarrow and DuckDB are not waited for where a name is wrong.
    from ingest.control.metered_client import client_by_hand
    from ingest.discovery.pipeline import run_discovery

    settings = Settings()
    folder, moment = data_dir or settings.data, _clock(clock or settings.clock, base_url)
    report = run_discovery(
        run_id,
        loaded,
        data_dir=folder,
        clock=moment,
        settings=settings,
        base_url=base_url,
        strict=strict,
        make_client=client_by_hand(
            folder, "tradingview", "technical_rating_live", moment_of(settings)
        ),
    )
    for note in report.notes:
        click.echo(f"not asked again: {note}")
    for name, reason in report.failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    for stage, count in report.funnel.items():
        click.echo(f"{count:8}  {stage}")
    click.echo(f"candidates: {report.validated or report.candidates}")
    if report.validated is None:
        click.echo(
            f"nothing is published as of {iso(moment)} that they could be checked against: land "
            "them with `trademl ingest run --candidates`, build, and discover again",
            err=True,
        )


def _clock(text: str | None, base_url: str | None) -> datetime:
    """The run's time. The live screener tells how things are now, whatever the clock says."""
    now = datetime.now(UTC)
    moment = parse_clock(text) if text else now
    if base_url is None and abs(moment - now) > NOW:
        raise ConfigError(
            f"the screener has no history: its rows would pass for {iso(moment)}; leave --clock "
            "and TRADEML_CLOCK away, or ask a replay with --base-url"
        )
    return moment
