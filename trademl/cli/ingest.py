"""``trademl ingest run`` and ``trademl replay``."""

from datetime import date
from pathlib import Path

import click

from trademl.candidate_file import LAKE_ASSET_TYPES, listed_symbols
from trademl.cli import names
from trademl.cli.options import data_option, moment_of
from trademl.clock import iso
from trademl.errors import ConfigError
from trademl.settings import Settings
from trademl.symbology import parse_symbols


@click.group("ingest")
def ingest_group() -> None:
    """Land what vendors send as raw, append-only Parquet files."""


@ingest_group.command("run")
@click.option(
    "--vendor",
    required=True,
    shell_complete=names.vendors,
    help="E.g. alpaca, binance, massive, file.",
)
@click.option(
    "--dataset",
    required=True,
    shell_complete=names.datasets,
    help="One of the vendor's datasets, e.g. assets.",
)
@click.option("--start", help="First day wanted, YYYY-MM-DD.")
@click.option("--end", help="Last day wanted, inclusive, YYYY-MM-DD.")
@click.option("--symbols", help="Comma-separated; without it all that the landed listing names.")
@click.option(
    "--candidates",
    type=click.Path(path_type=Path),
    multiple=True,
    help="The symbols of a candidates.json, those of the dataset's asset class; several times.",
)
@click.option("--base-url", help="Asks this host instead of the vendor's, e.g. a replay.")
@click.option("--reference-dir", type=click.Path(path_type=Path), help="Where vendor file reads.")
@data_option
@click.option("--clock", help="The run's time, ISO 8601; default: TRADEML_CLOCK, else now.")
def ingest_run(
    vendor: str,
    dataset: str,
    start: str | None,
    end: str | None,
    symbols: str | None,
    candidates: tuple[Path, ...],
    base_url: str | None,
    reference_dir: Path | None,
    data_dir: Path | None,
    clock: str | None,
) -> None:
    """Land what is missing of a dataset; where nothing is, make no call and no file.

    Where the data node works in the same directory, every call counts in its budget.

    Keys come from the environment or .env under the vendors' own names, see `trademl config show`.
    """
    from ingest.sync import find_dataset, run_ingest

    find_dataset(vendor, dataset)
    # Checked before the rest is imported: a mistyped name is told at once.
    from ingest.control.metered_client import client_by_hand

    if candidates and symbols is not None:
        raise ConfigError("give --symbols or --candidates, not both")
    settings = Settings()
    if reference_dir is not None:
        settings = settings.model_copy(update={"reference_dir": reference_dir})
    folder, moment = data_dir or settings.data, moment_of(settings, clock)
    report = run_ingest(
        vendor,
        dataset,
        data_dir=folder,
        clock=moment,
        settings=settings,
        start=_day("--start", start),
        end=_day("--end", end),
        symbols=_candidates(candidates, dataset) if candidates else _symbols(symbols, vendor),
        base_url=base_url,
        make_client=client_by_hand(folder, vendor, dataset, moment_of(settings)),
    )
    for reason in report.skipped:
        click.echo(f"nothing to do: {reason}")
    if report.files:
        click.echo(
            f"landed {report.rows} rows in {len(report.files)} files with {report.calls} calls"
        )


@click.command("replay")
@click.option(
    "--market",
    required=True,
    type=click.Path(path_type=Path),
    help="A market directory, see `trademl market simulate`.",
)
@click.option("--port", default=0, show_default=True, help="Port on 127.0.0.1, 0 for a free one.")
@click.option("--faults", default="", help="E.g. 429:0.05,massive/cut:0.01;seed=7")
@click.option("--clock", help="Serve what was known by then; default: TRADEML_CLOCK, else now.")
def replay_command(market: Path, port: int, faults: str, clock: str | None) -> None:
    """Serve a market in the vendors' wire formats until interrupted."""
    from simulator.replay.server import ReplayServer

    moment = moment_of(Settings(), clock)
    try:
        server = ReplayServer(market, moment, faults, port=port)
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}; choose another"
        ) from error
    click.echo(f"replaying {market} as known at {iso(moment)} on {server.url} (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("replay ended")


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is not a date such as 2017-12-29") from error


def _symbols(text: str | None, vendor: str) -> tuple[str, ...] | None:
    return None if text is None else parse_symbols(text, with_exchange=vendor == "tradingview")


def _candidates(files: tuple[Path, ...], dataset: str) -> list[str]:
    """The symbols of candidates files that a dataset may have."""
    types = LAKE_ASSET_TYPES["crypto" if dataset.startswith("crypto") else "equity"]
    found = sorted({symbol for file in files for symbol in listed_symbols(file, types)})
    if not found:
        said = ", ".join(str(file) for file in files)
        raise ConfigError(f"{said}: no candidate is {' or '.join(types)}, as {dataset} is")
    return found
