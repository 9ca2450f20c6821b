"""The vendors' bodies as received, kept beside the rows where ``keep_bodies`` is set."""

import gzip
from pathlib import Path

from trademl.errors import DataError
from trademl.files import sha256_of_bytes, write_atomic


def keep_body(data_dir: Path, vendor: str, body: bytes) -> Path:
    """Writes a body once, under the hash that its rows carry as ``payload_sha256``.

    Args:
        data_dir: The data directory.
        vendor: Whose body it is.
        body: As received, after decompression.

    Returns:
        ``bodies/<vendor>/<payload_sha256>.gz``.

    Raises:
        DataError: It cannot be written.
    """
    path = data_dir / "bodies" / vendor / f"{sha256_of_bytes(body)}.gz"
    if path.exists():
        return path
    try:
        write_atomic(path, gzip.compress(body, mtime=0))
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}; make room, make it writable, or unset "
            "KEEP_BODIES"
        ) from error
    return path
