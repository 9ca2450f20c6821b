"""The context that the steps of one alpha run share, and the records that they pass on."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import duckdb

from optimize.inputs.candidate_list import CandidateList
from optimize.inputs.foundation import FoundationReport
from optimize.inputs.pinned_model import PinnedModel
from optimize.inputs.pool import Pool
from optimize.inputs.returns import Aggregation, ReturnsMatrix
from optimize.portfolio.preopt import PreOpt
from optimize.portfolio.two_layer import Portfolio
from optimize.profiles import Profile
from optimize.selection.attribution import Attribution
from optimize.selection.clustering import ClusterResult
from optimize.selection.inference import Inference
from optimize.selection.relaxation import HtrResult
from trademl.files import sha256_of_bytes
from trademl.lake.versions import PROJECT_ROOT, Version
from trademl.runs.artifacts import ArtifactWriter, encode_json
from trademl.runs.ledger import Ledger
from trademl.runs.lineage import Lineage

RETURNS_FILE = "returns_matrix.parquet"
SYNTHETIC_FILE = "synthetic_returns.parquet"
ATTRIBUTION_FILE = "attribution.json"
OPTIMIZED_FILE = "portfolio_optimized_v2.json"
FLATTENED_FILE = "portfolio_flattened.json"
SIGN_TEST_PRE_FILE = "directional_sign_test_pre_opt.json"
SIGN_TEST_POST_FILE = "directional_sign_test.json"
MANIFEST_FILE = "resolved_manifest.json"
INPUTS_FILE = "inputs.json"
CANDIDATES_FILE = "candidates.json"
REPORT_FILE = "report.html"

_NUMERIC_PACKAGES = ("numpy", "scipy", "duckdb", "pyarrow", "lightgbm", "cvxpy", "clarabel")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its inputs, its open lake, and where it writes.

    Attributes:
        version: The published version that the run is locked to.
        model: The pinned model, None for a sleeve without one.
        candidates: Who may be chosen, None for everybody in the version's universe.
    """

    run_id: str
    data_dir: Path
    profile: Profile
    clock: datetime
    version: Version
    connection: duckdb.DuckDBPyConnection
    ledger: Ledger
    writer: ArtifactWriter
    model: PinnedModel | None
    candidates: CandidateList | None
    decision_date: date

    @property
    def data(self) -> Path:
        """The run's data folder."""
        return self.writer.workspace.data

    @property
    def lineage(self) -> Lineage:
        """The identity on every output."""
        return self.writer.lineage


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """What selection hands to synthesis."""

    pool: Pool
    aggregation: Aggregation
    inference: Inference
    clusters: ClusterResult
    result: HtrResult
    funnel: dict[str, int]
    attribution: Attribution


@dataclass(frozen=True, slots=True, eq=False)
class Allocated:
    """What allocation hands to reporting."""

    gate: FoundationReport
    selected: Selected
    synthetic: ReturnsMatrix
    preopt: PreOpt
    portfolios: tuple[Portfolio, ...]
    flattened: dict[str, dict[str, Any]]
    primary: str

    @property
    def chosen(self) -> Portfolio:
        """The portfolio that is the run's answer."""
        return next(portfolio for portfolio in self.portfolios if portfolio.name == self.primary)


def profile_hash(profile: Profile) -> str:
    """The SHA-256 of the resolved profile."""
    return sha256_of_bytes(encode_json(profile.resolved()).encode())


def environment() -> dict[str, str]:
    """The genesis record's description of the program that ran."""
    packages = {name: installed_version(name) for name in _NUMERIC_PACKAGES}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "env_hash": sha256_of_bytes(encode_json(packages).encode()),
        "git_hash": git_commit(PROJECT_ROOT) or "none",
    }


def git_commit(root: Path) -> str | None:
    """The checked-out commit, read from files; None without a checkout or a first commit."""
    head = _text(root / ".git" / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    loose = _text(root / ".git" / reference)
    if loose is not None:
        return loose
    packed = _text(root / ".git" / "packed-refs") or ""
    for line in packed.splitlines():
        if line.endswith(f" {reference}"):
            return line.split()[0]
    return None


def resolved_manifest(
    run_id: str,
    profile: Profile,
    clock: datetime,
    version: Version,
    table_hashes: Mapping[str, str],
) -> dict[str, Any]:
    """All settings of a run and what is needed to replay it."""
    return {
        "profile": profile.resolved(),
        "profile_hash": profile_hash(profile),
        "replay_context": {
            "run_id": run_id,
            "timestamp": clock,
            "git_commit": git_commit(PROJECT_ROOT),
            "manifest_source": f"profile {profile.name} over optimize/profiles/defaults.yml",
            "version": version.name,
            "version_as_of": version.as_of,
            "foundation_hashes": dict(table_hashes),
        },
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
