"""`trademl setup node`: from an empty folder to a node, again and again."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path

import click
import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

import trademl.cli
from ingest.control.database import control_path
from ingest.node.setup import read_state, state_path
from ingest.node.stage_file import read_stage, stage_path
from tests.support.nodes import cover
from tests.support.paths import PROJECT_ROOT
from trademl.cli import setup as cli_setup
from trademl.settings import Settings, variables

HUSH = "hush-hush-0123456789"
NODE = ("setup", "node")
SYMBOLS = ("--symbols", "AAA,BBB,BRK.B")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """An empty folder, no variable that a setting knows, no disk but its own."""
    monkeypatch.chdir(tmp_path)
    names = {variable for field in Settings.model_fields for variable in variables(field)}
    starts = ("TRADEML_", "NODE_MAX_INFLIGHT_", "VENDOR_FREEZE_SECONDS_")
    for name in list(os.environ):
        if name.upper() in names or name.upper().startswith(starts):
            monkeypatch.delenv(name)
    monkeypatch.setattr(cli_setup, "drives", list)
    monkeypatch.setattr(cli_setup, "log_to", lambda data_dir: None)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "ssd"


@pytest.fixture
def run(monkeypatch, capsys, data):
    """Runs the command; gives the exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["trademl", *NODE, "--data", str(data), *arguments])
        try:
            trademl.cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def tasks(data):
    query = "select dataset, symbol, start_date, end_date, kind, status from backfill_queue"
    with closing(sqlite3.connect(control_path(data))) as con:
        return sorted(con.execute(query).fetchall())


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "logs" not in path.parts
    }


def test_from_an_empty_folder_to_a_node(run, data, tmp_path):
    code, out, err = run("--yes", *SYMBOLS, "--node-id", "attic", "--key", f"FMP_API_KEY={HUSH}")
    assert (code, err) == (0, "")
    found = dotenv_values(tmp_path / ".env")
    assert found == {
        "TRADEML_DATA": str(data),
        "TRADEML_ENV": "local",
        "EDGE_NODE_ID": "attic",
        "NODE_MAX_INFLIGHT_DEFAULT": "1",
        "TRADEML_MAINTENANCE_TIME": "02:00",
        "TRADEML_TIMEZONE": "America/New_York",
        "FMP_API_KEY": HUSH,
    }
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    stage = read_stage(data)
    assert (stage.stage, stage.symbols) == (0, ("AAA", "BBB", "BRK.B"))
    assert "next: `trademl config show`" in out
    settings = Settings()
    assert (settings.data, settings.node_id, settings.max_inflight["default"]) == (data, "attic", 1)


