import pytest
from click.testing import CliRunner

from tests.support.trainings import Trained
from trademl.cli.train import train_command
from trademl.errors import ConfigError


def test_the_command_reports_where_the_model_is(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_ml.profile.load_profile", lambda _: trained.profile)
    arguments = ["equities_xs", "--data", str(trained.data_dir), "--profile", "any"]
    result = CliRunner().invoke(train_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "already trained on exactly this data" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"equities_xs {trained.report.model_id} on version v0000")
    assert lines[-1].endswith(f"models/equities_xs/{trained.report.model_id}")
    assert any(line.startswith("DSR ") for line in lines)


def test_a_wrong_profile_is_the_users_error(trained: Trained) -> None:
    arguments = ["equities_xs", "--data", str(trained.data_dir), "--profile", "nope"]
    with pytest.raises(ConfigError, match="'nope' is not a training profile"):
        CliRunner().invoke(train_command, arguments, catch_exceptions=False)
