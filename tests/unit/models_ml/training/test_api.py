"""One training from the published lake to the artifacts, and what it refuses."""

import json
import pickle
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import lightgbm as lgb
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from models_ml.profile import TrainingProfile
from models_ml.registry import writer
from models_ml.registry.model_card import summary
from models_ml.registry.store import latest_model_id, load_model, load_report, model_dir, models_dir
from models_ml.training import pipeline
from models_ml.training.api import code_version, train
from models_ml.validation.negative_controls import KINDS
from tests.support.training_lakes import (
    GATED,
    Size,
    as_of,
    by_name,
    gates,
    ledger,
    market,
    publish,
    weekdays,
)
from tests.support.trainings import Trained
from trademl.errors import ConfigError, DataError, GateFailed
from trademl.files import sha256_of_file
from trademl.quant.deflated_sharpe import deflated_sharpe_ratio

ARTIFACTS = {
    "model.txt",
    "model.pkl",
    "model.onnx",
    "feature_list.json",
    "training_cfg.json",
    "oof_predictions.parquet",
    "report.json",
}


def folder_of(trained: Trained) -> Path:
    return model_dir(trained.data_dir, "equities_xs", trained.report.model_id)


def retrain(trained: Trained, profile: TrainingProfile, again: bool = False) -> str:
    report = train(
        "equities_xs",
        data_dir=trained.data_dir,
        version=trained.version,
        profile=profile,
        again=again,
    )
    return report.model_id


def short(profile: TrainingProfile, **changes: object) -> TrainingProfile:
    """A profile that trains in a few seconds and learns next to nothing."""
    quick = replace(
        profile,
        trees=3,
        trials=replace(profile.trials, trees=1),
        controls=replace(profile.controls, repeats=1, on_failure="report"),
    )
    return replace(quick, **changes)  # type: ignore[arg-type]


def refusing(profile: TrainingProfile) -> TrainingProfile:
    return replace(profile, controls=replace(profile.controls, on_failure="refuse"))


def test_planted_signal_is_found_out_of_fold(trained: Trained) -> None:
    score = trained.report.score
    assert score.ic > 0.02
    assert score.ic_t > 3
    assert len(score.path_sharpe_ann) == 7
    assert min(score.path_sharpe_ann) > 0.5
    assert score.gross_sharpe_ann > score.sharpe_ann > score.double_cost_sharpe_ann
    assert -1 < score.max_drawdown < 0


def test_an_honest_signal_passes_every_control(trained: Trained) -> None:
    controls = {control.name: control for control in trained.report.controls}
    assert list(controls) == list(KINDS)
    assert all(control.passed for control in controls.values())
    assert abs(controls["shuffled_labels"].ic) < 0.02
    assert abs(controls["shifted_labels"].ic) < 0.02
    assert controls["lagged_features"].ic > 0.5 * controls["plausible_ic"].ic > 0.01
    for name, control in controls.items():
        assert (control.sees, control.blind_to) == (KINDS[name].sees, KINDS[name].blind_to)


def test_every_configuration_is_logged_and_counted(trained: Trained) -> None:
    with sqlite3.connect(models_dir(trained.data_dir) / "mlflow.db") as store:
        kinds = dict(
            store.execute("select value, count(*) from tags where key = 'kind' group by value")
        )
        names = {row[0] for row in store.execute("select name from runs")}
        logged = store.execute(
            "select m.value from metrics m join runs r using (run_uuid) "
            "where m.key = 'sharpe_ann' and r.name = ? order by r.start_time",
            [trained.report.trials[3].name],
        ).fetchall()
    store.close()
    assert (kinds["trial"], kinds["control"], kinds["chosen"]) == (8, 6, 1)
    assert {trial.name for trial in trained.profile.trials.grid} <= names
    assert logged[0][0] == pytest.approx(trained.report.trials[3].score.sharpe_ann)
    assert trained.report.overfitting.n_trials == 8


