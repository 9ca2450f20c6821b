"""Settings are layers, and `trademl config show` says which one each value comes from."""

import os
import sys

import pytest

import trademl.cli
from trademl import settings
from trademl.errors import ConfigError
from trademl.settings import Settings, sources, variables

HUSH = "hush-hush-0123456789"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """An empty folder, and no variable that a setting knows."""
    monkeypatch.chdir(tmp_path)
    names = {variable for field in Settings.model_fields for variable in variables(field)}
    starts = ("TRADEML_", "NODE_MAX_INFLIGHT_", "VENDOR_FREEZE_SECONDS_")
    for name in list(os.environ):
        if name.upper() in names or name.upper().startswith(starts):
            monkeypatch.delenv(name)


@pytest.fixture
def dotenv(tmp_path):
    return lambda *lines: (tmp_path / ".env").write_text("\n".join(lines))


@pytest.fixture
def show(monkeypatch, capsys):
    """Runs the command; gives the exit code, the table on stdout and the lines on stderr."""

    def run(*arguments):
        monkeypatch.setattr(trademl.cli, "log_to", lambda data_dir: None)
        monkeypatch.setattr(sys, "argv", ["trademl", *(arguments or ("config", "show"))])
        try:
            trademl.cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        table = {line.split()[0]: line.split(maxsplit=1)[1].rstrip() for line in out.splitlines()}
        return code, {name: " ".join(rest.split()) for name, rest in table.items()}, err

    return run


def test_each_layer_wins_over_the_ones_below_it(monkeypatch, dotenv, show):
    seen = [show()[1]["forward_quota"]]
    monkeypatch.setenv("TRADEML_ENV", "workstation")
    seen.append(show()[1]["forward_quota"])
    dotenv("TRADEML_FORWARD_QUOTA=300")
    seen.append(show()[1]["forward_quota"])
    monkeypatch.setenv("TRADEML_FORWARD_QUOTA", "400")
    seen.append(show()[1]["forward_quota"])
    assert seen == [
        "50 config/base.yml",
        "200 config/env/workstation.yml",
        "300 .env",
        "400 environment",
    ]
    assert Settings().forward_quota == 400


def test_tables_by_vendor_are_joined_entry_by_entry(monkeypatch, dotenv, show):
    dotenv("TRADEML_ENV=pi", "NODE_MAX_INFLIGHT_FMP=3", "VENDOR_FREEZE_SECONDS_SEC=900")
    monkeypatch.setenv("NODE_MAX_INFLIGHT_BINANCE", "5")
    code, table, _ = show()
    assert code == 0
    assert {name: row for name, row in table.items() if "." in name} == {
        "max_inflight.default": "1 config/env/pi.yml",
        "max_inflight.alpaca": "2 config/env/pi.yml",
        "max_inflight.alphavantage": "1 config/base.yml",
        "max_inflight.binance": "5 environment",
        "max_inflight.fmp": "3 .env",
        "max_inflight.fred": "1 config/base.yml",
        "max_inflight.massive": "1 config/base.yml",
        "freeze_seconds.default": "60.0 config/base.yml",
        "freeze_seconds.sec_edgar": "900.0 .env",
    }
    assert table["env"] == "pi .env"
    assert table["training_enabled"] == "False config/env/pi.yml"
    assert table["clock"] == "not set default"


@pytest.mark.parametrize("name", ["ALPHAVANTAGE", "ALPHA_VANTAGE", "AV", "alphavantage"])
def test_a_vendor_has_one_entry_whatever_it_is_called(monkeypatch, name):
    monkeypatch.setenv(f"NODE_MAX_INFLIGHT_{name}", "7")
    table = Settings().max_inflight
    assert table["alphavantage"] == 7
    assert "alpha_vantage" not in table
    assert sources()["max_inflight.alphavantage"] == "environment"


def test_the_layer_counts_before_the_name_of_the_variable(monkeypatch, dotenv):
    dotenv(f"APCA_API_KEY_ID={HUSH}")
    monkeypatch.setenv("ALPACA_API_KEY", "from-the-environment")
    assert Settings().alpaca_key_id.get_secret_value() == "from-the-environment"
    assert sources()["alpaca_key_id"] == "environment"


def test_without_its_file_dotenv_sets_nothing(dotenv):
    dotenv("TRADEML_ENV=pi", "NODE_MAX_INFLIGHT_FMP=3", "EDGE_NODE_ID=attic")
    asked, unasked = Settings(), Settings(_env_file=None)
    assert (asked.env, asked.node_id, asked.max_inflight["fmp"]) == ("pi", "attic", 3)
    assert (unasked.env, unasked.node_id, unasked.max_inflight["fmp"]) == ("local", "node-1", 1)


def test_what_the_caller_gives_wins(monkeypatch):
    monkeypatch.setenv("EDGE_NODE_ID", "attic")
    monkeypatch.setenv("FRED_API_KEY", "another")
    given = Settings(node_id="cellar", fred_key=HUSH)
    assert (given.node_id, given.fred_key.get_secret_value()) == ("cellar", HUSH)


