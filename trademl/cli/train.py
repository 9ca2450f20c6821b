"""``trademl train MODEL``: trains a model on a published version whose tables are GREEN."""

from pathlib import Path

import click

from trademl.cli import names
from trademl.cli.options import data_option
from trademl.errors import ConfigError
from trademl.settings import Settings, sources


@click.command("train")
@click.argument("model", shell_complete=names.models)
@click.option(
    "--version",
    "version_name",
    shell_complete=names.versions,
    help="A published version; default: the newest.",
)
@click.option(
    "--profile",
    "profile_name",
    shell_complete=names.training_profiles,
    help="A training profile; default: the model's own.",
)
@data_option
def train_command(
    model: str, version_name: str | None, profile_name: str | None, data_dir: Path | None
) -> None:
    """Train MODEL, such as equities_xs, when the tables it depends on are GREEN.

    Leaves the artifacts in models/MODEL/<model_id>/ under the data directory and points LATEST at
    them; the same data, profile and code give the same model, and are not trained twice.
    """
    from models_ml.profile import find_profile
    from trademl.lake.versions import find_version

    settings = Settings()
    if not settings.training_enabled:
        layer = sources()["training_enabled"]
        raise ConfigError(
            f"training is disabled: training_enabled is false ({layer}); train in another "
            "environment (TRADEML_ENV) or set TRADEML_TRAINING_ENABLED=true"
        )
    profile = find_profile(model, profile_name)
    data_dir = data_dir or settings.data
    version = find_version(data_dir, version_name)
    # LightGBM and ibis take seconds to import: what was asked for is checked before.
    from models_ml.registry.model_card import summary
    from models_ml.training.api import train

    report = train(
        model,
        data_dir=data_dir,
        version=version,
        profile=profile,
        progress=lambda line: click.echo(line, err=True),
    )
    for line in summary(report):
        click.echo(line)
    click.echo(f"artifacts: {data_dir / 'models' / report.model / report.model_id}")