def test_the_best_median_path_sharpe_is_chosen(trained: Trained) -> None:
    best = max(trained.report.trials, key=lambda trial: trial.score.sharpe_ann)
    assert trained.report.chosen == best.name
    assert best.params.items() <= trained.report.params.items()
    assert trained.report.trees == trained.profile.trees


def test_overfitting_is_judged_over_the_trials(trained: Trained) -> None:
    luck = trained.report.overfitting
    sharpes = [trial.score.sharpe for trial in trained.report.trials]
    assert luck.trials_sharpe_variance == pytest.approx(np.var(sharpes, ddof=1))
    assert luck.excess_sharpe == pytest.approx(
        trained.report.score.sharpe - luck.expected_max_sharpe
    )
    assert 0 <= luck.dsr <= 1
    score = trained.report.score
    assert luck.effective_periods == score.effective_periods
    assert luck.dsr == pytest.approx(
        deflated_sharpe_ratio(
            score.sharpe,
            luck.effective_periods,
            8,
            luck.trials_sharpe_variance,
            score.skew,
            score.kurtosis,
        )
    )
    assert luck.pbo is not None
    assert 0 <= luck.pbo <= 1


def test_the_artifacts_are_complete_and_hashed(trained: Trained) -> None:
    folder = folder_of(trained)
    assert {path.name for path in folder.iterdir()} == ARTIFACTS
    hashes = {path.name: sha256_of_file(path) for path in folder.iterdir()}
    assert trained.report.files == {k: v for k, v in hashes.items() if k != "report.json"}
    config = json.loads((folder / "training_cfg.json").read_text())
    assert config["profile"]["weights"]["half_life_months"] == 18.0
    assert config["params"]["deterministic"] is True
    assert latest_model_id(trained.data_dir, "equities_xs") == trained.report.model_id


def test_the_report_reads_back_and_says_what_was_less_than_the_standard(trained: Trained) -> None:
    assert load_report(trained.data_dir, "equities_xs") == trained.report
    content = json.loads((folder_of(trained) / "report.json").read_text())
    assert [gate["passed"] for gate in content["gates"]] == [True] * 3
    assert [control["passed"] for control in content["controls"]] == [True] * 6
    assert content["panel"]["label_endings"] == {"horizon": content["panel"]["rows"]}
    text = "\n".join(summary(trained.report))
    assert f"labels by end: horizon {trained.report.panel.rows}" in text
    assert "shorts pay 2.0% a year to borrow" in text
    assert "trials have 20 trees, fewer than the standard 200" in text
    assert "PBO 0." in text
    assert any(line.startswith("gate curated/equities_ohlcv_adj: 1.0000") for line in trained.lines)


def test_out_of_fold_predictions_cover_every_row_seven_times(trained: Trained) -> None:
    table = pq.read_table(folder_of(trained) / "oof_predictions.parquet")
    assert table.num_rows == trained.report.panel.rows == 40 * (1300 - 10 - 5)
    assert set(table["n_splits"].to_pylist()) == {7}
    assert table["prediction"].null_count == 0
    prediction, actual = (table[name].to_numpy() for name in ("prediction", "ret_rel"))
    assert 0.02 < np.corrcoef(prediction, actual)[0, 1] < 0.3
    keys = table.select(["security_id", "session_date"]).to_pylist()[:41]
    assert [key["security_id"] for key in keys[:3]] == ["S0000", "S0001", "S0002"]
    assert keys[40]["session_date"] > keys[39]["session_date"]


def test_the_model_file_alone_predicts_like_the_registry(trained: Trained) -> None:
    model = load_model(trained.data_dir, "equities_xs")
    features = json.loads((folder_of(trained) / "feature_list.json").read_text())
    assert features == ["feat_mom_5", "feat_rv_20", *(f"feat_sector_{i}" for i in range(4))]
    rows = np.random.default_rng(0).uniform(-1, 1, (500, 6)).astype(np.float32)
    rows[::9, 2] = np.nan
    scores = model.predict(rows)
    assert scores.dtype == np.float64
    assert np.array_equal(scores, lgb.Booster(model_file=model.path).predict(rows))
    pickled = pickle.loads((folder_of(trained) / "model.pkl").read_bytes())
    assert np.array_equal(scores, pickled.predict(rows))
    assert model.sha256 == sha256_of_file(model.path)
    assert model.feature_list == tuple(features)
    assert np.corrcoef(scores, rows[:, 0])[0, 1] > 0.5


