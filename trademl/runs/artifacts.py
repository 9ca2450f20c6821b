"""The files of a run: JSON with the run's lineage in it, Parquet, and their hashes."""

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trademl.clock import iso
from trademl.errors import DataError
from trademl.files import sha256_of_bytes, sha256_of_file, write_atomic
from trademl.runs.lineage import Lineage
from trademl.runs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ArtifactWriter:
    """Writes the files of one run and hands back their hashes.

    Attributes:
        workspace: Where they go.
        lineage: What every JSON file carries.
    """

    workspace: Workspace
    lineage: Lineage

    def json(self, path: Path, payload: Mapping[str, Any]) -> dict[str, str]:
        """Writes an object together with the lineage; returns {relative name: sha256}."""
        return self.content(path, encode_json({**payload, **self.lineage.as_dict()}))

    def parquet(self, path: Path, table: pa.Table) -> dict[str, str]:
        """Writes a table, with the lineage in the file's metadata."""
        labeled = table.replace_schema_metadata(self.lineage.as_dict())
        buffer = io.BytesIO()
        pq.write_table(labeled, buffer, compression="zstd")
        return self.content(path, buffer.getvalue())

    def content(self, path: Path, content: str | bytes) -> dict[str, str]:
        """Writes anything else."""
        raw = content.encode() if isinstance(content, str) else content
        write_atomic(path, raw)
        return {path.relative_to(self.workspace.root).as_posix(): sha256_of_bytes(raw)}

    def recorded(self, *paths: Path) -> dict[str, str]:
        """{relative name: sha256} of files that something else wrote."""
        root = self.workspace.root
        return {path.relative_to(root).as_posix(): sha256_of_file(path) for path in paths}


def encode_json(payload: Any) -> str:
    """JSON with sorted keys, shortest exact floats, null for what is not finite."""
    return json.dumps(plain(payload), sort_keys=True, indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON types: numpy scalars and arrays, dates and tuples included."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else value


def read_json(path: Path) -> dict[str, Any]:
    """An artifact's content.

    Raises:
        DataError: The file is missing, no JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.name} is missing: run the step that writes it") from error
    except ValueError as error:
        raise DataError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path.name} is not a JSON object")
    return content
