import os
import stat

import pytest
from dotenv import dotenv_values

from trademl import env_file
from trademl.env_file import patch_env
from trademl.errors import ConfigError

BEFORE = """# my keys
export FMP_API_KEY="mine"   # free plan

OTHER_PROGRAM=left alone
EDGE_NODE_ID=attic"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".env"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owners_alone(path):
    assert patch_env(path, {"A": "1", "B": "two words"}) == ["A", "B"]
    assert dotenv_values(path) == {"A": "1", "B": "two words"}
    assert mode(path) == 0o600


def test_other_lines_stay_byte_for_byte(path):
    path.write_text(BEFORE)
    path.chmod(0o644)
    assert patch_env(path, {"EDGE_NODE_ID": "cellar", "NEW": "1"}) == ["EDGE_NODE_ID", "NEW"]
    assert path.read_text() == BEFORE.replace("=attic", "=cellar") + "\nNEW=1\n"
    assert mode(path) == 0o600


def test_what_is_so_already_is_not_written(path):
    path.write_text(BEFORE)
    path.chmod(0o644)
    number = path.stat().st_ino
    assert patch_env(path, {"EDGE_NODE_ID": "attic", "FMP_API_KEY": "mine"}) == []
    assert (path.read_text(), path.stat().st_ino, mode(path)) == (BEFORE, number, 0o600)


@pytest.mark.parametrize("value", ["it's", 'a"b', "back\\slash", "#hash", "x=y", " spaced ", "$A"])
def test_values_are_read_back_as_they_are(path, value):
    patch_env(path, {"KEY": value})
    assert dotenv_values(path)["KEY"] == value


def test_a_value_that_would_change_is_refused_and_not_shown(path):
    path.write_text(BEFORE)
    with pytest.raises(ConfigError, match="the value of KEY cannot be written") as caught:
        patch_env(path, {"KEY": "hush${HOME}"})
    assert "hush" not in str(caught.value)
    assert path.read_text() == BEFORE
    assert os.listdir(path.parent) == [".env"]


def test_a_failure_half_way_leaves_the_file_as_it_was(path, monkeypatch):
    path.write_text(BEFORE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(env_file, "replace_durably", full)
    with pytest.raises(OSError, match="No space"):
        patch_env(path, {"NEW": "1"})
    assert path.read_text() == BEFORE
    assert os.listdir(path.parent) == [".env"]


def test_a_link_stays_a_link(path, tmp_path):
    real = tmp_path / "elsewhere" / "keys.env"
    real.parent.mkdir()
    real.write_text("A=1\n")
    path.symlink_to(real)
    patch_env(path, {"A": "2"})
    assert path.is_symlink()
    assert real.read_text() == "A=2\n"


@pytest.mark.parametrize("values", [{"EDGE_NODE_ID": "cellar"}, {"EDGE_NODE_ID": "attic"}])
def test_what_a_kill_left_is_swept(path, values):
    path.write_text(BEFORE)
    left = path.with_name(".env.tmp")
    left.mkdir()
    (left / ".tmp_x").write_text("KEY=hush")
    patch_env(path, values)
    assert os.listdir(path.parent) == [".env"]
