"""``trademl setup node``: makes this machine a data node, step by step."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import available_timezones

import click
from dotenv import dotenv_values

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.clock import machine_clock
from ingest.node.setup import ENVIRONMENT, Answers, Setup, State, preview, read_state, run_setup
from trademl.cli import names
from trademl.clock import parse_clock
from trademl.errors import ConfigError, unknown_name
from trademl.log import log_to
from trademl.settings import Settings, is_secret, profiles, variables
from trademl.symbology import parse_symbols

MODEL_FILE = Path("/proc/device-tree/model")
MOUNTS = (Path("/media"), Path("/mnt"), Path("/Volumes"))
MAX_INFLIGHT = 1
"""Requests at once where nobody says otherwise: a node is a polite guest."""


@click.group("setup")
def setup_group() -> None:
    """Guided set-up of a machine."""


@setup_group.command("node")
@click.option("--data", "data_dir", type=click.Path(path_type=Path), help="The storage root.")
@click.option("--env-file", type=click.Path(path_type=Path), default=".env", help="File to patch.")
@click.option("--node-id", help="Names the node in leases and logs.")
@click.option(
    "--profile", shell_complete=names.environments, help="The environment profile, TRADEML_ENV."
)
@click.option("--max-inflight", type=click.IntRange(1), help="Requests at once per vendor.")
@click.option("--maintenance-time", help="When maintenance runs, HH:MM in the node's time zone.")
@click.option("--timezone", help="The node's time zone, e.g. America/New_York.")
@click.option("--symbols", help="Symbols of Stage 0, comma-separated; default: the landed listing.")
@click.option(
    "--symbols-file", type=click.Path(path_type=Path), help="Symbols of Stage 0, one per line."
)
@click.option("--key", "keys", multiple=True, help="NAME=VALUE; other users may see it: see next.")
@click.option(
    "--keys-file", type=click.Path(path_type=Path), help="Keys as NAME=VALUE lines, e.g. a .env."
)
@click.option("--yes", is_flag=True, help="Ask nothing: what no option says stays as it is.")
@click.option("--resume", is_flag=True, help="Go on with the answers of the run before.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--start", is_flag=True, help="Start the node afterwards.")
def setup_node(
    data_dir: Path | None,
    env_file: Path,
    symbols: str | None,
    symbols_file: Path | None,
    keys: tuple[str, ...],
    keys_file: Path | None,
    yes: bool,
    resume: bool,
    dry_run: bool,
    start: bool,
    **given: str | int | None,
) -> None:
    """Make this machine a data node: .env, control file, Stage 0 and its first tasks.

    Asks for what no option says. Safe to repeat and to kill: what is there is kept, lines of .env
    that it does not know are left alone, and --resume goes on without asking again.
    """
    settings = Settings()
    asks = not (yes or resume)
    click.echo(f"this machine: {machine()}")
    root = (data_dir or _root(settings, asks)).expanduser().absolute()
    state = read_state(root)
    if resume and state is None:
        raise ConfigError(f"no set-up was begun in {root}; run without --resume, or give --data")
    known = known_answers(settings, dotenv_values(env_file), state, resume=resume)
    answers = _answers(known, given, _symbols(symbols, symbols_file), asks)
    setup = Setup(
        data_dir=root,
        env_file=env_file,
        answers=answers,
        keys=_keys(keys, keys_file, settings, asks),
        registry=Registry.of(read_capabilities()),
        clock=machine_clock(lambda: _now(settings)),
    )
    if dry_run:
        for line in preview(setup):
            click.echo(line)
        return
    log_to(root)
    for line in run_setup(setup):
        click.echo(line)
    _next_steps(setup, start)


def _now(settings: Settings) -> datetime:
    return parse_clock(settings.clock) if settings.clock else datetime.now(UTC)


def machine(model_file: Path = MODEL_FILE) -> str:
    """What this machine is: the model of a single-board computer, else system and processor."""
    if model_file.exists():
        return model_file.read_text(errors="replace").strip("\0\n")
    return f"{platform.system()} {platform.machine()}"


def drives() -> list[Path]:
    """Disks that are mounted where people's disks are mounted, the largest free space first."""
    found = [path for top in MOUNTS for deep in ("*", "*/*") for path in top.glob(deep)]
    mounted = [path for path in found if path.is_dir() and os.path.ismount(path)]
    return sorted(mounted, key=lambda path: -shutil.disk_usage(path).free)


def known_answers(
    settings: Settings,
    dotenv: Mapping[str, str | None],
    state: State | None,
    *,
    resume: bool,
) -> Answers:
    """The answers that stand unless others are given.

    They are those of .env, then those of the run before, then the settings'. Only a run that was
    ended before it could write .env is resumed with its own.

    Args:
        settings: The settings of this environment.
        dotenv: What the .env file holds.
        state: The run before, none where there was none.
        resume: Whether it is gone on with.
    """
    before = state.answers if state else None
    if resume and state and ENVIRONMENT not in state.done:
        return state.answers
    is_pi = "raspberry pi" in machine().lower()
    fresh = Answers(
        node_id=socket.gethostname() or settings.node_id,
        profile="pi" if is_pi else settings.env,
        max_inflight=MAX_INFLIGHT,
        maintenance_time=f"{settings.maintenance_time:%H:%M}",
        timezone=settings.timezone,
    )
    last = before or fresh
    return Answers(
        node_id=dotenv.get("EDGE_NODE_ID") or last.node_id,
        profile=dotenv.get("TRADEML_ENV") or last.profile,
        max_inflight=_inflight(dotenv.get("NODE_MAX_INFLIGHT_DEFAULT")) or last.max_inflight,
        maintenance_time=dotenv.get("TRADEML_MAINTENANCE_TIME") or last.maintenance_time,
        timezone=dotenv.get("TRADEML_TIMEZONE") or last.timezone,
        symbols=last.symbols,
    )


