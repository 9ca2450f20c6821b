from pathlib import Path

import pytest

from trademl.errors import ConfigError, DataError
from trademl.runs.workspace import (
    check_run_id,
    find_run,
    open_workspace,
    publish_workspace,
    run_lock,
    runs_dir,
)


@pytest.mark.parametrize("run_id", ["R1", "20201231-130000", "a_b-C"])
def test_safe_ids_pass(run_id: str) -> None:
    assert check_run_id(run_id) == run_id


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "a b", "a\n", "ä", "a.b", "a\0"])
def test_other_ids_are_refused(run_id: str) -> None:
    with pytest.raises(ConfigError, match="not allowed"):
        check_run_id(run_id)


def test_nothing_is_visible_under_the_final_name_before_publication(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path, "R1")
    (workspace.data / "x.json").write_text("{}")
    assert not (runs_dir(tmp_path) / "R1").exists()
    with pytest.raises(ConfigError, match="'R1' is not a run"):
        find_run(tmp_path, "R1")
    final = publish_workspace(tmp_path, workspace)
    assert find_run(tmp_path, "R1").root == final.root
    assert (final.data / "x.json").is_file()
    assert sorted(path.name for path in runs_dir(tmp_path).iterdir()) == ["R1"]


def test_what_a_killed_run_left_is_thrown_away(tmp_path: Path) -> None:
    (open_workspace(tmp_path, "R1").data / "half.json").write_text("{")
    assert list(open_workspace(tmp_path, "R1").data.iterdir()) == []


def test_a_kill_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    workspace = publish_workspace(tmp_path, open_workspace(tmp_path, "R1"))
    (workspace.data / "old.json").write_text("{}")
    workspace.root.rename(runs_dir(tmp_path) / ".R1.old")
    with run_lock(tmp_path, "R1"):
        assert (find_run(tmp_path, "R1").data / "old.json").is_file()


def test_a_kill_after_the_second_rename_only_leaves_garbage_that_goes(tmp_path: Path) -> None:
    publish_workspace(tmp_path, open_workspace(tmp_path, "R1"))
    (runs_dir(tmp_path) / ".R1.old").mkdir()
    with run_lock(tmp_path, "R1"):
        assert not (runs_dir(tmp_path) / ".R1.old").exists()


def test_one_process_per_run_id(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path, "R1"),
        run_lock(tmp_path, "R2"),
        pytest.raises(DataError, match="another process"),
        run_lock(tmp_path, "R1"),
    ):
        pass
    with run_lock(tmp_path, "R1"):
        pass
