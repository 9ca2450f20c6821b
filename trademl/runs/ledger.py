"""The audit ledger of a run: ``audit.jsonl``, one JSON record per line, chained by hashes.

Each record carries the hash of the one before it (64 zeros for the first) and its own, the SHA-256
of the record as JSON with sorted keys and without ``hash``. Changing a line, or dropping or
reordering lines before the last, breaks the chain; who can write the file can also cut its end or
compute the whole chain anew, so the chain is evidence only against its head kept elsewhere: it is
recorded with the run's snapshot. Times come from the run's clock, so a repeated run writes the
same ledger.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from trademl.clock import iso
from trademl.errors import DataError
from trademl.files import sha256_of_bytes

GENESIS_HASH = "0" * 64

Json = Mapping[str, Any]


@dataclass(slots=True)
class Outcome:
    """What a step reports when it is done; filled in by the code inside ``Ledger.step``."""

    output_hashes: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """Appends records to one run's ledger; one writer per file."""

    def __init__(self, path: Path, clock: datetime) -> None:
        """Starts a new chain at ``path``, which must not exist yet."""
        self._path = path
        self._ts = iso(clock)
        self._previous = GENESIS_HASH
        self._count = 0
        path.touch(exist_ok=False)

    @property
    def head(self) -> str:
        """The hash of the last record, which stands for the whole chain."""
        return self._previous

    def genesis(self, run_id: str, profile: str, env: Json, config: Json) -> None:
        """Writes the first record: what is run, with what."""
        self._append(
            {"type": "genesis", "run_id": run_id, "profile": profile, "env": env, "config": config}
        )

    @contextmanager
    def step(
        self, name: str, params: Json | None = None, input_hashes: Json | None = None
    ) -> Iterator[Outcome]:
        """Records the intent before a step and its success or failure after it."""
        intent = {"params": params or {}, "input_hashes": input_hashes or {}}
        self._append({"type": "action", "step": name, "status": "intent", "intent": intent})
        outcome = Outcome()
        try:
            yield outcome
        except Exception as error:
            self._finish(name, "failure", outcome, str(error))
            raise
        self._finish(name, "success", outcome, None)

    def skipped(self, name: str, reason: str) -> None:
        """Records a step that was left out on request."""
        self._append({"type": "action", "step": name, "status": "SKIPPED", "reason": reason})

    def _finish(self, name: str, status: str, outcome: Outcome, error: str | None) -> None:
        record: dict[str, Any] = {
            "type": "action",
            "step": name,
            "status": status,
            "outcome": {"output_hashes": outcome.output_hashes, "metrics": outcome.metrics},
        }
        if outcome.context:
            record["context"] = outcome.context
        if error is not None:
            record["error"] = error
        self._append(record)

    def _append(self, record: dict[str, Any]) -> None:
        full = {**record, "seq": self._count, "ts": self._ts, "prev_hash": self._previous}
        full["hash"] = record_hash(full)
        with open(self._path, "a", encoding="utf-8") as handle:
            handle.write(_canonical(full) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        self._previous, self._count = full["hash"], self._count + 1


def record_hash(record: Json) -> str:
    """The SHA-256 of a record as JSON with sorted keys, its own ``hash`` left out."""
    body = {key: value for key, value in record.items() if key != "hash"}
    return sha256_of_bytes(_canonical(body).encode())


def _canonical(record: Json) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read(path: Path) -> list[dict[str, Any]]:
    """All records of a ledger, unchecked.

    Raises:
        DataError: A line is not JSON, or the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"ledger {path.name} cannot be read: {error}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"ledger {path.name} line {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"ledger {path.name} line {number} is not a JSON object")
        records.append(record)
    return records


def verify(path: Path) -> int:
    """Checks the whole chain and returns the number of records.

    Raises:
        DataError: The ledger is empty, unreadable, or a record was changed, dropped or moved.
    """
    records = read(path)
    if not records:
        raise DataError(f"ledger {path.name} is empty: the run wrote nothing")
    previous = GENESIS_HASH
    for number, record in enumerate(records, start=1):
        if record.get("prev_hash") != previous or record.get("seq") != number - 1:
            raise DataError(f"ledger {path.name} line {number} does not follow the line before it")
        if record.get("hash") != record_hash(record):
            raise DataError(f"ledger {path.name} line {number} was changed after it was written")
        previous = record["hash"]
    if records[0].get("type") != "genesis":
        raise DataError(f"ledger {path.name} does not begin with a genesis record")
    return len(records)
