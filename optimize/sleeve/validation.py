"""Atomic validation: is a run complete, consistent, and still what its ledger recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from optimize.inputs.returns import ReturnsMatrix, read_matrix
from optimize.sleeve.context import (
    FLATTENED_FILE,
    MANIFEST_FILE,
    OPTIMIZED_FILE,
    RETURNS_FILE,
    SIGN_TEST_POST_FILE,
    SIGN_TEST_PRE_FILE,
    SYNTHETIC_FILE,
)
from optimize.sleeve.request import PIPELINE
from trademl.errors import DataError
from trademl.files import sha256_of_file, write_atomic
from trademl.runs import ledger
from trademl.runs.artifacts import encode_json, read_json

REQUIRED = {
    "resolved_manifest": f"config/{MANIFEST_FILE}",
    "audit": "audit.jsonl",
    "returns_matrix": f"data/{RETURNS_FILE}",
    "synthetic_returns": f"data/{SYNTHETIC_FILE}",
    "optimized_v2": f"data/{OPTIMIZED_FILE}",
    "flattened": f"data/{FLATTENED_FILE}",
}
RECORDED_FOLDERS = ("config", "data", "reports")
"""Every file below them must stand in the ledger with its hash."""
AUDIT_FOLDER = "validation"
AUDIT_SUFFIX = "_audit"
"""Of the audits that are made of a finished run, which its ledger cannot hold."""
INDEX_FILE = "INDEX.md"
LINEAGE_KEYS = ("trace_id", "foundation_hash", "engine_version")
SUM_TOLERANCE = 1e-3
CAP_TOLERANCE = 1e-3

_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One line of the audit: a stable code, whether it fails the run, and the evidence."""

    code: str
    is_failure: bool
    message: str


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The audit of one run."""

    run_id: str
    profile: str
    findings: tuple[AuditFinding, ...]
    calendar: dict[str, Any]
    lineage: dict[str, Any]

    @property
    def failures(self) -> tuple[AuditFinding, ...]:
        """The findings that fail the run."""
        return tuple(finding for finding in self.findings if finding.is_failure)


def validate_atomic_run(root: Path, run_id: str, *, is_own_audit: bool = False) -> AuditResult:
    """Audits the artifacts of one run directory; reads everything, changes nothing.

    Args:
        root: The run's folder.
        run_id: Its id, for the messages.
        is_own_audit: The run audits itself, so its ledger has not come to its end.
    """
    findings = list(_missing(root))
    manifest = _read(root / REQUIRED["resolved_manifest"])
    profile: dict[str, Any] = manifest.get("profile", {}) if manifest else {}
    findings += _manifest_findings(root, manifest)
    findings += _sign_findings(root, profile)
    matrix, matrix_findings = _returns(root)
    findings += matrix_findings
    calendar = calendar_stats(list(matrix.dates)) if matrix else {}
    if matrix:
        findings += _calendar_findings(calendar, str(profile.get("asset_class")))
    findings += _portfolio_findings(root)
    findings += _ledger_findings(root, is_own_audit)
    lineage = {key: manifest[key] for key in LINEAGE_KEYS if key in manifest} if manifest else {}
    name = str(profile.get("name", "unknown"))
    return AuditResult(run_id, name, tuple(findings), calendar, lineage)


def write_audit(root: Path, result: AuditResult, suffix: str = "") -> Path:
    """Writes the audit as JSON and Markdown beside the run's reports; returns the JSON's path."""
    folder = root / "reports" / AUDIT_FOLDER
    stem = f"atomic_validation_{result.profile}_{result.run_id}{suffix}"
    rows = [
        {"code": item.code, "failure": item.is_failure, "message": item.message}
        for item in result.findings
    ]
    content = {
        "run_id": result.run_id,
        "profile": result.profile,
        "status": "FAIL" if result.failures else "PASS",
        "failures": len(result.failures),
        "findings": rows,
        "calendar_sanity": result.calendar,
        **result.lineage,
    }
    write_atomic(folder / f"{stem}.json", encode_json(content))
    lines = [f"# Atomic validation of {result.run_id}: {content['status']}", ""]
    lines += ["| code | result | evidence |", "|---|---|---|"]
    lines += [
        f"| {item.code} | {'FAIL' if item.is_failure else 'PASS'} | {item.message} |"
        for item in result.findings
    ]
    write_atomic(folder / f"{stem}.md", "\n".join(lines) + "\n")
    return folder / f"{stem}.json"


def _missing(root: Path) -> Iterator[AuditFinding]:
    for name, path in REQUIRED.items():
        if not (root / path).is_file():
            yield _fail("ATOMIC_MISSING_ARTIFACTS", f"{name}: {path} is missing")


def _manifest_findings(root: Path, manifest: dict[str, Any] | None) -> Iterator[AuditFinding]:
    if manifest is None and (root / REQUIRED["resolved_manifest"]).is_file():
        yield _fail("ATOMIC_MANIFEST_PARSE", "resolved_manifest.json cannot be read")


def _sign_findings(root: Path, profile: dict[str, Any]) -> Iterator[AuditFinding]:
    """The run's own manifest says whether the gate was on; without a manifest it was."""
    flags = profile.get("features", {})
    if not flags.get("feat_directional_sign_test_gate_atomic", True):
        return
    for phase, name in (("PRE", SIGN_TEST_PRE_FILE), ("POST", SIGN_TEST_POST_FILE)):
        path = root / "data" / name
        content = _read(path)
        if not path.is_file():
            yield _fail(f"ATOMIC_SIGN_TEST_{phase}_MISSING", f"{name} is missing")
        elif content is None or not isinstance(content.get("errors"), int):
            yield _fail(f"ATOMIC_SIGN_TEST_{phase}_PARSE", f"{name} cannot be read")
        elif content["errors"] or not content.get("checked_atoms"):
            yield _fail(
                f"ATOMIC_SIGN_TEST_{phase}_FAIL",
                f"{content['errors']} errors over {content.get('checked_atoms', 0)} atoms",
            )
        else:
            yield _pass(f"ATOMIC_SIGN_TEST_{phase}_PASS", f"{content['checked_atoms']} atoms")


