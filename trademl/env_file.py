"""Changes to ``.env``: some variables and nothing else, whole or not at all, for its owner only."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, set_key

from trademl.errors import ConfigError
from trademl.files import replace_durably


def patch_env(path: Path, values: Mapping[str, str]) -> list[str]:
    """Sets variables in a file; every other line stays as it is.

    Args:
        path: The file; made when absent. Its mode becomes 600, because it holds keys.
        values: Variables and their values.

    Returns:
        The variables that were not so before, in order. Without any, only the mode is touched.

    Raises:
        ConfigError: A value would not be read back as it is.
    """
    final = path.resolve()  # a link stays a link
    before = dotenv_values(final)
    changed = [name for name, value in values.items() if before.get(name) != value]
    if not changed and final.exists():
        final.chmod(0o600)
        _sweep(final.with_name(f"{final.name}.tmp"))
        return []
    final.parent.mkdir(parents=True, exist_ok=True)
    # One folder for all that is temporary: whatever a kill leaves of it, the next change sweeps.
    folder = final.with_name(f"{final.name}.tmp")
    _sweep(folder)
    folder.mkdir(mode=0o700)
    try:
        temporary = folder / final.name
        _write(temporary, final.read_bytes() if final.exists() else b"")
        for name in changed:
            set_key(temporary, name, values[name], quote_mode="auto")
        _check(temporary, {name: values[name] for name in changed})
        _sync(temporary)
        replace_durably(temporary, final)
    finally:
        _sweep(folder)
    return changed


def _sweep(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _write(path: Path, content: bytes) -> None:
    """A file that nobody else may read at any moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(content)


def _check(path: Path, expected: Mapping[str, str]) -> None:
    stored = dotenv_values(path)
    for name, value in expected.items():
        if stored.get(name) != value:
            raise ConfigError(
                f"the value of {name} cannot be written to a .env file; remove line breaks and ${{"
            )


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
