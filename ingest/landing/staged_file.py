"""Atomic file writes: written in ``raw/.staging``, fsynced, renamed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trademl.files import replace_durably

_FOLDER = ".staging"
_SUFFIX = ".part"


@dataclass(frozen=True, slots=True)
class Staged:
    """A file being written.

    Attributes:
        ingest_id: The stem of its final name.
        path: Where it is now.
        handle: Open for writing, locked while its process lives.
        final: Where ``publish`` will put it.
    """

    ingest_id: str
    path: Path
    handle: BinaryIO
    final: Path

    def publish(self) -> Path:
        """Makes the content durable, then visible under the final name."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.final.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(self.path, self.final)
        return self.final


@contextmanager
def staged_file(raw: Path, folder: Path, stem: str) -> Iterator[Staged]:
    """Opens a file that is gone afterwards unless it was published.

    Args:
        raw: The ``raw`` folder of the data directory.
        folder: Where the file belongs.
        stem: The name wanted; ``-2``, ``-3``... is appended where it is taken.
    """
    (raw / _FOLDER).mkdir(parents=True, exist_ok=True)
    with _alone(raw):
        _sweep(raw)
        staged = _open(raw, folder, stem)
    try:
        yield staged
    finally:
        staged.path.unlink(missing_ok=True)
        staged.handle.close()


@contextmanager
def _alone(raw: Path) -> Iterator[None]:
    """Holds the staging folder's lock: between creating a file and locking it nobody may sweep."""
    with open(raw / _FOLDER / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(raw: Path) -> None:
    """Removes what killed processes left; a live process holds a lock on its file."""
    for path in (raw / _FOLDER).glob(f"*{_SUFFIX}"):
        if _is_abandoned(path):
            path.unlink(missing_ok=True)


def _open(raw: Path, folder: Path, stem: str) -> Staged:
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        final, path = folder / f"{name}.parquet", raw / _FOLDER / f"{name}{_SUFFIX}"
        number += 1
        if final.exists():
            continue
        try:
            handle = open(path, "xb+")  # noqa: SIM115 - closed by staged_file
        except FileExistsError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        return Staged(name, path, handle, final)


def _is_abandoned(path: Path) -> bool:
    try:
        with open(path, "rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
