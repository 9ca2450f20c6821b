"""Kills, concurrent runs, corruption and refusals in the alpha cycle."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models_ml.registry.store import point_latest
from optimize.inputs.pinned_model import pin_model
from optimize.portfolio.preopt import REGIME_FILE
from optimize.sleeve import risk_steps, selection_steps
from optimize.sleeve import run as alpha
from optimize.sleeve.run import is_finished
from optimize.sleeve.tamper_check import validate_sealed_run
from optimize.sleeve.validation import REQUIRED, validate_atomic_run
from tests.support.alpha_lakes import CLOCK, make_model, record_files
from tests.support.runs import load, publish, run, small_lake, tree_hashes, without_drawing
from trademl.cli.alpha import alpha_command, model_folder
from trademl.cli.stage import stage_group
from trademl.cli.validate import validate_command
from trademl.errors import ConfigError, DataError, GateFailed, LookaheadError, TradeMLError
from trademl.files import sha256_of_file
from trademl.lake.versions import find_version
from trademl.network_guard import NetworkForbidden
from trademl.runs.ledger import read, record_hash
from trademl.runs.workspace import run_lock

pytestmark = pytest.mark.usefixtures("no_drawing")


class Killed(BaseException):
    """Stands in for a process that dies: nothing in the program may catch it."""


@pytest.fixture(scope="module")
def lake_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    publish(folder, small_lake())
    return folder


@pytest.fixture
def data_dir(lake_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(lake_dir, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def reference(lake_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("reference") / "data"
    shutil.copytree(lake_dir, folder, symlinks=True)
    return run(folder, "R1").root


@pytest.fixture(scope="module")
def sealed_dir(lake_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a finished run, to be copied."""
    folder = tmp_path_factory.mktemp("sealed") / "data"
    shutil.copytree(lake_dir, folder, symlinks=True)
    run(folder, "R1")
    return folder


STEPS: list[tuple[object, str]] = [
    (alpha, "take_snapshot"),
    (selection_steps, "build_matrix"),
    (selection_steps, "select"),
    (selection_steps, "synthesize"),
    (risk_steps, "build_portfolios"),
    (alpha, "render_report"),
    (alpha, "validate_atomic_run"),
    (alpha, "publish_workspace"),
]


@pytest.mark.parametrize("step", STEPS, ids=[name for _, name in STEPS])
def test_a_kill_leaves_nothing_half_visible_and_a_rerun_completes(
    data_dir: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]
) -> None:
    def die(*_args: object, **_options: object) -> None:
        raise Killed

    published = tree_hashes(data_dir / "lakehouse")
    module, name = step
    with monkeypatch.context() as patch:
        patch.setattr(module, name, die)
        with pytest.raises(Killed):
            run(data_dir, "R1")
    assert not (data_dir / "runs" / "R1").exists()
    assert is_finished(run(data_dir, "R1").root)
    for name in ("portfolio_optimized_v2.json", "portfolio_flattened.json"):
        again = data_dir / "runs" / "R1" / "data" / name
        assert again.read_bytes() == (reference / "data" / name).read_bytes()
    assert tree_hashes(data_dir / "lakehouse") == published
    assert not list((data_dir / "runs").glob(".*.tmp"))


def _run_in_process(data_dir: Path, run_id: str, profile: str) -> None:
    with without_drawing():
        run(data_dir, run_id, profile)


@pytest.mark.parametrize("seconds", [0.6, 1.1, 1.6])
def test_a_real_kill_at_any_moment_is_survived(data_dir: Path, seconds: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=_run_in_process, args=(data_dir, "R1", "us_equities_long"))
    child.start()
    child.join(seconds)
    if child.is_alive() and child.pid is not None:
        os.kill(child.pid, signal.SIGKILL)
    child.join()
    root = data_dir / "runs" / "R1"
    assert not root.exists() or is_finished(root)
    assert is_finished(run(data_dir, "R1").root)