def _returns(root: Path) -> tuple[ReturnsMatrix | None, list[AuditFinding]]:
    """The raw matrix, and what is wrong with it or with the synthetic one."""
    findings: list[AuditFinding] = []
    matrices: dict[str, ReturnsMatrix] = {}
    for name in ("returns_matrix", "synthetic_returns"):
        path = root / REQUIRED[name]
        if not path.is_file():
            continue
        try:
            matrices[name] = read_matrix(path)
        except DataError as error:
            findings.append(_fail("ATOMIC_RETURNS_PARSE", str(error)))
            continue
        if not matrices[name].values.size:
            findings.append(_fail("ATOMIC_EMPTY_RETURNS", f"{name} has no cell"))
    raw, synthetic = matrices.get("returns_matrix"), matrices.get("synthetic_returns")
    if raw and synthetic and raw.dates != synthetic.dates:
        findings.append(_fail("ATOMIC_INDEX_MISMATCH", "synthetic and raw sessions differ"))
    return raw if raw is not None and raw.values.size else None, findings


def calendar_stats(days: list[date]) -> dict[str, Any]:
    """What the sessions of a matrix say about the market it comes from."""
    gaps = [(after - before).days for before, after in pairwise(days)]
    return {
        "n_days": len(days),
        "has_saturday": any(day.weekday() == _SATURDAY for day in days),
        "has_sunday": any(day.weekday() > _SATURDAY for day in days),
        "n_gaps_gt_1d": sum(gap > 1 for gap in gaps),
        "max_gap_days": max(gaps, default=0),
    }


def _calendar_findings(stats: dict[str, Any], asset_class: str) -> Iterator[AuditFinding]:
    has_weekend = stats["has_saturday"] and stats["has_sunday"]
    is_dense = stats["n_gaps_gt_1d"] == 0
    touches_weekend = stats["has_saturday"] or stats["has_sunday"]
    evidence = f"{stats['n_days']} sessions, longest step {stats['max_gap_days']} days"
    if asset_class == "crypto" and not (has_weekend and is_dense):
        yield _fail("ATOMIC_CALENDAR", f"crypto must trade every day: {evidence}")
    elif asset_class == "equity" and touches_weekend:
        yield _fail("ATOMIC_CALENDAR", f"an exchange has no weekend sessions: {evidence}")
    else:
        yield _pass("ATOMIC_CALENDAR", evidence)


