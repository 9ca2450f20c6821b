"""The alpha cycle end to end on a healthy synthetic lake."""

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq
import pytest

from optimize.sleeve import context as run_module
from optimize.sleeve.context import OPTIMIZED_FILE
from optimize.sleeve.report import ReportExtras
from optimize.sleeve.run import AlphaResult
from tests.support.alpha_lakes import CLOCK, make_lake
from tests.support.runs import load, publish, run, tree_hashes
from trademl.errors import ConfigError, DataError
from trademl.runs.ledger import read, verify

PROFILES = ("us_equities_long", "us_equities_short", "crypto_long")
EQUAL_FILES = (OPTIMIZED_FILE, "portfolio_flattened.json", "synthetic_returns.parquet")


@pytest.fixture(scope="module", autouse=True)
def _one_commit() -> Iterator[None]:
    """A commit made while the tests run would rightly change the manifest of a repeated run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "git_commit", lambda _root: "0" * 40)
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    publish(folder, make_lake())
    return folder


@pytest.fixture(scope="module")
def results(data_dir: Path) -> dict[str, AlphaResult]:
    os.environ["APCA_API_SECRET_KEY"] = "PKFAKEsecret1234567890"
    try:
        before = tree_hashes(data_dir / "lakehouse")
        found = {profile: run(data_dir, f"R_{profile}", profile) for profile in PROFILES}
        assert tree_hashes(data_dir / "lakehouse") == before  # the run only reads the lake
    finally:
        del os.environ["APCA_API_SECRET_KEY"]
    return found


def test_weights_are_a_portfolio_of_the_declared_direction(results: dict[str, AlphaResult]) -> None:
    for profile, sign in zip(PROFILES, (1.0, -1.0, 1.0), strict=True):
        weights = np.array([weight for _, weight in results[profile].weights])
        assert weights.size >= 15
        assert (sign * weights >= 0.0).all()
        assert abs(np.abs(weights).sum() - 1.0) < 1e-6


def test_every_gate_passed_with_its_values(results: dict[str, AlphaResult]) -> None:
    for result in results.values():
        assert {gate.status for gate in result.gates} == {"pass"}
        assert all(gate.asked and gate.got for gate in result.gates)


def test_every_json_output_carries_one_lineage(results: dict[str, AlphaResult]) -> None:
    for result in results.values():
        outputs = sorted((result.root / "data").rglob("*.json"))
        assert len(outputs) >= 18
        others = [*(result.root / "config").glob("*.json"), *result.root.rglob("atomic*.json")]
        for path in [*outputs, *others]:
            found = json.loads(path.read_text())
            for key, value in result.lineage.as_dict().items():
                assert found[key] == value, path.name
        for path in (result.root / "data").rglob("*.parquet"):
            metadata = pq.read_metadata(path).metadata
            assert metadata[b"trace_id"].decode() == result.lineage.trace_id
    assert len({result.lineage.trace_id for result in results.values()}) == 3


def test_the_ledger_is_a_whole_chain_in_production_order(results: dict[str, AlphaResult]) -> None:
    for result in results.values():
        verify(result.root / "audit.jsonl")
        done = [
            row["step"]
            for row in read(result.root / "audit.jsonl")
            if row.get("status") == "success"
        ]
        assert done == [
            "foundation.gate",
            "foundation.ingest",
            "foundation.features",
            "alpha.inference",
            "alpha.clustering",
            "alpha.policy",
            "alpha.synthesis",
            "alpha.sign_test",
            "risk.preopt",
            "risk.optimize",
            "alpha.sign_test",
            "risk.flatten",
            "risk.report",
            "risk.audit",
            "risk.validation",
            "risk.analysis",
            "alpha.full",
        ]


def test_repeating_a_run_gives_the_same_bytes(
    data_dir: Path, results: dict[str, AlphaResult]
) -> None:
    """Every file, the ledger and the report included."""
    for profile in PROFILES:
        before = tree_hashes(results[profile].root)
        again = run(data_dir, f"R_{profile}", profile)
        assert tree_hashes(again.root) == before


def test_another_data_directory_with_the_same_rows_gives_the_same_weights(
    tmp_path: Path, results: dict[str, AlphaResult]
) -> None:
    publish(tmp_path, make_lake())
    again = run(tmp_path, "R_us_equities_short", "us_equities_short")
    first = results["us_equities_short"]
    assert again.lineage == first.lineage
    for name in EQUAL_FILES:
        assert (again.root / "data" / name).read_bytes() == (
            first.root / "data" / name
        ).read_bytes()


def test_a_run_id_is_never_reused_for_other_inputs(
    data_dir: Path, results: dict[str, AlphaResult]
) -> None:
    root = results["us_equities_long"].root
    before = tree_hashes(root)
    with pytest.raises(ConfigError, match="exists with profile us_equities_long, asked for crypto"):
        run(data_dir, "R_us_equities_long", "crypto_long")
    with pytest.raises(ConfigError, match="exists with clock"):
        run(data_dir, "R_us_equities_long", clock=CLOCK + timedelta(minutes=1))
    with pytest.raises(ConfigError, match="exists with model_sha256"):
        run(data_dir, "R_us_equities_long", model=_other_model(data_dir))
    assert tree_hashes(root) == before


def _other_model(data_dir: Path) -> Path:
    from tests.support.alpha_lakes import make_model

    return make_model(data_dir / "models" / "equities_xs" / "m2", ("feat_rv_20", "feat_mom_20"))


def test_skipped_steps_are_recorded_and_change_no_weight(
    data_dir: Path, results: dict[str, AlphaResult]
) -> None:
    full = results["us_equities_long"].root
    result = run(data_dir, "R_skip", skip_analysis=True, skip_validation=True)
    skipped = {
        row["step"]: row["reason"]
        for row in read(result.root / "audit.jsonl")
        if row.get("status") == "SKIPPED"
    }
    assert skipped == {
        "risk.validation": "--skip-validation",
        "risk.analysis": "--skip-analysis",
    }
    assert not list((result.root / "plots").iterdir())
    assert list((full / "plots").iterdir())
    for profile in ("hrp", "max_sharpe"):
        name = f"data/weights/{profile}.csv"
        assert (result.root / name).read_bytes() == (full / name).read_bytes()


def test_shorts_are_inverted_and_capped_in_the_file(results: dict[str, AlphaResult]) -> None:
    """On what the solver reads."""
    root = results["us_equities_short"].root
    raw = pq.read_table(root / "data/returns_matrix.parquet")
    streams = pq.read_table(root / "data/synthetic_returns.parquet")
    signs = load(root, "data/synthetic_meta.json")["composition_map"]
    assert len(signs) >= 15
    for atom, parts in signs.items():
        ((symbol, sign),) = parts.items()
        assert sign == -1
        expected = np.maximum(-raw[symbol].to_numpy(), -1.0)
        assert np.array_equal(streams[atom].to_numpy(), expected)
    optimized = load(root, "data/portfolio_optimized_v2.json")["profiles"]["hrp"]["assets"]
    assert {row["Direction"] for row in optimized} == {"LONG"}
    flattened = load(root, "data/portfolio_flattened.json")["profiles"]["hrp"]["assets"]
    assert {row["Direction"] for row in flattened} == {"SHORT"}
    assert all(row["Net_Weight"] == -row["Gross_Weight"] for row in flattened)


def test_shorts_take_the_falling_names(results: dict[str, AlphaResult]) -> None:
    """Odd names of the fixture drift down, even ones up."""
    shorts = {int(symbol[2:]) % 2 for symbol, _ in results["us_equities_short"].weights[:5]}
    meta = load(results["us_equities_short"].root, "data/portfolio_candidates.json")["data"]
    assert all(winner["features"]["momentum"] < 0.0 for winner in meta)
    assert shorts


def test_the_model_is_pinned_and_its_score_is_ranked(results: dict[str, AlphaResult]) -> None:
    root = results["us_equities_long"].root
    assert (root / "config/model/model.txt").is_file()
    metadata = load(root, "data/inference_metadata.json")
    assert metadata["weights"]["model_score"] == 3.0
    assert metadata["model_sha256"] == load(root, "config/inputs.json")["model_sha256"]
    outputs = pq.read_table(root / "data/inference_outputs.parquet")
    for name in outputs.column_names[1:]:
        values = outputs[name].to_numpy()
        assert np.isfinite(values).all()
        assert values.min() >= 0.0
        assert values.max() <= 1.0
    crypto = load(results["crypto_long"].root, "data/inference_metadata.json")
    assert crypto["absent_features"] == ["model_score"]


@pytest.mark.parametrize(("profile", "sign"), [("us_equities_long", 1), ("us_equities_short", -1)])
def test_the_run_tells_what_made_the_names(
    results: dict[str, AlphaResult], profile: str, sign: int
) -> None:
    """Terms of the ranking add up to the score, terms of the model to its prediction."""
    root = results[profile].root
    found = load(root, "data/attribution.json")
    outputs = pq.read_table(root / "data/inference_outputs.parquet").to_pydict()
    logs = dict(zip(outputs["atom_id"], np.log(outputs["alpha_score"]), strict=True))
    pool_mean = np.mean(list(logs.values()))
    booster = lightgbm.Booster(model_file=str(root / "config/model/model.txt"))
    features = pq.read_table(root / "data/features_slice.parquet").to_pandas().set_index("symbol")
    inputs = features[booster.feature_name()].astype(np.float32)
    predicted = dict(zip(inputs.index, booster.predict(inputs), strict=True))
    base = booster.predict(inputs.iloc[:1], pred_contrib=True)[0, -1]
    assert len(found["names"]) == len(results[profile].weights) == results[profile].winners
    for row in found["names"]:
        lead = logs[row["atom_id"]] - pool_mean
        assert sum(row["ranked"].values()) == pytest.approx(lead, rel=1e-9)
        above = sign * (predicted[row["symbol"]] - base)
        assert sum(row["model"].values()) == pytest.approx(above, abs=1e-12)
    names = {row["symbol"] for row in found["names"]}
    assert set(found["without_model"]["entered"]) <= names
    assert not set(found["without_model"]["displaced"]) & names
    page = results[profile].report.read_text()
    assert "Why these names" in page
    assert "TreeSHAP" in page


def test_a_sleeve_without_a_model_says_so(results: dict[str, AlphaResult]) -> None:
    found = load(results["crypto_long"].root, "data/attribution.json")
    assert found["without_model"] is None
    assert found["model"] == {}
    assert "No model's score was ranked" in results["crypto_long"].report.read_text()


def test_toxic_names_are_vetoed_by_name_with_the_reason(results: dict[str, AlphaResult]) -> None:
    audit = load(results["us_equities_long"].root, "data/selection_audit.json")
    toxic = [veto for veto in audit["vetoes"]["EQ59_trend_LONG"] if veto["hard"]]
    assert [veto["name"] for veto in toxic] == ["toxic"]
    chosen = {symbol for symbol, _ in results["us_equities_long"].weights}
    assert "EQ59" not in chosen
    assert audit["funnel"]["without_hard_veto"] == 59
    assert audit["total_selected"] == len(chosen) >= audit["target"]
    assert audit["relaxation_stage"] in (1, 2, 3, 4)


def test_report_index_and_weight_files_exist(results: dict[str, AlphaResult]) -> None:
    for profile, result in results.items():
        index = (result.root / "INDEX.md").read_text()
        assert f"profile: `{profile}`" in index
        assert f"run_id: `R_{profile}`" in index
        assert "status: **finished**" in index
        assert "| Atomic validation | 0 failures |" in index
        for target in re.findall(r"\]\(([^)]+)\)", index):
            assert (result.root / target).is_file(), target
        page = result.report.read_text()
        assert result.lineage.foundation_hash in page
        assert "http" not in page
        assert (result.root / "data/weights/hrp.csv").read_text().startswith("symbol,direction")
    long = results["us_equities_long"].report.read_text()
    assert "Survivorship: of the 500 members of SP500 on 2018-09-13" in long
    assert "380 of 500" in long  # survivorship with its numbers
    assert "0.0310" in long  # the model's own report
    assert "not point in time" in long


def test_the_report_takes_what_the_caller_knows(data_dir: Path) -> None:
    extras = ReportExtras(is_simulated=True, disclosures=("A sentence of the caller.",))
    result = run(data_dir, "R_extras", extras=extras, skip_analysis=True)
    page = result.report.read_text()
    assert "The market is simulated." in page
    assert "A sentence of the caller." in page


def test_no_key_of_the_environment_is_in_any_artifact(results: dict[str, AlphaResult]) -> None:
    for result in results.values():
        for path in result.root.rglob("*"):
            assert not path.is_file() or b"PKFAKEsecret" not in path.read_bytes()


def test_no_artifact_names_a_path_of_the_machine(
    data_dir: Path, results: dict[str, AlphaResult]
) -> None:
    for result in results.values():
        for path in result.root.rglob("*"):
            assert not path.is_file() or str(data_dir).encode() not in path.read_bytes(), path


def test_a_run_writes_only_its_own_folders(data_dir: Path, results: dict[str, AlphaResult]) -> None:
    assert {path.name for path in data_dir.iterdir()} <= {
        "lakehouse",
        "models",
        "runs",
        "snapshots",
    }
    runs = {path.name for path in (data_dir / "runs").iterdir() if not path.name.startswith(".")}
    assert runs >= {f"R_{profile}" for profile in PROFILES}
    hidden = {path.name for path in (data_dir / "runs").iterdir() if path.name.startswith(".")}
    assert {name for name in hidden if not name.endswith(".lock")} == set()


def test_the_snapshot_freezes_what_the_run_read(tmp_path: Path) -> None:
    """A later build changes neither the snapshot nor a repeated run."""
    built = make_lake(n_equities=24, n_coins=2)
    publish(tmp_path, built)
    first = run(tmp_path, "R1")
    snapshot = tmp_path / "snapshots" / "R1"
    links = [path for path in snapshot.rglob("*") if path.is_symlink()]
    record = load(snapshot, "snapshot.json")
    assert {Path(file["path"]).parts[0] for file in record["files"]} >= {"matrices", "reference"}
    assert len(links) == len(record["files"]) + 2
    assert all(not os.path.isabs(os.readlink(path)) and path.exists() for path in links)
    frozen = tree_hashes(snapshot)
    rows = built.rows("matrices.returns_matrix", symbol="EQ03")
    built.edit("matrices.returns_matrix", "ret", {rows[-1]: 0.31})
    built.publish(tmp_path)
    assert tree_hashes(snapshot) == frozen
    assert run(tmp_path, "R1").version == first.version  # the id stays with its version
    assert tree_hashes(snapshot) == frozen
    other = run(tmp_path, "R2")
    assert other.version != first.version
    assert other.lineage.foundation_hash != first.lineage.foundation_hash
    with pytest.raises(ConfigError, match="exists with version"):
        run(tmp_path, "R1", version=other.version)


def test_a_deleted_artifact_is_restored_by_a_repeat(tmp_path: Path) -> None:
    publish(tmp_path, make_lake(n_equities=24, n_coins=2))
    first = run(tmp_path, "R1")
    before = tree_hashes(first.root)
    (first.root / "data/portfolio_flattened.json").unlink()
    run(tmp_path, "R1")
    assert tree_hashes(first.root) == before


def test_missing_things_are_one_clear_line(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no published version"):
        run(tmp_path, "R1", model=None)
    with pytest.raises(DataError, match="'v999999' is not a published version"):
        run(data_dir, "R_v", version="v999999")
    with pytest.raises(DataError, match="needs model 'equities_xs'"):
        run(data_dir, "R_m", model=None)
    with pytest.raises(DataError, match=r"has no model\.txt"):
        run(data_dir, "R_m", model=tmp_path)
    with pytest.raises(ConfigError, match="not allowed"):
        run(data_dir, "../R")
    with pytest.raises(
        ConfigError, match="'us_equities_lnog' is not a profile; did you mean 'us_equities_long'"
    ):
        run(data_dir, "R_p", "us_equities_lnog")
    assert not any((data_dir / "runs" / name).exists() for name in ("R_v", "R_m", "R_p"))
