"""The command line documents itself, README documents it, and errors end as they should."""

import pkgutil
import re
import subprocess
import sys
import tomllib

import click
import pytest
import structlog

import trademl.cli
from tests.support.paths import PROJECT_ROOT
from trademl import api, errors

README = (PROJECT_ROOT / "README.md").read_text()


def walk(command, words, context):
    """The command, and those below it, each with the words that name it."""
    yield command, words
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), [*words, name], context)


EVERYTHING = {
    " ".join(words): command
    for command, words in walk(trademl.cli.cli, ["trademl"], click.Context(trademl.cli.cli))
}
COMMANDS = {
    name: command for name, command in EVERYTHING.items() if not isinstance(command, click.Group)
}
MENTIONED = {match.rstrip() for match in re.findall(r"\btrademl(?: [a-z][a-z-]*)+", README)}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the command line; gives the exit code and the lines on stderr."""
    monkeypatch.setattr(trademl.cli, "log_to", lambda data_dir: None)
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["trademl", *arguments])
        with pytest.raises(SystemExit) as stop:
            trademl.cli.main()
        return stop.value.code, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def failing(monkeypatch):
    """Adds the command `fail`, which raises what it is given."""
    raised = []

    @click.command("fail")
    def fail():
        raise raised[0]

    monkeypatch.setattr(trademl.cli.LazyGroup, "get_command", lambda self, context, name: fail)
    return raised.append


def test_the_walk_finds_commands_and_subcommands():
    assert {"trademl build", "trademl ingest run", "trademl market simulate"} <= set(COMMANDS)
    assert {name.split()[1] for name in COMMANDS} == set(trademl.cli.COMMANDS)


@pytest.mark.parametrize("name", EVERYTHING)
def test_command_has_help(name):
    assert len(EVERYTHING[name].get_short_help_str(limit=200)) > 15


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_option_has_help(name):
    options = [p for p in EVERYTHING[name].params if isinstance(p, click.Option)]
    assert [option.opts for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_readme_mentions_the_command(name):
    assert re.search(rf"\b{re.escape(name)}\b", README), f"README.md does not mention `{name}`"


@pytest.mark.parametrize("mention", sorted(MENTIONED))
def test_what_readme_mentions_exists(mention):
    words = mention.split()
    known = [n for n in range(2, len(words) + 1) if " ".join(words[:n]) in EVERYTHING]
    assert known, f"README.md mentions `{mention}`, which is not a command"
    assert " ".join(words[: known[-1]]) in COMMANDS or len(words) == known[-1], mention


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("build", "--nonsense"), ("alpha",), ("ingest", "nonsense")]
)
def test_wrong_usage_ends_with_2(run, arguments):
    code, lines = run(*arguments)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(("error: No such", "error: Missing option"))


def test_unknown_command_ends_the_process_with_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "trademl.cli", "nonsense"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: No such command 'nonsense'. (--help shows the usage)\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("stage", "show", "nope"), 2, "'nope' is not a stage"),
        (("build", "--clock", "yesterday"), 2, "clock 'yesterday'"),
        (("alpha", "--run-id", "../x"), 2, "run id '../x'"),
        (("validate", "--run-id", "nope"), 2, "'nope' is not a run"),
        (("shell",), 3, "no published version"),
        (("raw", "retract", "nope.parquet", "--why", "wrong"), 2, "'nope.parquet' is not a landed"),
        (("raw", "retract", "nope.parquet", "--why", " "), 2, "the reason is empty"),
        (("shell", "--data", "o'neil"), 2, "must not hold '"),
        (("build", "--data", "a[1]*"), 2, "must not hold * [ ]"),
        (("demo", "--market", "nowhere"), 3, "nowhere holds no market"),
    ],
)
def test_a_real_error_is_one_line_that_names_the_value(run, arguments, code, says):
    got, lines = run(*arguments)
    assert got == code
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.TradeMLError("a check failed"), 1, "error: a check failed"),
        (errors.ConfigError("no profile"), 2, "error: no profile"),
        (errors.GateFailed("not GREEN"), 3, "error: not GREEN"),
        (errors.RateLimited("slow down"), 4, "error: slow down"),
        (errors.Infeasible("no weights"), 5, "error: no weights"),
        (KeyError("x"), 1, "error: KeyError: 'x' (--debug shows where)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_is_one_line_and_its_exit_code(run, failing, error, code, line):
    failing(error)
    assert run("fail") == (code, [line])


def test_a_log_is_there_once_something_was_said_and_where_the_data_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["trademl", "versions", "--data", "chosen"])
    trademl.cli.main()
    assert list(tmp_path.iterdir()) == []
    structlog.get_logger().info("said")
    assert [path.name for path in tmp_path.iterdir()] == ["chosen"]


def test_an_interrupt_ends_with_130(run, failing):
    failing(KeyboardInterrupt())
    code, lines = run("fail")
    assert (code, lines[-1]) == (130, "interrupted")


@pytest.mark.parametrize("error", [errors.GateFailed("not GREEN"), KeyError("x")])
def test_debug_shows_the_traceback(monkeypatch, failing, error):
    failing(error)
    monkeypatch.setattr(trademl.cli, "log_to", lambda data_dir: None)
    monkeypatch.setattr(sys, "argv", ["trademl", "--debug", "fail"])
    with pytest.raises(type(error)):
        trademl.cli.main()


def test_readme_lists_the_exit_codes():
    codes = {c.exit_code for c in (errors.TradeMLError, *errors.TradeMLError.__subclasses__())}
    listed = re.search(r"Exit codes: (.*)", README)
    assert listed is not None
    assert codes | {0} == {int(code) for code in re.findall(r"\b\d\b", listed[1])}


@pytest.fixture
def entry(monkeypatch, capsys, tmp_path):
    """Calls an entry point as its script does; gives the exit code, stdout and stderr."""
    scripts = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    monkeypatch.setattr(trademl.cli, "log_to", lambda data_dir: None)
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)

    def entry(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}", *arguments])
        code = 0
        try:
            pkgutil.resolve_name(scripts[name])()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return entry


@pytest.mark.parametrize(("name", "command"), [("ata-audit", "gaps"), ("ata-backfill", "run")])
@pytest.mark.parametrize("before", [(), ("--debug",)])
def test_an_entry_point_takes_its_command_or_leaves_it_out(entry, name, command, before):
    code, with_it, _ = entry(name, *before, command, "--help")
    assert (code, with_it.splitlines()[0]) == (0, f"Usage: {name} {command} [OPTIONS]")
    assert entry(name, *before, "--help") == (0, with_it, "")
    assert entry(name, "--version")[0] == 0


@pytest.mark.parametrize("words", [("gaps", "--tables", "tea"), ("--tables", "tea")])
def test_an_entry_point_does_what_its_command_does(entry, words):
    code, _, err = entry("ata-audit", *words)
    assert (code, "tea" in err) == (2, True), err


@pytest.mark.parametrize("words", [("run", "--budget", "-1"), ("--budget", "-1"), ("spend",)])
def test_an_entry_point_refuses_what_its_command_refuses(entry, words):
    code, _, err = entry("ata-backfill", *words)
    assert (code, err.startswith("error: "), len(err.splitlines())) == (2, True, 1)


def test_curate_incremental_is_the_build_command(monkeypatch, tmp_path):
    built = []
    monkeypatch.setattr(api, "build_lake", lambda *given: built.append(given))
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path))
    monkeypatch.setenv("TRADEML_CLOCK", "2031-05-06T12:00:00Z")
    assert api.curate_incremental() is None
    ((data, moment),) = built
    assert (data, f"{moment:%Y-%m-%d %H:%M}") == (tmp_path, "2031-05-06 12:00")