def _portfolio_findings(root: Path) -> Iterator[AuditFinding]:
    for name, label in (("optimized_v2", "HRP"), ("flattened", "FLATTENED")):
        path = root / REQUIRED[name]
        if not path.is_file():
            continue
        content = _read(path)
        profiles = content.get("profiles") if content else None
        if not content or not isinstance(profiles, dict):
            yield _fail(f"ATOMIC_{label}_PARSE", f"{path.name} cannot be read")
            continue
        primary = content.get("metadata", {}).get("primary", "hrp")
        checked = "hrp" if label == "HRP" and "hrp" in profiles else primary
        if not profiles.get(checked, {}).get("assets"):
            yield _fail(f"ATOMIC_EMPTY_{label}", f"{path.name} has no {checked} weights")
            continue
        yield _pass(f"ATOMIC_{label}_PRESENT", f"{len(profiles[checked]['assets'])} weights")
        yield from _weight_findings(path.name, profiles, content)


def _weight_findings(
    file_name: str, profiles: dict[str, Any], content: dict[str, Any]
) -> Iterator[AuditFinding]:
    """Every profile sums to one in gross terms, and no cluster exceeds the cap it declares."""
    metrics = content.get("optimization", {}).get("metrics", {})
    for name, profile in sorted(profiles.items()):
        rows = profile.get("assets", [])
        gross = sum(abs(row.get("Gross_Weight", row["Weight"])) for row in rows)
        if abs(gross - 1.0) > SUM_TOLERANCE:
            yield _fail("ATOMIC_BAD_WEIGHT_SUM", f"{file_name} {name} sums to {gross:.6f}")
        cap = metrics.get(name, {}).get("cluster_cap", 1.0)
        for cluster in profile.get("clusters", []):
            if cluster["Gross_Weight"] > cap + CAP_TOLERANCE:
                label = cluster["Cluster_Label"]
                yield _fail(
                    "ATOMIC_CLUSTER_CAP",
                    f"{name} {label} weighs {cluster['Gross_Weight']:.4f}, cap {cap:.4f}",
                )


def _ledger_findings(root: Path, is_own_audit: bool) -> Iterator[AuditFinding]:
    """The chain holds to its end, and names every artifact as what it is."""
    path = root / REQUIRED["audit"]
    if not path.is_file():
        return
    try:
        count = ledger.verify(path)
        records = ledger.read(path)
    except DataError as error:
        yield _fail("ATOMIC_LEDGER_BROKEN", str(error))
        return
    yield _pass("ATOMIC_LEDGER_OK", f"{count} records")
    last = records[-1].get("step"), records[-1].get("status")
    if not is_own_audit and last != (PIPELINE, "success"):
        yield _fail("ATOMIC_UNFINISHED", f"the ledger ends with {last}, not with {PIPELINE}")
    recorded: dict[str, str] = {}
    for record in records:
        recorded.update(record.get("outcome", {}).get("output_hashes", {}))
    yield from _unrecorded(root, recorded, is_own_audit)
    for name, expected in sorted(recorded.items()):
        file = root / name
        if not file.is_file():
            if name not in REQUIRED.values():
                yield _fail("ATOMIC_MISSING_OUTPUT", f"{name} is in the ledger and not on disk")
        elif sha256_of_file(file) != expected:
            yield _fail("ATOMIC_ARTIFACT_CHANGED", f"{name} differs from the ledger's hash")


def _unrecorded(root: Path, recorded: dict[str, str], is_own_audit: bool) -> Iterator[AuditFinding]:
    """What the ledger does not name, nobody vouches for."""
    needed = {*REQUIRED.values()} - {REQUIRED["audit"]}
    if not is_own_audit:
        needed.add(INDEX_FILE)
    for folder in RECORDED_FOLDERS:
        files = (path for path in (root / folder).rglob("*") if path.is_file())
        needed |= {path.relative_to(root).as_posix() for path in files if not _is_later(path)}
    for name in sorted(needed - set(recorded)):
        yield _fail("ATOMIC_UNRECORDED", f"{name} is not in the ledger")


def _is_later(path: Path) -> bool:
    """Whether a file is an audit of the finished run."""
    return path.parent.name == AUDIT_FOLDER and path.stem.endswith(AUDIT_SUFFIX)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except DataError:
        return None


def _fail(code: str, message: str) -> AuditFinding:
    return AuditFinding(code, True, message)


def _pass(code: str, message: str) -> AuditFinding:
    return AuditFinding(code, False, message)
