"""``trademl train MODEL``: trains a model on a published version whose tables are GREEN."""

from pathlib import Path

import click

from trademl.cli.options import data_option
from trademl.errors import ConfigError
from trademl.settings import Settings, sources


@click.command("train")
@click.argument("model")
@click.option("--version", "version_name", help="A published version; default: the newest.")
@click.option("--profile", "profile_name", help="A training profile; default: the model's own.")
@data_option
def train_command(
    model: str, version_name: str | None, profile_name: str | None, data_dir: Path | None
) -> None:
    """Train MODEL, such as equities_xs, when the tables it depends on are GREEN.

    Leaves the artifacts in models/MODEL/<model_id>/ under the data directory and points LATEST at
    them; the same data, profile and code give the same model, and are not trained twice.
    """
    settings = Settings()
    if not settings.training_enabled:
        layer = sources()["training_enabled"]
        raise ConfigError(
            f"training is disabled: training_enabled is false ({layer}); train in another "
            "environment (TRADEML_ENV) or set TRADEML_TRAINING_ENABLED=true"
        )
    # LightGBM and ibis take a second to import, which `trademl --help` need not wait for.
    from models_ml.registry.model_card import summary
    from models_ml.training.api import train_if_ready

    data_dir = data_dir or settings.data
    report = train_if_ready(
        model,
        data_dir=data_dir,
        profile_name=profile_name,
        version_name=version_name,
        progress=lambda line: click.echo(line, err=True),
    )
    for line in summary(report):
        click.echo(line)
    click.echo(f"artifacts: {data_dir / 'models' / report.model / report.model_id}")