def test_onnx_agrees_with_lightgbm_also_on_missing_values(trained: Trained) -> None:
    parity = trained.report.parity
    assert parity.rows == 20_000
    assert parity.max_difference < 1e-5
    assert parity.share_beyond_1e5 == 0
    rows = np.random.default_rng(1).uniform(-1, 1, (2000, 6)).astype(np.float32)
    rows[::3, 1] = np.nan
    session = onnxruntime.InferenceSession(folder_of(trained) / "model.onnx")
    scored = np.asarray(session.run(None, {"features": rows})[0]).ravel()
    expected = load_model(trained.data_dir, "equities_xs").predict(rows)
    assert np.abs(scored - expected).max() < 1e-5
    assert np.ptp(expected) > 0.01


def test_wrong_matrices_are_refused(trained: Trained) -> None:
    model = load_model(trained.data_dir, "equities_xs")
    with pytest.raises(DataError, match=r"takes 6 features per row, got shape \(3, 5\)"):
        model.predict(np.zeros((3, 5), dtype=np.float32))
    with pytest.raises(DataError, match="float32, got float64"):
        model.predict(np.zeros((3, 6)))  # type: ignore[arg-type]


def test_the_same_inputs_train_nothing_twice(
    trained: Trained, profile: TrainingProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_nothing(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("models_ml.training.api.fit_and_publish", fit_nothing)
    assert retrain(trained, profile) == trained.report.model_id
    with pytest.raises(AssertionError, match="fitted again"):
        retrain(trained, replace(profile, seed=43))


def test_training_again_gives_the_same_bytes(trained: Trained, profile: TrainingProfile) -> None:
    quick = short(profile)
    model_id = retrain(trained, quick)
    assert model_id != trained.report.model_id
    path = model_dir(trained.data_dir, "equities_xs", model_id) / "model.txt"
    before = path.stat().st_ino, sha256_of_file(path)
    assert retrain(trained, replace(quick, threads=1), again=True) != ""
    assert retrain(trained, quick, again=True) == model_id
    assert (path.stat().st_ino, sha256_of_file(path)) == before
    other = model_dir(trained.data_dir, "equities_xs", retrain(trained, replace(quick, threads=1)))
    assert sha256_of_file(other / "model.txt") == before[1]


def stage_text(final: Path, text: str) -> None:
    with writer.staged_folder(final) as folder:
        (folder / "model.txt").write_text(text)


def test_other_bytes_from_the_same_inputs_are_an_error(tmp_path: Path) -> None:
    final = tmp_path / "abc"
    stage_text(final, "one")
    with pytest.raises(DataError, match=r"gave another model\.txt"):
        stage_text(final, "two")
    assert (final / "model.txt").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["abc"]


def test_a_training_that_dies_leaves_nothing_half_visible(
    trained: Trained, profile: TrainingProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = models_dir(trained.data_dir) / "equities_xs"
    before = sorted(path.name for path in models.iterdir())
    latest = latest_model_id(trained.data_dir, "equities_xs")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    quick = short(profile, seed=7)
    monkeypatch.setattr(pipeline.writer, "write_onnx", killed)
    with pytest.raises(KeyboardInterrupt):
        retrain(trained, quick)
    assert sorted(path.name for path in models.iterdir()) == before
    assert latest_model_id(trained.data_dir, "equities_xs") == latest
    assert load_model(trained.data_dir, "equities_xs").model_id == latest


def test_what_a_killed_process_left_behind_is_no_model_and_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".abc.tmp"
    left.mkdir()
    (left / "model.pkl").write_text("half")
    with writer.staged_folder(tmp_path / "abc") as folder:
        (folder / "model.txt").write_text("whole")
    assert [path.name for path in (tmp_path / "abc").iterdir()] == ["model.txt"]
    assert not left.exists()


def test_a_changed_model_file_is_not_used(trained: Trained, tmp_path: Path) -> None:
    copy = model_dir(tmp_path, "equities_xs", trained.report.model_id)
    copy.mkdir(parents=True)
    for name in ("report.json", "feature_list.json"):
        (copy / name).write_bytes((folder_of(trained) / name).read_bytes())
    (copy / "model.txt").write_text((folder_of(trained) / "model.txt").read_text() + " ")
    with pytest.raises(DataError, match="changed since training"):
        load_model(tmp_path, "equities_xs", trained.report.model_id)


def test_a_model_that_was_never_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="never trained: run `trademl train equities_xs`"):
        load_model(tmp_path, "equities_xs")
    with pytest.raises(DataError, match="no readable report"):
        load_model(tmp_path, "equities_xs", "unknown")


def test_one_training_at_a_time(trained: Trained, profile: TrainingProfile) -> None:
    lock = FileLock(models_dir(trained.data_dir) / "equities_xs" / ".lock")
    with lock, pytest.raises(DataError, match="another training of equities_xs is running"):
        retrain(trained, profile)


def test_a_data_directory_that_takes_no_model_is_one_clear_line(
    trained: Trained, profile: TrainingProfile, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be written under .*models/equities_xs: "):
        train("equities_xs", data_dir=tmp_path, version=trained.version, profile=profile)


def test_a_profile_of_another_model_is_refused(trained: Trained, profile: TrainingProfile) -> None:
    with pytest.raises(ConfigError, match="trains 'equities_xs', not 'options_vol'"):
        train("options_vol", data_dir=trained.data_dir, version=trained.version, profile=profile)


def test_not_green_trains_nothing(tmp_path: Path, profile: TrainingProfile) -> None:
    size = Size(symbols=2, sessions=1000)
    status = ledger(weekdays(1000), {GATED[0]: 0.979})
    version = publish(tmp_path, size, ledger=status, gates=gates(3.83))
    with pytest.raises(GateFailed, match=r"curated/equities_ohlcv_adj: 0\.9790"):
        train("equities_xs", data_dir=tmp_path, version=version, profile=profile)
    assert [path.name for path in (tmp_path / "models" / "equities_xs").iterdir()] == [".lock"]


def test_a_dirty_market_trains_without_the_names_that_are_not_green(
    tmp_path: Path, profile: TrainingProfile
) -> None:
    size = Size(symbols=20, sessions=1100)
    names = {f"S{i:04d}": 0 for i in range(20)} | {"S0004": 330, "S0011": 30}
    version = publish(tmp_path, size, ledger=by_name(weekdays(1100), names), gates=gates(4.0))
    lines: list[str] = []
    report = train(
        "equities_xs",
        data_dir=tmp_path,
        version=version,
        profile=short(profile),
        progress=lines.append,
    )
    told = (
        "2 of 20 names leave the training universe, below 0.98 GREEN in "
        "curated/equities_ohlcv_adj: S0004 0.6"
    )
    assert any(line.startswith(told) for line in lines)
    assert any(line.startswith(told) for line in report.disclosures)
    assert any(told in line for line in summary(report))
    assert report.panel.securities == 18
    folder = model_dir(tmp_path, "equities_xs", report.model_id)
    trained_on = pq.read_table(folder / "oof_predictions.parquet")["security_id"].to_pylist()
    assert not {"S0004", "S0011"} & set(trained_on)
    content = json.loads((folder / "report.json").read_text())
    assert [name["name"] for name in content["gates"][0]["left_out"]] == ["S0004", "S0011"]
    assert load_report(tmp_path, "equities_xs") == report


def test_green_enough_but_too_short_is_refused(tmp_path: Path, profile: TrainingProfile) -> None:
    status = ledger(weekdays(1000), {GATED[0]: 0.98})
    version = publish(tmp_path, Size(symbols=2, sessions=1000), ledger=status, gates=gates(3.83))
    with pytest.raises(DataError, match="985 sessions have features and labels"):
        train("equities_xs", data_dir=tmp_path, version=version, profile=profile)


def test_a_failing_control_refuses_or_is_reported(
    trained: Trained, profile: TrainingProfile
) -> None:
    impossible = replace(profile.controls, max_abs_ic=1e-9, repeats=1, on_failure="refuse")
    quick = short(profile, seed=11, controls=impossible)
    with pytest.raises(GateFailed, match=r"something leaks: .*shuffled_labels"):
        retrain(trained, quick)
    only = replace(quick, controls=replace(impossible, on_failure="report"))
    report = load_report(trained.data_dir, "equities_xs", retrain(trained, only))
    assert "shuffled_labels" in {c.name for c in report.controls if not c.passed}
    assert "a failing negative control is reported, it does not refuse" in report.disclosures


def test_rows_from_after_as_of_are_refused_by_name(
    tmp_path: Path, profile: TrainingProfile
) -> None:
    """The version says as of when it was built; one of its labels was known a second later."""
    size = Size(symbols=2, sessions=1000)
    labels = market(size).labels
    late = labels["known_at"].to_pylist()
    late[100] = datetime.fromisoformat(as_of(weekdays(1000))) + timedelta(seconds=1)
    labels = labels.set_column(
        labels.column_names.index("known_at"), "known_at", pa.array(late, labels["known_at"].type)
    )
    version = publish(tmp_path, size, labels=labels, gates=gates(3.83))
    with pytest.raises(GateFailed, match=r"panel_truncation: 1 of 1970 rows are from after"):
        train("equities_xs", data_dir=tmp_path, version=version, profile=refusing(profile))
    lines: list[str] = []
    with pytest.raises(DataError, match="985 sessions have"):
        train(
            "equities_xs",
            data_dir=tmp_path,
            version=version,
            profile=profile,
            progress=lines.append,
        )
    assert any(line.startswith("1969 rows of 6 features") for line in lines)


def test_a_feature_that_is_tomorrows_open_is_refused_before_anything_is_tried(
    tmp_path: Path, profile: TrainingProfile
) -> None:
    made = market(Size(symbols=20, sessions=1100))
    opens = made.bars["open"].to_numpy().reshape(1100, 20)
    closes = made.bars["close"].to_numpy().reshape(1100, 20)
    moves = np.vstack([opens[1:] / closes[:-1] - 1, np.zeros((1, 20))])
    features = made.features.set_column(
        made.features.column_names.index("feat_sector_3"),
        "feat_sector_3",
        pa.array(moves.ravel().astype(np.float32)),
    )
    version = publish(tmp_path, Size(symbols=20, sessions=1100), features=features, gates=gates(4))
    with pytest.raises(
        GateFailed, match=r"feature_foresight: rank IC .*feat_sector_3 against the next opening"
    ):
        train("equities_xs", data_dir=tmp_path, version=version, profile=refusing(profile))
    assert not (models_dir(tmp_path) / "mlflow.db").exists()


def test_oof_predictions_join_back_to_the_lake(trained: Trained) -> None:
    """The stacker's join: keys are those of the lake's tables."""
    path = folder_of(trained) / "oof_predictions.parquet"
    found = duckdb.sql(
        f"select count(distinct (security_id, session_date)), min(t0 - session_date) from '{path}'"
    ).fetchone()
    assert found is not None
    assert found[0] == trained.report.panel.rows
    assert found[1] >= 1


@pytest.mark.parametrize("source", ["trials.py", "deflated_sharpe.py"])
def test_a_models_id_covers_all_code_that_decides_it(monkeypatch, source):
    before, read = code_version(), Path.read_bytes
    changed = b"# another rule"
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + changed * (p.name == source))
    assert code_version() != before