def _root(settings: Settings, asks: bool) -> Path:
    found = drives()
    for drive in found:
        click.echo(f"disk: {drive}, {shutil.disk_usage(drive).free / 1e9:.0f} GB free")
    is_pi = "raspberry pi" in machine().lower()
    root = found[0] / "data_layer" if is_pi and found else settings.data
    return Path(click.prompt("storage root", default=str(root))) if asks else root


def _answers(
    known: Answers,
    given: Mapping[str, str | int | None],
    symbols: tuple[str, ...] | None,
    asks: bool,
) -> Answers:
    """The options where there are any, else what the person says, else what is known."""
    texts = {
        "node_id": "name of this node",
        "profile": f"environment profile ({', '.join(profiles())})",
        "max_inflight": "requests at once per vendor",
        "maintenance_time": "maintenance at (HH:MM)",
        "timezone": "time zone",
    }
    chosen = {}
    for name, text in texts.items():
        value = given[name]
        if value is None:
            value = getattr(known, name)
            value = click.prompt(text, default=value) if asks else value
        chosen[name] = value
    return _checked(
        Answers(
            node_id=str(chosen["node_id"]).strip(),
            profile=str(chosen["profile"]).strip(),
            max_inflight=_inflight(str(chosen["max_inflight"])) or MAX_INFLIGHT,
            maintenance_time=str(chosen["maintenance_time"]).strip(),
            timezone=str(chosen["timezone"]).strip(),
            symbols=symbols or known.symbols,
        )
    )


def _checked(answers: Answers) -> Answers:
    if not answers.node_id:
        raise ConfigError("the node needs a name; give --node-id")
    if answers.profile not in profiles():
        raise ConfigError(unknown_name(answers.profile, "an environment profile", profiles()))
    if answers.timezone not in available_timezones():
        raise ConfigError(f"no time zone {answers.timezone!r}; give one such as America/New_York")
    try:
        time.fromisoformat(answers.maintenance_time)
    except ValueError as error:
        raise ConfigError(
            f"maintenance time {answers.maintenance_time!r} is not a time such as 02:00"
        ) from error
    return answers


def _inflight(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"requests at once are {text!r}; give a whole number of 1 or more")
    return int(text)


def _symbols(text: str | None, file: Path | None) -> tuple[str, ...] | None:
    if text is not None and file is not None:
        raise ConfigError("give --symbols or --symbols-file, not both")
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file} is not text: {error}") from error
    return None if text is None else parse_symbols(text)


def _key_names() -> dict[str, list[str]]:
    """Fields that hold what vendors know us by, and their variables."""
    fields = [name for name in Settings.model_fields if is_secret(name)] + ["sec_user_agent"]
    return {field: variables(field) for field in fields}


def _keys(
    given: tuple[str, ...], file: Path | None, settings: Settings, asks: bool
) -> dict[str, str]:
    """Keys from the options, and from the person where none is set yet; never shown."""
    names = _key_names()
    known = {variable for found in names.values() for variable in found}
    if file is not None and not file.is_file():
        raise ConfigError(f"{file} cannot be read: there is no such file")
    lines = dotenv_values(file) if file is not None else {}
    keys = {name: value for name, value in lines.items() if value and name in known}
    for one in given:
        name, sign, value = one.partition("=")
        if name not in known or not sign or not value:
            wanted = ", ".join(sorted(known))
            raise ConfigError(f"--key takes NAME=VALUE with one of the names {wanted}")
        keys[name] = value
    for field, found in names.items() if asks else ():
        if not any(name in keys for name in found):
            keys |= _asked_key(found[0], _is_set(settings, field), is_secret(field))
    return keys


def _asked_key(name: str, is_set: bool, is_hidden: bool) -> dict[str, str]:
    hint = "is set; Enter keeps it" if is_set else "Enter leaves it away"
    value = click.prompt(
        f"{name} ({hint})", default="", show_default=False, hide_input=is_hidden
    ).strip()
    return {name: value} if value else {}


def _is_set(settings: Settings, field: str) -> bool:
    value = getattr(settings, field)
    return bool(value if isinstance(value, str) else value.get_secret_value())


def _next_steps(setup: Setup, start: bool, environment: Mapping[str, str] = os.environ) -> None:
    """What is left for the person, or the node itself."""
    written = dotenv_values(setup.env_file)
    for name, value in written.items():
        if environment.get(name, "") in ("", value):
            continue
        click.echo(f"note: {name} in the environment wins over {setup.env_file}")
    command = [sys.executable, "-m", "trademl.cli", "node", "run"]
    if start:
        sys.exit(subprocess.run(command, check=False).returncode)
    click.echo("next: `trademl config show` to check, `trademl node run` to start the node;")
    click.echo("docs/runbooks/node.md has a systemd unit and a cron line")