def test_two_runs_at_once_share_no_written_path(data_dir: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    jobs = {"RA": "us_equities_long", "RB": "us_equities_short"}
    children = [
        spawn.Process(target=_run_in_process, args=(data_dir, run_id, profile))
        for run_id, profile in jobs.items()
    ]
    published = tree_hashes(data_dir / "lakehouse")
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert tree_hashes(data_dir / "lakehouse") == published
    for run_id, profile in jobs.items():
        before = tree_hashes(data_dir / "runs" / run_id)
        assert tree_hashes(run(data_dir, run_id, profile).root) == before


def test_one_run_id_is_one_process(data_dir: Path) -> None:
    with run_lock(data_dir, "R1"), pytest.raises(DataError, match="another process"):
        run(data_dir, "R1")


def dial() -> None:
    with socket.socket() as link:
        link.connect(("127.0.0.1", 9))


def dial_and_hide_it() -> None:
    try:
        dial()
    except Exception:
        return


@pytest.mark.parametrize("attempt", [dial, dial_and_hide_it])
def test_a_connection_attempt_anywhere_in_the_run_fails_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], None]
) -> None:
    original = selection_steps.infer

    def infer_online(*args: object, **options: object) -> object:
        attempt()
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(selection_steps, "infer", infer_online)
    with pytest.raises(NetworkForbidden):
        run(data_dir, "R1")
    assert not is_finished(data_dir / "runs" / "R1")


def test_a_corrupt_synthetic_cell_stops_the_run_before_optimization(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = selection_steps.synthesize

    def corrupt(*args: object) -> np.ndarray:
        streams = np.array(original(*args))  # type: ignore[arg-type]
        streams[17, 2] += 1e-16 + abs(streams[17, 2]) * 2**-52
        return streams

    monkeypatch.setattr(selection_steps, "synthesize", corrupt)
    with pytest.raises(GateFailed, match="SIGNTEST_SHORT_NOT_INVERTED"):
        run(data_dir, "R1", "us_equities_short")
    root = data_dir / "runs" / "R1"
    found = load(root, "data/directional_sign_test_pre_opt.json")
    assert found["errors"] >= 1
    assert found["findings"][0]["code"] == "SIGNTEST_SHORT_NOT_INVERTED"
    assert not (root / "data/portfolio_optimized_v2.json").exists()
    assert read(root / "audit.jsonl")[-1]["status"] == "failure"


def test_an_uninverted_short_stops_the_run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_steps, "synthesize", lambda values, _directions: values)
    with pytest.raises(GateFailed, match="SIGNTEST_SHORT_NOT_INVERTED"):
        run(data_dir, "R1", "us_equities_short")