def test_keys_are_never_shown(monkeypatch, dotenv, show):
    dotenv(f"FMP_API_KEY={HUSH}", "FRED_API_KEY=")
    monkeypatch.setenv("POLYGON_API_KEY", HUSH)
    code, table, err = show()
    assert (code, err) == (0, "")
    assert table["fmp_key"] == "set .env"
    assert table["fred_key"] == "not set .env"
    assert table["massive_api_key"] == "set environment"
    assert table["finnhub_api_key"] == "not set default"
    assert HUSH not in str(table)


def test_every_setting_has_a_row(show):
    shown = {name.partition(".")[0] for name in show()[1]}
    assert shown == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "TRADEML_ENV",
            "moon",
            "TRADEML_ENV: 'moon' is not an environment profile; there are: ci, dev, local, pi, prod,",
        ),
        ("TRADEML_FORWARD_QUOTA", "many", "setting forward_quota (environment):"),
        ("BACKFILL_MAX_DAYS_PER_TASK", "x", "setting max_days_per_task (environment):"),
        ("NODE_MAX_INFLIGHT_FMP", "few", "setting max_inflight.fmp (environment):"),
        ("NODE_MAX_INFLIGHT_FMP", "0", "setting max_inflight.fmp (environment):"),
        ("NODE_MAX_INFLIGHT_FMP", "5000", "setting max_inflight.fmp (environment):"),
        ("VENDOR_FREEZE_SECONDS_FMP", "nan", "setting freeze_seconds.fmp (environment):"),
        ("BACKFILL_MAX_DAYS_PER_TASK", "-5", "got '-5'; mend it there or set BACKFILL_MAX_DAYS_"),
        ("BACKFILL_MAX_DAYS_PER_TASK", "0", "setting max_days_per_task (environment):"),
        ("BACKFILL_MIN_GREEN_FRAC", "98", "setting min_green_fraction (environment):"),
        ("BACKFILL_MIN_GREEN_FRAC", "0", "setting min_green_fraction (environment):"),
        ("TRADEML_FORWARD_QUOTA", "-3", "setting forward_quota (environment):"),
        ("TRADEML_TIMEZONE", "Mars/X", "is not a time zone such as America/New_York, got 'Mars/X'"),
        ("TRADEML_MAINTENANCE_TIME", "25:00", "setting maintenance_time (environment):"),
        ("TRADEML_MAINTENANCE_TIME", "02:00Z", "takes a local time such as 02:00"),
        ("EDGE_NODE_ID", " ", "setting node_id (environment):"),
        ("EDGE_SCHEDULER_MODE", "round_robin", "setting scheduler_mode (environment):"),
        ("TRADEML_FMP_URL", "fmp.example", "setting fmp_url (environment):"),
        ("NODE_MAX_INFLIGHT_ALPCA", "3", "names no vendor of the registry: alpca"),
        ("TRADEML_FORWARD_QOUTA", "3", "no setting knows: TRADEML_FORWARD_QOUTA"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(monkeypatch, show, variable, value, says):
    monkeypatch.setenv(variable, value)
    code, table, err = show()
    assert (code, table) == (2, {})
    assert says in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_wrong_value_in_dotenv_names_dotenv(dotenv, show):
    dotenv("TRADEML_FORWARD_QUOTA=many")
    code, _, err = show()
    assert code == 2
    assert "setting forward_quota (.env): " in err
    assert "'many'" in err


def test_unknown_settings_of_a_file_are_refused(monkeypatch, tmp_path, show):
    folder = tmp_path / "config"
    (folder / "env").mkdir(parents=True)
    base = (settings.CONFIG_DIR / "base.yml").read_text()
    (folder / "base.yml").write_text(base + "\nforward_qouta: 3\n")
    (folder / "env" / "local.yml").write_text("")
    monkeypatch.setattr(settings, "CONFIG_DIR", folder)
    code, _, err = show()
    assert (code, err) == (2, "error: base.yml has settings nobody knows: forward_qouta\n")


@pytest.mark.parametrize("name", ["ci", "dev", "local", "pi", "prod", "workstation"])
def test_every_profile_makes_settings(monkeypatch, name):
    monkeypatch.setenv("TRADEML_ENV", name)
    found = Settings()
    assert found.env == name
    assert found.training_enabled is (name not in ("ci", "pi"))
    assert found.backfill_enabled is (name != "ci")
    assert found.auto_promote is False


def test_where_training_is_disabled_it_is_refused_by_name(monkeypatch, show):
    monkeypatch.setenv("TRADEML_ENV", "ci")
    code, _, err = show("train", "equities_xs")
    assert code == 2
    assert err.startswith(
        "error: training is disabled: training_enabled is false (config/env/ci.yml);"
    )
    assert err.count("\n") == 1


def test_a_profile_that_is_missing_stops_the_settings(monkeypatch):
    monkeypatch.setenv("TRADEML_ENV", "../base")
    with pytest.raises(ConfigError, match="there are: ci"):
        Settings()
