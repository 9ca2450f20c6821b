"""The tamper check of a finished run: its ledger's head and data files against the records."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from optimize.sleeve.validation import REQUIRED, AuditFinding, AuditResult, validate_atomic_run
from trademl.errors import DataError
from trademl.files import sha256_of_file
from trademl.lake.snapshot import changed_files, read_head, snapshot_dir
from trademl.runs import ledger
from trademl.runs.artifacts import read_json


def validate_sealed_run(root: Path, data_dir: Path, run_id: str) -> AuditResult:
    """The audit of a finished run, with the head of its ledger and the data files it read.

    Every data file of the run is read again and hashed, so it takes as long as reading them.

    Args:
        root: The run's folder.
        data_dir: The data directory, which holds the run's snapshot and the lake.
        run_id: The run's id.
    """
    result = validate_atomic_run(root, run_id)
    findings = (*_head(root, data_dir, run_id), *_data(root, data_dir, run_id))
    return replace(result, findings=(*result.findings, *findings))


def _head(root: Path, data_dir: Path, run_id: str) -> Iterator[AuditFinding]:
    head = read_head(data_dir, run_id)
    try:
        ends = ledger.read(root / REQUIRED["audit"])[-1:]
    except DataError:
        return  # the audit has said so
    if head is None:
        yield AuditFinding("ATOMIC_HEAD_MISSING", True, f"snapshots/{run_id} has no ledger head")
    elif not ends or ends[0].get("hash") != head:
        yield AuditFinding(
            "ATOMIC_HEAD_CHANGED", True, f"the ledger does not end with the recorded {head[:12]}"
        )
    else:
        yield AuditFinding("ATOMIC_HEAD_OK", False, f"the ledger ends with {head[:12]}")


def _data(root: Path, data_dir: Path, run_id: str) -> Iterator[AuditFinding]:
    try:
        record = read_json(root / "config" / "snapshot.json")
        files = list(record["files"])
        changed = changed_files(data_dir, files)
    except (DataError, KeyError, TypeError) as error:
        yield AuditFinding("ATOMIC_SNAPSHOT_PARSE", True, f"config/snapshot.json: {error}")
        return
    catalog = snapshot_dir(data_dir, run_id) / "catalog.duckdb"
    if not catalog.is_file() or sha256_of_file(catalog) != record.get("catalog_sha256"):
        yield AuditFinding("ATOMIC_DATA_CHANGED", True, "the version's catalog is not the run's")
    for name in changed:
        yield AuditFinding("ATOMIC_DATA_CHANGED", True, f"{name} is not what the run read")
    if not changed:
        yield AuditFinding("ATOMIC_DATA_OK", False, f"{len(files)} data files")
