"""Folders that are costly to make, made once for a state of the sources and kept on disk.

They lie under ``target/tests``, named by the hash of all that they are made of: the project's
code, SQL, seeds and pinned packages, the code of the maker and its arguments. All workers of a
test run share them, and so do later runs. Whoever wants to change one takes a copy.
"""

import functools
import hashlib
import inspect
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

from filelock import FileLock

from tests.support.paths import PROJECT_ROOT

CACHE = PROJECT_ROOT / "target" / "tests"
LAKE_SOURCES = (
    *("trademl", "ingest", "simulator"),
    *("macros", "seeds", "snapshots", "dbt_project", "tests/data", "tests/support"),
    *("dbt_project.yml", "profiles.yml", "requirements.lock"),
)
"""What a lake is made of."""
KEPT = 3
"""States of the sources of which a folder is kept."""


def made_once(
    name: str,
    make: Callable[[Path], object],
    *arguments: object,
    more_sources: tuple[str, ...] = (),
) -> Path:
    """The folder that ``make`` fills; nobody may change it.

    Args:
        name: What it is; also the beginning of the folder's name.
        make: Fills the folder that it is given, which exists and is empty.
        arguments: All that ``make`` depends on beside the sources.
        more_sources: Files and folders of the project that it is made of beside a lake's.
    """
    key = hashlib.sha256(
        "\0".join(
            (
                _state((*LAKE_SOURCES, *more_sources)),
                hashlib.sha256(_module_of(make).read_bytes()).hexdigest(),
                *map(repr, arguments),
            )
        ).encode()
    ).hexdigest()
    folder = CACHE / "made" / f"{name}-{key[:20]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{name}.lock"):
            if not folder.is_dir():
                _make(folder, make, name)
    return folder


def _make(folder: Path, make: Callable[[Path], object], name: str) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    make(unfinished)
    older = sorted(folder.parent.glob(f"{name}-{'?' * 20}"), key=lambda path: path.stat().st_mtime)
    for path in older[: max(0, len(older) - KEPT + 1)]:
        shutil.rmtree(path)
    unfinished.rename(folder)


def copied(folder: Path, target: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(folder, target, symlinks=True))


def _module_of(make: Callable[[Path], object]) -> Path:
    found = inspect.getsourcefile(inspect.unwrap(make))
    assert found is not None
    return Path(found)


@functools.cache
def _state(sources: tuple[str, ...]) -> str:
    """A hash of the project's files and of the packages that are installed."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name in sorted(f"{one.name} {one.version}" for one in distributions()):
        digest.update(name.encode() + b"\0")
    for path in sorted(set(_files(sources))):
        digest.update(f"{path.relative_to(PROJECT_ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(sources: tuple[str, ...]) -> Iterator[Path]:
    for source in sources:
        path = PROJECT_ROOT / source
        if path.is_dir():
            yield from (
                file
                for file in path.rglob("*")
                if file.is_file() and "__pycache__" not in file.parts
            )
        elif path.exists():
            yield path
