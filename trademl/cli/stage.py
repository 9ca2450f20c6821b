"""``trademl stage``: the stages of the pipelines, their layers and contracts."""

import click

from trademl.cli import names


@click.group("stage")
def stage_group() -> None:
    """The stages of the pipelines."""


@stage_group.command("list")
def stage_list() -> None:
    """Print every stage with its layer and contract, then the old names."""
    from optimize.sleeve.stage_registry import DEPRECATED, LAYERS, STAGES

    for layer, title in LAYERS.items():
        click.echo(f"{layer} {title}")
        for stage in STAGES:
            if stage.layer == layer:
                click.echo(f"  {stage.id:22} {stage.contract}")
    click.echo("deprecated names")
    for old, new in DEPRECATED.items():
        click.echo(f"  {old:22} now {new}")


@stage_group.command("show")
@click.argument("stage_id", shell_complete=names.stages)
def stage_show(stage_id: str) -> None:
    """Print one stage, under its present or its old name."""
    from optimize.sleeve.stage_registry import resolve

    found = resolve(stage_id)
    if found.is_deprecated:
        click.echo(f"{stage_id} is deprecated: use {found.stage.id}", err=True)
    click.echo(f"{found.stage.layer} {found.stage.id}: {found.stage.contract}")
