"""Durable writes and content hashes."""

import hashlib
import os
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Writes a whole file so that a reader sees the old content or the new, never a part.

    Args:
        path: The final name; its folder is made when absent.
        content: The bytes, or text to be encoded as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as handle:
        handle.write(content.encode() if isinstance(content, str) else content)
        handle.flush()
        os.fsync(handle.fileno())
    replace_durably(temporary, path)


def replace_durably(temporary: Path, final: Path) -> None:
    """Renames a finished, already fsynced file into place and makes the rename itself durable."""
    os.replace(temporary, final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256_of_bytes(content: bytes) -> str:
    """The SHA-256 of bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's content, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