def test_a_short_that_the_optimizer_did_not_normalize_stops_the_run(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = risk_steps._assets

    def as_short(*args: object) -> list[dict[str, object]]:
        rows = original(*args)  # type: ignore[arg-type]
        return [{**row, "Direction": "SHORT"} for row in rows]

    monkeypatch.setattr(risk_steps, "_assets", as_short)
    with pytest.raises(GateFailed, match="SIGNTEST_OPTIMIZER_NOT_NORMALIZED"):
        run(data_dir, "R1", "us_equities_short")
    assert load(data_dir / "runs" / "R1", "data/directional_sign_test.json")["errors"] >= 1


def test_optimize_refuses_without_the_files_of_preopt(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = risk_steps.optimize

    def lose_regime(found_run: object, selected: object) -> object:
        (found_run.data / REGIME_FILE).unlink()  # type: ignore[attr-defined]
        return original(found_run, selected)  # type: ignore[arg-type]

    monkeypatch.setattr(risk_steps, "optimize", lose_regime)
    with pytest.raises(GateFailed, match=r"PREOPT_MISSING.*regime\.json"):
        run(data_dir, "R1")


def test_different_weights_from_the_same_inputs_are_an_alarm(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(data_dir, "R1")
    before = tree_hashes(first.root)
    original = risk_steps.flatten

    def nudged(*args: object) -> object:
        flattened = original(*args)  # type: ignore[arg-type]
        flattened["hrp"]["assets"][0]["Net_Weight"] += 1e-15
        return flattened

    monkeypatch.setattr(risk_steps, "flatten", nudged)
    with pytest.raises(GateFailed, match=r"NOT_REPRODUCIBLE.*portfolio_flattened\.json"):
        run(data_dir, "R1")
    assert tree_hashes(first.root) == before


def test_a_lost_data_file_is_one_line_and_keeps_the_finished_run(data_dir: Path) -> None:
    first = run(data_dir, "R1")
    before = tree_hashes(first.root)
    for path in (data_dir / "lakehouse" / "data").rglob("*.parquet"):
        if "returns_matrix" in str(path):
            path.unlink()
    with pytest.raises(DataError) as caught:
        run(data_dir, "R1")
    assert "\n" not in str(caught.value)
    assert tree_hashes(first.root) == before


@pytest.mark.parametrize("name", ["audit.jsonl", "returns_matrix.parquet", "report.html"])
def test_a_full_disk_is_one_line_and_a_later_rerun_completes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    original = os.fsync

    def full(descriptor: int) -> None:
        if name in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="cannot be written: No space left on device"):
            run(data_dir, "R1")
    assert not (data_dir / "runs" / "R1").exists()
    assert is_finished(run(data_dir, "R1").root)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder of runs should be")
    with pytest.raises(DataError, match="cannot write under"):
        run(tmp_path, "R1")


def test_a_tampered_model_is_refused(data_dir: Path) -> None:
    folder = data_dir / "models" / "equities_xs" / "m1"
    report = json.loads((folder / "report.json").read_text())
    report["files"] |= {"model.txt": "0" * 64}
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(DataError, match="has changed since training"):
        pin_model(folder)


def test_a_model_of_other_features_is_refused(data_dir: Path) -> None:
    folder = data_dir / "models" / "equities_xs" / "m1"
    (folder / "feature_list.json").write_text('["feat_mom_20", "feat_moon_phase"]')
    record_files(folder)
    with pytest.raises(DataError, match="feat_moon_phase"):
        run(data_dir, "R1")
    (folder / "feature_list.json").write_text('["feat_mom_20"]')
    record_files(folder)
    with pytest.raises(DataError, match="takes 2 features, its list names 1"):
        run(data_dir, "R1")
    (folder / "feature_list.json").write_text('["feat_rv_20", "feat_mom_20"]')
    record_files(folder)
    with pytest.raises(DataError, match="names its features otherwise than its list"):
        run(data_dir, "R1")


def test_a_model_without_the_record_of_its_training_is_refused(data_dir: Path) -> None:
    folder = data_dir / "models" / "equities_xs" / "m1"
    complete = json.loads((folder / "report.json").read_text())
    for key, said in (("files", r"no hash of model\.txt"), ("as_of", "does not say as of when")):
        report = {name: value for name, value in complete.items() if name != key}
        (folder / "report.json").write_text(json.dumps(report))
        with pytest.raises(DataError, match=said):
            run(data_dir, "R1")
    (folder / "report.json").unlink()
    with pytest.raises(DataError, match=r"has no report\.json"):
        run(data_dir, "R1")


def test_nothing_later_than_the_run_is_taken(data_dir: Path) -> None:
    """Neither a model that saw the run's future, nor a version that was built after its clock."""
    later = make_model(data_dir / "models" / "equities_xs" / "m2", as_of=CLOCK + timedelta(hours=1))
    with pytest.raises(LookaheadError, match="model m2 was trained as of 2020-12-31T14:00:00Z"):
        run(data_dir, "R1", model=later, clock=CLOCK + timedelta(hours=2))
    with pytest.raises(LookaheadError, match=r"version v\d+ is as of 2020-12-31T13:00:00Z, after"):
        run(data_dir, "R1", clock=CLOCK - timedelta(seconds=1))
    assert not (data_dir / "runs" / "R1").exists()


def test_the_default_model_is_the_newest_that_the_version_may_use(data_dir: Path) -> None:
    home, version = data_dir / "models" / "equities_xs", find_version(data_dir)
    older = make_model(home / "m0", as_of=CLOCK - timedelta(days=30))
    point_latest(data_dir, "equities_xs", "m0")
    assert model_folder(data_dir, "equities_xs", None, version) == older
    make_model(home / "m2", as_of=CLOCK + timedelta(hours=1))
    point_latest(data_dir, "equities_xs", "m2")
    assert model_folder(data_dir, "equities_xs", None, version) == home / "m1"
    make_model(home / "m3")
    with pytest.raises(ConfigError, match="models m1, m3 of 'equities_xs' are equally new"):
        model_folder(data_dir, "equities_xs", None, version)
    for name in ("m0", "m1", "m3"):
        shutil.rmtree(home / name)
    assert model_folder(data_dir, "equities_xs", None, version) is None


def cli(command: object, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, arguments)  # type: ignore[arg-type]
    if isinstance(result.exception, TradeMLError) and result.exception.exit_code == 1:
        return 1, f"{result.output}{result.exception}"
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def codes(root: Path) -> set[str]:
    return {item.code for item in validate_atomic_run(root, "R1").failures}


def test_validate_passes_a_clean_run_and_names_every_missing_artifact(data_dir: Path) -> None:
    root = run(data_dir, "R1").root
    arguments = ("--run-id", "R1", "--data", str(data_dir))
    code, output = cli(validate_command, *arguments)
    assert code == 0
    assert "FAIL" not in output
    expected = dict.fromkeys(REQUIRED.values(), "ATOMIC_MISSING_ARTIFACTS")
    expected |= {
        "data/directional_sign_test_pre_opt.json": "ATOMIC_SIGN_TEST_PRE_MISSING",
        "data/directional_sign_test.json": "ATOMIC_SIGN_TEST_POST_MISSING",
        "data/antifragility_stats.json": "ATOMIC_MISSING_OUTPUT",
        "reports/report.html": "ATOMIC_MISSING_OUTPUT",
    }
    for name, code_of_name in expected.items():
        content = (root / name).read_bytes()
        (root / name).unlink()
        failed = validate_atomic_run(root, "R1").failures
        assert code_of_name in {item.code for item in failed}, name
        assert any(Path(name).name in item.message for item in failed)
        exit_code, output = cli(validate_command, *arguments)
        assert exit_code == 1
        assert code_of_name in output
        (root / name).write_bytes(content)
    assert cli(validate_command, *arguments)[0] == 0


def test_validate_sees_what_is_broken_rather_than_missing(data_dir: Path) -> None:
    root = run(data_dir, "R1").root
    damage = {
        "data/directional_sign_test.json": (
            '{"errors": 2, "checked_atoms": 15}',
            "SIGN_TEST_POST_FAIL",
        ),
        "data/directional_sign_test_pre_opt.json": ("{", "SIGN_TEST_PRE_PARSE"),
        "data/returns_matrix.parquet": ("PAR1", "RETURNS_PARSE"),
        "data/portfolio_optimized_v2.json": ('{"profiles": {"hrp": {"assets": []}}}', "EMPTY_HRP"),
        "data/portfolio_flattened.json": ('{"profiles": {}}', "EMPTY_FLATTENED"),
        "config/resolved_manifest.json": ("[]", "MANIFEST_PARSE"),
        "audit.jsonl": ("{}\n", "LEDGER_BROKEN"),
    }
    for name, (text, code) in damage.items():
        content = (root / name).read_bytes()
        (root / name).write_text(text)
        assert f"ATOMIC_{code}" in codes(root), name
        (root / name).write_bytes(content)
    assert codes(root) == set()


def test_validate_sees_a_changed_weight(data_dir: Path) -> None:
    root = run(data_dir, "R1").root
    path = root / "data/portfolio_optimized_v2.json"
    content = json.loads(path.read_text())
    content["profiles"]["hrp"]["assets"][0]["Weight"] += 0.01
    content["profiles"]["hrp"]["clusters"][0]["Gross_Weight"] = 0.9
    path.write_text(json.dumps(content))
    assert codes(root) == {"ATOMIC_ARTIFACT_CHANGED", "ATOMIC_BAD_WEIGHT_SUM", "ATOMIC_CLUSTER_CAP"}


def drop_the_end_of_the_ledger(data_dir: Path) -> None:
    path = data_dir / "runs/R1/audit.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))


def keep_the_genesis_alone(data_dir: Path) -> None:
    path = data_dir / "runs/R1/audit.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    rename_a_winner(data_dir)


def rename_a_winner(data_dir: Path) -> None:
    path = data_dir / "runs/R1/data/portfolio_flattened.json"
    content = json.loads(path.read_text())
    content["profiles"]["hrp"]["assets"][0]["Symbol"] = "EVIL"
    path.write_text(json.dumps(content))


def write_the_whole_chain_anew(data_dir: Path) -> None:
    """Everything that lies in the run's folder agrees again."""
    rename_a_winner(data_dir)
    root, previous = data_dir / "runs/R1", "0" * 64
    records = read(root / "audit.jsonl")
    for record in records:
        hashes = record.get("outcome", {}).get("output_hashes", {})
        hashes |= {name: sha256_of_file(root / name) for name in hashes}
        record["prev_hash"] = previous
        record["hash"] = previous = record_hash(record)
    (root / "audit.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))


def change_a_data_file(data_dir: Path) -> None:
    path = next((data_dir / "lakehouse/data").rglob("*returns_matrix*/*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


TAMPERED: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "dropped end": (drop_the_end_of_the_ledger, {"UNFINISHED", "UNRECORDED", "HEAD_CHANGED"}),
    "genesis alone": (keep_the_genesis_alone, {"UNFINISHED", "UNRECORDED", "HEAD_CHANGED"}),
    "renamed winner": (rename_a_winner, {"ARTIFACT_CHANGED"}),
    "new chain": (write_the_whole_chain_anew, {"HEAD_CHANGED"}),
    "data file": (change_a_data_file, {"DATA_CHANGED"}),
    "model": (
        lambda data_dir: (data_dir / "runs/R1/config/model/model.txt").write_text("x"),
        {"ARTIFACT_CHANGED"},
    ),
    "front page": (
        lambda data_dir: (data_dir / "runs/R1/INDEX.md").write_text("x"),
        {"ARTIFACT_CHANGED"},
    ),
    "added file": (
        lambda data_dir: (data_dir / "runs/R1/data/weights/more.csv").write_text("x"),
        {"UNRECORDED"},
    ),
    "no head": (
        lambda data_dir: (data_dir / "snapshots/R1/ledger_head.json").unlink(),
        {"HEAD_MISSING"},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_validate_sees_tampering(sealed_dir: Path, tmp_path: Path, what: str) -> None:
    data_dir = tmp_path / "sealed"
    shutil.copytree(sealed_dir, data_dir, symlinks=True)
    tamper, expected = TAMPERED[what]
    tamper(data_dir)
    result = validate_sealed_run(data_dir / "runs" / "R1", data_dir, "R1")
    assert {item.code for item in result.failures} == {f"ATOMIC_{code}" for code in expected}
    assert cli(validate_command, "--run-id", "R1", "--data", str(data_dir))[0] == 1


def test_validate_passes_what_nobody_touched_also_twice(sealed_dir: Path) -> None:
    for _ in range(2):
        assert cli(validate_command, "--run-id", "R1", "--data", str(sealed_dir))[0] == 0


def test_a_failed_repeat_keeps_the_head_of_the_finished_run(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data_dir, "R1")
    with monkeypatch.context() as patch:
        patch.setattr(selection_steps, "synthesize", lambda values, _directions: -values)
        with pytest.raises(GateFailed):
            run(data_dir, "R1")
    assert not validate_sealed_run(data_dir / "runs" / "R1", data_dir, "R1").failures


def test_the_calendar_of_a_run_must_be_its_market_s(data_dir: Path) -> None:
    equities, crypto = run(data_dir, "R1").root, run(data_dir, "R2", "crypto_long").root
    for root, other in ((equities, crypto), (crypto, equities)):
        target, source = root / "data/returns_matrix.parquet", other / "data/returns_matrix.parquet"
        content = target.read_bytes()
        target.write_bytes(source.read_bytes())
        assert "ATOMIC_CALENDAR" in codes(root)
        target.write_bytes(content)
        assert "ATOMIC_CALENDAR" not in codes(root)


def test_the_commands(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEML_CLOCK", raising=False)
    base = ("--data", str(data_dir))
    started = ("--run-id", "R1", "--model-id", "m1", "--clock", CLOCK.isoformat())
    code, output = cli(alpha_command, *started, *base)
    assert code == 0
    assert "pass  Fresh data: session 2020-12-30" in output
    assert str(data_dir / "runs" / "R1" / "reports" / "report.html") in output
    before = tree_hashes(data_dir / "runs" / "R1")
    # A run id stays with its clock, version and model: repeating it needs no further options.
    assert cli(alpha_command, "--run-id", "R1", *base)[0] == 0
    assert tree_hashes(data_dir / "runs" / "R1") == before
    with pytest.raises(ConfigError, match="'R9' is not a run"):
        cli(validate_command, "--run-id", "R9", *base)
    with pytest.raises(ConfigError, match="not allowed"):
        cli(alpha_command, "--run-id", "../R", *base)
    with pytest.raises(ConfigError, match="'m9' is not a trained model"):
        cli(alpha_command, "--run-id", "R2", "--model-id", "m9", *base)
    with pytest.raises(ConfigError, match="ranks without a model"):
        cli(alpha_command, "--run-id", "R2", "--profile", "crypto_long", "--model-id", "m1", *base)
    with pytest.raises(DataError, match="needs model 'equities_xs'"):
        cli(alpha_command, "--run-id", "R2", *base)
    with pytest.raises(ConfigError, match="not an ISO 8601"):
        cli(alpha_command, "--run-id", "R2", "--clock", "yesterday", *base)


def test_the_stage_list_prints_layers_ids_and_contracts() -> None:
    code, output = cli(stage_group, "list")
    assert code == 0
    for said in ("L0 Foundation", "L4 Risk Allocation", "alpha.synthesis", "SyntheticMatrix"):
        assert said in output
    code, output = cli(stage_group, "show", "selection.inference")
    assert "deprecated: use alpha.inference" in output


def test_a_broken_model_file_is_one_line(data_dir: Path) -> None:
    folder = data_dir / "models" / "equities_xs" / "m1"
    (folder / "model.txt").write_text("tree\nversion=v4\n")
    record_files(folder)
    with pytest.raises(DataError, match="cannot score") as caught:
        run(data_dir, "R1")
    assert "\n" not in str(caught.value)
