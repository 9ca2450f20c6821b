"""The steps of a training after its gate: trials, choice, controls, full budget, artifacts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models_ml.data.green_gate import GateCheck
from models_ml.data.panel import Panel
from models_ml.profile import TrainingProfile, disclosures
from models_ml.registry import store, writer
from models_ml.registry.model_card import Parity, TrainingReport, panel_facts, to_json
from models_ml.tracking import TrialLog
from models_ml.validation.evaluation import Score, evaluate
from models_ml.validation.foresight import foresight
from models_ml.validation.negative_controls import ControlResult, run_controls
from models_ml.validation.out_of_fold import (
    Fit,
    Progress,
    binned,
    check_groups,
    cross_predict,
    make_fit,
    target_of,
    train_one,
)
from models_ml.validation.trials import Tried, judge_overfitting, run_trials, score_metrics
from trademl.errors import GateFailed
from trademl.lake.versions import Version


@dataclass(frozen=True, slots=True)
class Job:
    """What one training is about.

    Attributes:
        data_dir: Receives the model.
        version: Was read.
        profile: Decides everything else.
        model_id: The folder to make.
        code_version: What the id was computed with.
        gates: Already passed.
        truncation: Whether the version held rows from after its as_of, which the panel is without.
        progress: Told of every step.
    """

    data_dir: Path
    version: Version
    profile: TrainingProfile
    model_id: str
    code_version: str
    gates: tuple[GateCheck, ...]
    truncation: ControlResult
    progress: Progress

    @property
    def folder(self) -> Path:
        """Where the artifacts will be."""
        return store.model_dir(self.data_dir, self.profile.model, self.model_id)


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What is known of a panel before anything is tried on it."""

    group_sessions: tuple[int, ...]
    trial_panel: Panel
    foresight: ControlResult


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What the steps found, ready to be written.

    Attributes:
        fit: The chosen configuration with its full budget.
        paths: (paths, rows) its out-of-fold predictions.
        score: Their worth.
        booster: The model of all rows.
    """

    panel: Panel
    ready: Ready
    tried: Tried
    controls: tuple[ControlResult, ...]
    fit: Fit
    paths: NDArray[np.float32]
    score: Score
    booster: lgb.Booster


def fit_and_publish(job: Job, panel: Panel) -> None:
    """Trains, and leaves the model's folder whole or not at all.

    Raises:
        DataError: The history is too short for the groups.
        GateFailed: A control found a leak.
    """
    ready = _check(job, panel)
    log = TrialLog(store.models_dir(job.data_dir), job.profile.model)
    fitted = _fit(job, panel, ready, log)
    with writer.staged_folder(job.folder) as folder:
        _write(folder, job, fitted)
    _log_chosen(job, log, fitted)


def _check(job: Job, panel: Panel) -> Ready:
    """What can refuse a training before its first trial."""
    groups = check_groups(panel, job.profile.validation)
    trial_panel = panel.every(job.profile.trials.session_stride)
    told = foresight(panel, trial_panel, job.profile)
    job.progress(told.line())
    refuse_leaks(job.profile, (told,))
    return Ready(groups, trial_panel, told)


def _fit(job: Job, panel: Panel, ready: Ready, log: TrialLog) -> Fitted:
    profile, say, trial_panel = job.profile, job.progress, ready.trial_panel
    tried = run_trials(trial_panel, profile, log, say)
    trial_fit = make_fit(profile, tried.chosen.params, profile.trials.trees)
    after = run_controls(panel, trial_panel, profile, trial_fit, tried.chosen_ic, say)
    controls = (job.truncation, ready.foresight, *after)
    _log_controls(job, log, controls, tried)
    refuse_leaks(profile, after)
    fit = make_fit(profile, tried.chosen.params, profile.trees)
    say(f"chosen: {tried.chosen.name}; now {fit.trees} trees on all {len(panel)} rows")
    paths = cross_predict(panel, profile, [fit], say)[0]
    score = evaluate(panel, profile, paths).score
    booster = _final_model(panel, profile, fit)
    return Fitted(panel, ready, tried, controls, fit, paths, score, booster)


def _final_model(panel: Panel, profile: TrainingProfile, fit: Fit) -> lgb.Booster:
    target = target_of(panel, profile.label)
    return train_one(binned(panel, profile, target, np.arange(len(panel)), fit), fit)


def refuse_leaks(profile: TrainingProfile, controls: tuple[ControlResult, ...]) -> None:
    """Ends the training of a profile that refuses where a control failed.

    Raises:
        GateFailed: With the line of each such control.
    """
    failed = [control.line() for control in controls if not control.passed]
    if failed and profile.controls.on_failure == "refuse":
        raise GateFailed(
            f"{profile.model} is not trained, something leaks: {'; '.join(failed)}. "
            "Look for a feature that knows the future, for rows from after as_of, or for "
            "misaligned labels"
        )


def _write(folder: Path, job: Job, fitted: Fitted) -> None:
    panel = fitted.panel
    writer.write_model(folder, fitted.booster, panel.feature_names)
    writer.write_predictions(folder, panel, fitted.paths)
    parity = writer.write_onnx(folder, fitted.booster, writer.parity_sample(panel))
    config = {
        "model": job.profile.model,
        "model_id": job.model_id,
        "version": job.version.name,
        "as_of": job.version.as_of,
        "code_version": job.code_version,
        "chosen": fitted.tried.chosen.name,
        "params": fitted.fit.params,
        "trees": fitted.fit.trees,
        "profile": asdict(job.profile),
    }
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    (folder / "training_cfg.json").write_text(text)
    report = _report(job, fitted, parity, writer.hashes(folder))
    (folder / "report.json").write_text(to_json(report))


def _report(job: Job, fitted: Fitted, parity: Parity, files: dict[str, str]) -> TrainingReport:
    profile, tried = job.profile, fitted.tried
    blocks = profile.validation.pbo_blocks
    return TrainingReport(
        model=profile.model,
        model_id=job.model_id,
        version=job.version.name,
        as_of=job.version.as_of,
        code_version=job.code_version,
        purpose=profile.purpose,
        disclosures=(
            *disclosures(profile),
            *(check.names_line() for check in job.gates if check.left_out),
        ),
        gates=job.gates,
        panel=panel_facts(
            fitted.panel, len(fitted.ready.trial_panel), fitted.ready.group_sessions, job.gates
        ),
        trials=tried.results,
        chosen=tried.chosen.name,
        params=fitted.fit.params,
        trees=fitted.fit.trees,
        score=fitted.score,
        overfitting=judge_overfitting(tried, fitted.score, blocks),
        controls=fitted.controls,
        parity=parity,
        files=files,
    )


def _log_controls(
    job: Job, log: TrialLog, controls: tuple[ControlResult, ...], tried: Tried
) -> None:
    for control in controls:
        params = {**tried.chosen.params, "repeats": len(control.ics)}
        log.log(control.name, "control", params, {"ic": control.ic}, {"model_id": job.model_id})


def _log_chosen(job: Job, log: TrialLog, fitted: Fitted) -> None:
    params = {**fitted.tried.chosen.params, "trees": fitted.fit.trees}
    tags = {"model_id": job.model_id, "version": job.version.name}
    log.log(fitted.tried.chosen.name, "chosen", params, score_metrics(fitted.score), tags)
