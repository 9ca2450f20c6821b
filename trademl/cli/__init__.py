"""The command line: commands load when called; every error ends in one line and its exit code."""

import os
import sys
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from trademl.errors import DataError, TradeMLError
from trademl.log import log_to
from trademl.settings import Settings

COMMANDS = {
    "alpha": "trademl.cli.alpha:alpha_command",
    "audit": "trademl.cli.node:audit_group",
    "backfill": "trademl.cli.node:backfill_group",
    "build": "trademl.cli.build:build_command",
    "config": "trademl.cli.config:config_group",
    "demo": "trademl.cli.demo:demo_command",
    "discover": "trademl.cli.discover:discover_command",
    "ingest": "trademl.cli.ingest:ingest_group",
    "market": "trademl.cli.market:market_group",
    "node": "trademl.cli.node:node_group",
    "raw": "trademl.cli.raw:raw_group",
    "repair": "trademl.cli.node:repair_command",
    "replay": "trademl.cli.ingest:replay_command",
    "setup": "trademl.cli.setup:setup_group",
    "shell": "trademl.cli.versions:shell_command",
    "stage": "trademl.cli.stage:stage_group",
    "train": "trademl.cli.train:train_command",
    "validate": "trademl.cli.validate:validate_command",
    "versions": "trademl.cli.versions:versions_command",
}
UNLOGGED = ("config", "setup")
"""Commands that write no log into a data directory: one only looks, one chooses the directory."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands."""
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, or none."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, name = target.split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click's hook: it knows no commands here among which it could find the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=COMMANDS, ctx=ctx
            ) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Click's hook: names of commands without their help, for which all would be imported."""
        items = [CompletionItem(name) for name in sorted(COMMANDS) if name.startswith(incomplete)]
        return items + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="trademl")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001 - main() reads --debug, so that it holds for errors of any command
    """TradeML: point-in-time data, gated models, offline portfolios."""
    if ctx.invoked_subcommand not in UNLOGGED:
        log_to(Settings().data)


def main(command: click.Command = cli, name: str | None = None) -> None:
    """Entry point: turns the project's errors into one line on stderr and an exit code."""
    # matplotlib and MLflow would otherwise write into the home directory or report home.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    debug = "--debug" in sys.argv[1:]
    try:
        command(standalone_mode=False, prog_name=name)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()} (--help shows the usage)", err=True)
        sys.exit(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except TradeMLError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        sys.exit(DataError.exit_code)
    except Exception as error:  # the last line of defence: still one line, unless asked for more
        if debug:
            raise
        click.echo(f"error: {type(error).__name__}: {error} (--debug shows where)", err=True)
        sys.exit(1)


def main_of(group: click.Group, usual: str) -> None:
    """Entry point to one group of commands by a name of its own; its usual command may be left out.

    Args:
        group: The group.
        usual: The command that is meant where none is named.
    """
    at = 2 if sys.argv[1:2] == ["--debug"] else 1
    if not {*group.commands, "--version"}.intersection(sys.argv[at : at + 1]):
        sys.argv.insert(at, usual)
    renamed = click.Group(commands=group.commands, params=cli.params, callback=cli.callback)
    main(renamed, Path(sys.argv[0]).name)
