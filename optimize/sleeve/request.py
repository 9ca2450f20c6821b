"""The inputs of an alpha run: resolved, pinned, and compared with a run that is already there."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optimize.inputs.candidate_list import CandidateList
from optimize.inputs.pinned_model import PinnedModel, pin_model
from optimize.profiles import Profile
from optimize.sleeve.context import FLATTENED_FILE, INPUTS_FILE, OPTIMIZED_FILE, profile_hash
from optimize.sleeve.report import ReportExtras
from trademl.clock import iso, parse_clock
from trademl.errors import ConfigError, DataError, GateFailed, LookaheadError
from trademl.lake import versions as lake
from trademl.lake.snapshot import read_lock
from trademl.runs.artifacts import read_json
from trademl.runs.ledger import read as read_ledger
from trademl.runs.lineage import ENGINE_VERSION
from trademl.runs.workspace import Workspace, runs_dir

PIPELINE = "alpha.full"
NO_MODEL = "no model"
NO_CANDIDATES = "no candidates"


@dataclass(frozen=True, slots=True)
class Request:
    """The resolved inputs of a run.

    Attributes:
        candidates: Who may be chosen, None for everybody in the version's universe.
    """

    run_id: str
    data_dir: Path
    profile: Profile
    version: lake.Version
    clock: datetime
    model: PinnedModel | None
    candidates: CandidateList | None
    skip_analysis: bool
    skip_validation: bool
    extras: ReportExtras

    @property
    def model_hash(self) -> str:
        """The pinned model's hash, or a fixed text for none."""
        return self.model.sha256 if self.model else NO_MODEL

    @property
    def list_hash(self) -> tuple[str, ...]:
        """The hash of the list of candidates, nothing for none."""
        return (self.candidates.sha256,) if self.candidates else ()

    def fingerprint(self) -> dict[str, str]:
        """What must be equal for two runs to have to give the same weights."""
        return {
            "run_id": self.run_id,
            "profile": self.profile.name,
            "profile_hash": profile_hash(self.profile),
            "version": self.version.name,
            "clock": iso(self.clock),
            "model_sha256": self.model_hash,
            "candidates_sha256": self.candidates.sha256 if self.candidates else NO_CANDIDATES,
            "engine_version": ENGINE_VERSION,
        }


def locked_version(data_dir: Path, run_id: str, name: str | None) -> lake.Version:
    """A run id stays with the version it was started on."""
    lock = read_lock(data_dir, run_id) if name is None else None
    if lock is not None and lock.version in {item.name for item in lake.list_versions(data_dir)}:
        name = lock.version
    return lake.find_version(data_dir, name)


def pin_for(profile: Profile, folder: Path | None) -> PinnedModel | None:
    """The model of a profile by content; None where the profile goes without one.

    Raises:
        DataError: A required model is missing or broken.
    """
    if profile.model.name is None:
        return None
    if folder is None:
        if profile.model.required:
            raise DataError(
                f"profile {profile.name} needs model {profile.model.name!r}, trained no later than "
                f"the run: run `trademl train {profile.model.name}` on its version first"
            )
        return None
    return pin_model(folder)


def refuse_hindsight(request: Request) -> None:
    """No input of a run may know what happened after the run's own time.

    Raises:
        LookaheadError: The version was built or the candidates were found after the clock, or the
            candidates were checked or the model was trained on a version later than the run's.
    """
    built = parse_clock(request.version.as_of)
    if built > request.clock:
        raise LookaheadError(
            f"version {request.version.name} is as of {iso(built)}, after the clock "
            f"{iso(request.clock)}: choose an older version or a later clock"
        )
    generated_at = request.candidates.generated_at if request.candidates else None
    if generated_at and generated_at > request.clock:
        raise LookaheadError(
            f"the candidates were found at {iso(generated_at)}, after the clock "
            f"{iso(request.clock)}: name an older list with --candidates, or choose a later clock"
        )
    checked = request.candidates.version if request.candidates else None
    if checked and checked > request.version.name:
        raise LookaheadError(
            f"the candidates were checked against version {checked}, the run is on "
            f"{request.version.name}: name an older list with --candidates, or run on {checked}"
        )
    if request.model and request.model.as_of > built:
        raise LookaheadError(
            f"model {request.model.folder.name} was trained as of {iso(request.model.as_of)}, "
            f"version {request.version.name} is as of {iso(built)}: choose an older model, or run "
            f"`trademl train {request.profile.model.name} --version {request.version.name}`"
        )


def refuse_other_inputs(request: Request) -> None:
    """A finished run is never replaced by another one of the same name."""
    root = runs_dir(request.data_dir) / request.run_id
    if not is_finished(root):
        return
    # A run from before there were lists was made without one.
    before = {"candidates_sha256": NO_CANDIDATES, **read_json(root / "config" / INPUTS_FILE)}
    for key, value in request.fingerprint().items():
        if before.get(key) != value:
            raise ConfigError(
                f"run {request.run_id!r} exists with {key} {before.get(key)}, asked for {value}: "
                "choose another run id"
            )


def is_finished(root: Path) -> bool:
    """Whether a run directory holds a run that went through to its end."""
    if not (root / "audit.jsonl").is_file() or not (root / "config" / INPUTS_FILE).is_file():
        return False
    last = read_ledger(root / "audit.jsonl")[-1:]
    return bool(last) and (last[0].get("step"), last[0].get("status")) == (PIPELINE, "success")


def require_same_weights(request: Request, workspace: Workspace) -> None:
    """Repeating a finished run must give the bytes that are already there."""
    before = runs_dir(request.data_dir) / request.run_id
    if not is_finished(before):
        return
    for name in (OPTIMIZED_FILE, FLATTENED_FILE):
        old, new = before / "data" / name, workspace.data / name
        if old.is_file() and old.read_bytes() != new.read_bytes():
            raise GateFailed(
                f"NOT_REPRODUCIBLE: repeating run {request.run_id} gives another {name}: the old "
                "run is kept; look for a changed file or program before trusting either"
            )
