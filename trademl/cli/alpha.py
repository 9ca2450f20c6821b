"""``trademl alpha``: one sleeve, offline, from a published version to weights."""

from datetime import UTC, datetime
from pathlib import Path

import click

from models_ml.registry.folders import LATEST, model_dir, model_ids, models_dir
from trademl.cli import names
from trademl.cli.options import data_option
from trademl.clock import parse_clock
from trademl.errors import ConfigError, unknown_name
from trademl.lake.versions import Version, find_version
from trademl.settings import Settings

DEFAULT_PROFILE = "us_equities_long"
SHOWN_WEIGHTS = 10


@click.command("alpha")
@click.option(
    "--run-id",
    required=True,
    shell_complete=names.runs,
    help="Names the run: letters, digits, '_' and '-'.",
)
@click.option(
    "--profile",
    "profile_name",
    default=DEFAULT_PROFILE,
    shell_complete=names.profiles,
    show_default=True,
    help="A profile's name, or the path of a .yml file.",
)
@click.option(
    "--version",
    "version_name",
    shell_complete=names.versions,
    help="A published version; default: the newest.",
)
@click.option(
    "--model-id",
    shell_complete=names.model_ids,
    help="A trained model of the profile; default: the latest that knows no more than the version.",
)
@click.option(
    "--candidates",
    "candidates_file",
    type=click.Path(path_type=Path),
    help="Choose among these only; default: export/RUN_ID/candidates_validated.json, if there.",
)
@click.option("--skip-analysis", is_flag=True, help="Leave out the cluster and factor maps.")
@click.option("--skip-validation", is_flag=True, help="Leave out the in-sample comparison.")
@data_option
@click.option("--clock", help="The run's time, ISO 8601; default: TRADEML_CLOCK, else now.")
def alpha_command(
    run_id: str,
    profile_name: str,
    version_name: str | None,
    model_id: str | None,
    candidates_file: Path | None,
    skip_analysis: bool,
    skip_validation: bool,
    data_dir: Path | None,
    clock: str | None,
) -> None:
    """Turn a published version into signed weights, without any network.

    Writes runs/RUN_ID under the data directory: weights, ledger, report, INDEX.md. A run id stays
    with the version, model, clock and candidates it was started with; repeating it gives the same
    bytes.
    """
    from optimize.profiles import load_profile
    from trademl.lake.snapshot import read_lock
    from trademl.runs.workspace import check_run_id

    settings = Settings()
    folder = data_dir or settings.data
    lock = read_lock(folder, check_run_id(run_id))
    profile = load_profile(profile_name)
    find_version(folder, version_name)
    asked_model = model_id or (lock.model_id if lock else None)
    check_model(folder, profile.model.name, asked_model)
    # LightGBM, cvxpy and matplotlib take seconds to import: what was asked for is checked before.
    from optimize.sleeve.request import locked_version
    from optimize.sleeve.run import run_alpha

    version = locked_version(folder, run_id, version_name)
    result = run_alpha(
        run_id,
        data_dir=folder,
        profile=profile,
        version=version.name,
        clock=_clock(clock or settings.clock or (lock.clock if lock else None)),
        model=model_folder(folder, profile.model.name, asked_model, version),
        candidates=candidates_file,
        skip_analysis=skip_analysis,
        skip_validation=skip_validation,
    )
    for gate in result.gates:
        click.echo(f"{gate.status:4}  {gate.name}: {gate.got} (asked: {gate.asked})")
    click.echo(f"{result.primary} weights on version {result.version}:")
    for symbol, weight in result.weights[:SHOWN_WEIGHTS]:
        click.echo(f"  {symbol:12} {weight:+8.2%}")
    if len(result.weights) > SHOWN_WEIGHTS:
        click.echo(f"  and {len(result.weights) - SHOWN_WEIGHTS} more")
    click.echo(f"report: {result.report}")


def _clock(text: str | None) -> datetime:
    return parse_clock(text) if text else datetime.now(UTC)


def model_folder(
    data_dir: Path, name: str | None, model_id: str | None, version: Version
) -> Path | None:
    """The folder of the model that was asked for, else of the newest that the version may use.

    That is the latest one where it was trained as of the version or before, else the one of those
    with the latest ``as_of``; None where there is none.

    Raises:
        ConfigError: A model was asked for and there is none of that id, or two are equally new.
    """
    check_model(data_dir, name, model_id)
    if name is None:
        return None
    if model_id is None:
        return _newest_model(data_dir, name, parse_clock(version.as_of))
    return model_dir(data_dir, name, model_id)


def check_model(data_dir: Path, name: str | None, model_id: str | None) -> None:
    """Refuses a model that a run cannot use.

    Raises:
        ConfigError: The profile goes without one, or there is none of that id.
    """
    if model_id is None:
        return
    if name is None:
        raise ConfigError(f"this profile ranks without a model: leave out --model-id {model_id}")
    if not model_dir(data_dir, name, model_id).is_dir():
        where = models_dir(data_dir) / name
        raise ConfigError(
            unknown_name(model_id, f"a trained model under {where}", model_ids(data_dir, name))
        )


def _newest_model(data_dir: Path, name: str, known_by: datetime) -> Path | None:
    from models_ml.registry.store import latest_model_id
    from optimize.inputs.pinned_model import REPORT_FILE, trained_as_of

    home = models_dir(data_dir) / name
    if not (home / LATEST).is_file():
        return None
    latest = model_dir(data_dir, name, latest_model_id(data_dir, name))
    as_of = trained_as_of(latest)
    if as_of is None or as_of <= known_by:
        return latest
    trained = {path.parent: trained_as_of(path.parent) for path in home.glob(f"*/{REPORT_FILE}")}
    usable = {folder: found for folder, found in trained.items() if found and found <= known_by}
    newest = sorted(folder for folder in usable if usable[folder] == max(usable.values()))
    if len(newest) > 1:
        ids = ", ".join(folder.name for folder in newest)
        raise ConfigError(f"models {ids} of {name!r} are equally new: choose one with --model-id")
    return newest[0] if newest else None
