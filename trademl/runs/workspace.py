"""The run directory, published atomically: one folder per run, complete or absent.

A run works in ``runs/.<RUN_ID>.tmp`` and is renamed to ``runs/<RUN_ID>`` at its end, so a process
that dies leaves no half run under the final name and a rerun starts clean. One process per run id
is enforced by a lock file; runs of different ids share no written path.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from trademl.errors import ConfigError, DataError, unknown_name
from trademl.files import replace_durably

RUN_ID_PATTERN = re.compile(r"[A-Za-z0-9_-]+")
SUBFOLDERS = ("config", "data", "reports", "plots")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one run; ``root`` is where the files are while the workspace is in use."""

    run_id: str
    root: Path

    @property
    def config(self) -> Path:
        """Resolved profile, inputs and the pinned model."""
        return self.root / "config"

    @property
    def data(self) -> Path:
        """Matrices, selections and weights."""
        return self.root / "data"

    @property
    def reports(self) -> Path:
        """What people read."""
        return self.root / "reports"

    @property
    def plots(self) -> Path:
        """Figures as SVG files."""
        return self.root / "plots"

    @property
    def ledger(self) -> Path:
        """The hash chain of the run."""
        return self.root / "audit.jsonl"

    @property
    def index(self) -> Path:
        """The run's front page."""
        return self.root / "INDEX.md"


def check_run_id(run_id: str) -> str:
    """The run id itself when it is safe as a folder name.

    Raises:
        ConfigError: It holds anything but letters, digits, ``_`` and ``-``.
    """
    if RUN_ID_PATTERN.fullmatch(run_id) is None:
        raise ConfigError(
            f"run id {run_id!r} is not allowed: use only letters, digits, '_' and '-'"
        )
    return run_id


def export_folder(data_dir: Path, run_id: str) -> Path:
    """The folder of a run's candidates, which the data cycle writes and the alpha cycle reads.

    Raises:
        ConfigError: The run id is not safe as a folder name.
    """
    return data_dir / "export" / check_run_id(run_id)


def runs_dir(data_dir: Path) -> Path:
    """The folder that holds all runs."""
    return data_dir / "runs"


def run_ids(data_dir: Path) -> list[str]:
    """The ids of all runs, in order; a working folder's name begins with a dot."""
    found = runs_dir(data_dir).glob("[!.]*")
    return sorted(path.name for path in found if path.is_dir())


def find_run(data_dir: Path, run_id: str) -> Workspace:
    """The workspace of a finished run.

    Raises:
        ConfigError: The run id is malformed or no run of exactly that id exists.
    """
    root = runs_dir(data_dir) / check_run_id(run_id)
    if not root.is_dir():
        raise ConfigError(
            unknown_name(run_id, f"a run under {runs_dir(data_dir)}", run_ids(data_dir))
        )
    return Workspace(run_id, root)


@contextmanager
def run_lock(data_dir: Path, run_id: str) -> Iterator[None]:
    """Holds the run id for this process and puts right what a killed process left behind.

    Raises:
        DataError: Another process works on the same run id, or the folder cannot be written.
    """
    runs = runs_dir(data_dir)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs / f".{check_run_id(run_id)}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(f"run {run_id!r} is being written by another process: wait") from error
    except OSError as error:
        raise DataError(f"cannot write under {runs}: {error.strerror or error}") from error
    try:
        _recover(data_dir, run_id)
        yield
    finally:
        lock.release()


def _recover(data_dir: Path, run_id: str) -> None:
    """Finishes or undoes a publication that was interrupted between its two renames."""
    final, aside = runs_dir(data_dir) / run_id, _aside(data_dir, run_id)
    if not aside.exists():
        return
    if final.exists():
        shutil.rmtree(aside)
    else:
        replace_durably(aside, final)


def open_workspace(data_dir: Path, run_id: str) -> Workspace:
    """An empty working folder for the run; whatever a killed run left in it is thrown away."""
    root = runs_dir(data_dir) / f".{check_run_id(run_id)}.tmp"
    if root.exists():
        shutil.rmtree(root)
    for name in SUBFOLDERS:
        (root / name).mkdir(parents=True)
    return Workspace(run_id, root)


def publish_workspace(data_dir: Path, workspace: Workspace) -> Workspace:
    """Gives a finished working folder its final name, in place of an older one of the same id."""
    final = runs_dir(data_dir) / workspace.run_id
    aside = _aside(data_dir, workspace.run_id)
    if final.exists():
        replace_durably(final, aside)
    replace_durably(workspace.root, final)
    if aside.exists():
        shutil.rmtree(aside)
    return Workspace(workspace.run_id, final)


def _aside(data_dir: Path, run_id: str) -> Path:
    return runs_dir(data_dir) / f".{run_id}.old"