def test_symbols_in_small_letters_are_meant_in_capitals(run, data, tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffaaa\r\nbrk.b\r\n\r\nAAA\r\n".encode())
    run("--yes", "--symbols-file", str(tmp_path / "names.txt"))
    assert read_stage(data).symbols == ("AAA", "BRK.B")
    assert {symbol for _, symbol, *_ in tasks(data)} == {"AAA", "BRK.B"}


def test_the_tasks_cover_the_stages_windows_without_gap_or_overlap(run, data):
    run("--yes", *SYMBOLS)
    stage, queued = read_stage(data), tasks(data)
    assert {(kind, status) for *_, kind, status in queued} == {("BOOTSTRAP", "PENDING")}
    for dataset, start in stage.starts.items():
        for symbol in stage.symbols:
            windows = [row[2:4] for row in queued if row[:2] == (dataset, symbol)]
            assert windows[0][0] == str(start)
            assert windows[-1][1] == str(stage.end)
            assert [end for _, end in windows[:-1]] == [begin for begin, _ in windows[1:]]
            longest = max(
                (date.fromisoformat(end) - date.fromisoformat(begin)).days for begin, end in windows
            )
            assert longest == {"equities_bars_1d": 30, "equities_bars_1m": 7}[dataset]


def test_a_second_run_changes_nothing(run, data, tmp_path):
    run("--yes", *SYMBOLS)
    before, stage, env = tasks(data), stage_path(data).read_bytes(), (tmp_path / ".env").read_text()
    code, out, _ = run("--yes", *SYMBOLS)
    assert code == 0
    assert f"queued 0 BOOTSTRAP tasks, {len(before)} are waiting" in out
    assert "nothing to change" in out
    assert (tasks(data), stage_path(data).read_bytes()) == (before, stage)
    assert (tmp_path / ".env").read_text() == env


def test_what_is_landed_is_not_queued_again_and_what_failed_or_is_lost_is(run, data):
    run("--yes", *SYMBOLS)
    with closing(sqlite3.connect(control_path(data))) as con, con:
        con.execute("update backfill_queue set status = 'DONE'")
        con.execute("update backfill_queue set status = 'FAILED' where symbol = 'BBB'")
    stage = read_stage(data)
    for dataset, endpoint in (
        ("equities_bars_1d", "alpaca/bars_1d"),
        ("equities_bars_1m", "alpaca/bars_1m"),
    ):
        last = stage.end - timedelta(days=1)
        landed = cover(data, endpoint, ("AAA", "BRK.B"), stage.starts[dataset], last)
    assert "queued 0 " not in run("--resume")[1]
    assert {row[-1] for row in tasks(data) if row[1] != "BBB"} == {"DONE"}
    assert {row[-1] for row in tasks(data) if row[1] == "BBB"} == {"PENDING"}
    landed.unlink()
    run("--resume")
    found = {row[:2] for row in tasks(data) if row[-1] == "PENDING" and row[1] != "BBB"}
    assert found == {("equities_bars_1m", "AAA"), ("equities_bars_1m", "BRK.B")}


def test_env_is_patched_not_replaced(run, tmp_path):
    lines = f"# mine\nEDGE_NODE_ID=cellar\nNODE_MAX_INFLIGHT_DEFAULT=4\nFMP_API_KEY={HUSH}\nX=1\n"
    (tmp_path / ".env").write_text(lines)
    run("--yes", *SYMBOLS)
    assert (tmp_path / ".env").read_text().startswith(lines)
    run("--yes", "--node-id", "attic", "--max-inflight", "2")
    found = dotenv_values(tmp_path / ".env")
    assert (found["EDGE_NODE_ID"], found["NODE_MAX_INFLIGHT_DEFAULT"]) == ("attic", "2")
    assert (found["FMP_API_KEY"], found["X"]) == (HUSH, "1")


def test_a_dry_run_changes_nothing(run, tmp_path):
    code, out, err = run("--yes", "--dry-run", *SYMBOLS, "--key", f"FMP_API_KEY={HUSH}")
    assert (code, err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    assert "up to" in out
    assert HUSH not in out


def test_a_dry_run_of_a_node_that_is_there_changes_nothing(run, tmp_path):
    run("--yes", *SYMBOLS)
    before = everything(tmp_path)
    code, out, _ = run("--yes", "--dry-run", "--node-id", "attic")
    assert code == 0
    assert "EDGE_NODE_ID" in out
    assert everything(tmp_path) == before


def test_keys_are_nowhere_but_in_env(run, tmp_path):
    (tmp_path / "keys").write_text(f"FRED_API_KEY={HUSH}\n")
    _, out, err = run("--yes", *SYMBOLS, "--keys-file", "keys", "--key", f"FMP_API_KEY={HUSH}")
    assert HUSH not in out + err
    holding = [
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and HUSH.encode() in path.read_bytes()
    ]
    assert sorted(holding) == [".env", "keys"]


def test_a_wrong_key_is_refused_without_showing_it(run):
    code, out, err = run("--yes", *SYMBOLS, "--key", f"FPM_API_KEY={HUSH}")
    assert code == 2
    assert "FMP_API_KEY" in err
    assert HUSH not in out + err


def test_without_symbols_it_stops_and_goes_on_with_the_same_answers(run, data, tmp_path):
    code, _, err = run("--yes", "--node-id", "attic", "--max-inflight", "3")
    assert code == 2
    assert err.startswith("error: no symbols for Stage 0: ")
    assert err.count("\n") == 1
    assert read_state(data).done == ("environment", "control")
    (tmp_path / "names.txt").write_text("AAA\nBBB\n\n")
    code, _, _ = run("--resume", "--symbols-file", "names.txt")
    assert code == 0
    assert read_stage(data).symbols == ("AAA", "BBB")
    assert dotenv_values(".env")["EDGE_NODE_ID"] == "attic"
    assert dotenv_values(".env")["NODE_MAX_INFLIGHT_DEFAULT"] == "3"
    assert read_state(data).done == ("environment", "control", "stage", "seed")


def test_on_another_machine_the_disk_brings_the_answers(run, data, tmp_path):
    run("--yes", *SYMBOLS, "--node-id", "attic", "--timezone", "Europe/Berlin")
    before = tasks(data)
    (tmp_path / ".env").unlink()
    code, _, _ = run("--resume")
    found = dotenv_values(tmp_path / ".env")
    assert code == 0
    assert (found["EDGE_NODE_ID"], found["TRADEML_TIMEZONE"]) == ("attic", "Europe/Berlin")
    assert tasks(data) == before


def test_a_lost_control_file_is_filled_again(run, data):
    run("--yes", *SYMBOLS)
    before = tasks(data)
    for path in control_path(data).parent.glob("node.sqlite*"):
        path.unlink()
    run("--resume")
    assert tasks(data) == before


@pytest.mark.parametrize(("is_written", "kept"), [(False, "attic"), (True, "mine")])
def test_resuming_keeps_answers_until_env_holds_them_and_then_env(run, data, is_written, kept):
    run("--yes", *SYMBOLS, "--node-id", "attic")
    Path(".env").write_text(Path(".env").read_text().replace("=attic", "=mine"))
    if not is_written:
        left = state_path(data).read_text()
        state_path(data).write_text(left[: left.index('"done"')] + '"done": []}')
    assert run("--resume")[0] == 0
    assert dotenv_values(".env")["EDGE_NODE_ID"] == kept


def test_a_storage_root_stays_as_env_spells_it(run, tmp_path):
    (tmp_path / ".env").write_text("TRADEML_DATA=ssd\n")
    run("--yes", *SYMBOLS)
    assert (tmp_path / ".env").read_text().startswith("TRADEML_DATA=ssd\n")


def test_nothing_to_resume_is_said(run):
    code, _, err = run("--resume")
    assert code == 2
    assert "no set-up was begun in" in err


def test_other_symbols_than_the_stages_are_refused(run, data):
    run("--yes", *SYMBOLS)
    before = tasks(data)
    code, _, err = run("--yes", "--symbols", "AAA,CCC")
    assert code == 2
    assert "holds 3 other symbols than the 2 given" in err
    assert tasks(data) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--profile", "moon"), "'moon' is not an environment profile; there are: ci, dev, local"),
        (("--timezone", "Mars/Base"), "no time zone 'Mars/Base'"),
        (("--maintenance-time", "25:00"), "maintenance time '25:00'"),
        (("--node-id", " "), "the node needs a name"),
        (("--symbols", ","), "no symbol is named"),
        (("--symbols", "AAA," + "B" * 300), f"'{'B' * 32}' is not a symbol"),
        (("--symbols", "AAA,../x"), "'../x' is not a symbol"),
        (("--symbols", "AAA BBB"), "'AAA BBB' is not a symbol"),
        (("--symbols", "Aapl"), "'Aapl' is not a symbol: write it in capitals"),
        (("--symbols", "A", "--symbols-file", "x"), "not both"),
        (("--symbols-file", "nowhere"), "nowhere cannot be read"),
        (("--keys-file", "nowhere"), "nowhere cannot be read"),
        (("--key", "FMP_API_KEY"), "--key takes NAME=VALUE"),
    ],
)
def test_a_wrong_answer_is_one_line_and_changes_nothing(run, tmp_path, arguments, says):
    code, _, err = run("--yes", *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_it_asks_for_what_no_option_says_and_masks_keys(run, monkeypatch, data):
    asked = []

    def answer(text, default=None, hide_input=False, **options):
        asked.append((text.split(" (")[0], hide_input))
        return {"FMP_API_KEY": HUSH, "name of this node": "attic"}.get(asked[-1][0], default)

    monkeypatch.setattr(click, "prompt", answer)
    code, out, err = run(*SYMBOLS, "--timezone", "UTC")
    assert (code, err) == (0, "")
    hidden = {text for text, is_hidden in asked if is_hidden}
    secrets = [f for f in Settings.model_fields.values() if f.annotation is SecretStr]
    assert hidden == {f.validation_alias.choices[0] for f in secrets}
    assert {"APCA_API_SECRET_KEY", "FRED_API_KEY"} <= hidden
    assert "time zone" not in {text for text, _ in asked}
    found = dotenv_values(".env")
    assert (found["EDGE_NODE_ID"], found["FMP_API_KEY"]) == ("attic", HUSH)
    assert "FRED_API_KEY" not in found
    assert HUSH not in out + state_path(data).read_text()


def test_a_variable_that_wins_over_env_is_named(run, monkeypatch):
    monkeypatch.setenv("EDGE_NODE_ID", "elsewhere")
    _, out, _ = run("--yes", *SYMBOLS, "--node-id", "attic")
    assert "note: EDGE_NODE_ID in the environment wins over .env" in out


def test_a_pi_is_told_from_other_machines(tmp_path, monkeypatch):
    model = tmp_path / "model"
    model.write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert cli_setup.machine(model) == "Raspberry Pi 5 Model B Rev 1.0"
    assert cli_setup.machine(tmp_path / "none") == cli_setup.machine(Path("/nowhere"))
    monkeypatch.setattr(cli_setup, "machine", lambda: "Raspberry Pi 5")
    assert cli_setup.known_answers(Settings(), {}, None, resume=False).profile == "pi"


def process(data, folder):
    """The command as a process of its own; 40 symbols, so that seeding takes a moment."""
    names = ",".join(f"S{number}" for number in range(40))
    command = [sys.executable, "-m", "trademl.cli", *NODE, "--data", str(data), "--yes"]
    return subprocess.Popen(
        [*command, "--symbols", names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} does not appear"
        time.sleep(0.001)


@pytest.mark.accept
def test_killed_at_any_moment_it_is_resumed_without_duplicates(tmp_path):
    whole = process(tmp_path / "whole", tmp_path)
    wait_for(state_path(tmp_path / "whole"))
    began = time.monotonic()
    assert (whole.communicate()[1], whole.returncode) == ("", 0)
    seconds, wanted = time.monotonic() - began, tasks(tmp_path / "whole")
    reached = []
    for number in range(24):
        folder = tmp_path / str(number)
        folder.mkdir()
        victim = process(folder / "ssd", folder)
        wait_for(state_path(folder / "ssd"))
        with suppress(subprocess.TimeoutExpired):
            victim.wait(seconds * number / 24)
        victim.kill()
        victim.communicate()
        reached.append(len(read_state(folder / "ssd").done))
        heir = process(folder / "ssd", folder)
        assert (heir.communicate()[1], heir.returncode) == ("", 0)
        assert tasks(folder / "ssd") == wanted
        assert read_state(folder / "ssd").done == ("environment", "control", "stage", "seed")
        assert sorted(path.name for path in folder.iterdir()) == [".env", "ssd"]
    print("steps done when killed:", Counter(reached))
    assert len(set(reached)) > 2
