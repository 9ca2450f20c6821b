"""A run on a list of candidates: those symbols and nobody else, all of them there, or no run."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimize.sleeve import selection_steps
from tests.support.alpha_lakes import CLOCK, LAST_SESSION
from tests.support.runs import load, publish, run, small_lake, tree_hashes
from trademl.cli.alpha import alpha_command
from trademl.errors import ConfigError, GateFailed, LookaheadError
from trademl.files import sha256_of_file
from trademl.lake import versions as lake
from trademl.runs.ledger import read

pytestmark = pytest.mark.usefixtures("no_drawing")


NAMES = [f"EQ{number:02d}" for number in range(4, 22)]
NONE = "no candidates"


@pytest.fixture(scope="module")
def lake_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candidates")
    publish(folder, small_lake())
    return folder


@pytest.fixture
def data_dir(lake_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(lake_dir, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


def write_list(path: Path, names: list[str], direction: str = "LONG") -> Path:
    rows = [
        {"symbol": f"XNYS:{name}", "direction": direction, "asset_type": "equity"} for name in names
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"meta": {}, "data": rows}))
    return path


def test_a_list_is_the_pool_and_part_of_the_run_s_identity(data_dir: Path, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "mine.json", NAMES)
    first = run(data_dir, "R1", candidates=listed)
    raw = load(first.root, "data/portfolio_candidates_raw.json")
    assert sorted(item["symbol"] for item in raw["data"]) == [f"XNYS:{name}" for name in NAMES]
    assert raw["funnel"] | {"universe": 24, "listed": 18} == raw["funnel"]
    assert {symbol for symbol, _ in first.weights} <= set(NAMES)
    gate = next(row for row in first.gates if row.name == "Candidates")
    assert (gate.asked, gate.got) == ("all 18 of the list in the lake, none stale", "18 listed")

    digest = sha256_of_file(listed)
    assert sha256_of_file(first.root / "data/candidates.json") == digest
    assert load(first.root, "config/inputs.json")["candidates_sha256"] == digest
    assert load(first.root, "config/snapshot.json")["candidates_sha256"] == digest
    everybody = run(data_dir, "R2")
    assert load(everybody.root, "config/inputs.json")["candidates_sha256"] == NONE
    assert {symbol for symbol, _ in everybody.weights} - set(NAMES)

    # Repeated with the list, and without naming it after the file is gone: the same bytes.
    before = tree_hashes(first.root)
    assert tree_hashes(run(data_dir, "R1", candidates=listed).root) == before
    listed.unlink()
    assert tree_hashes(run(data_dir, "R1").root) == before
    other = write_list(tmp_path / "other.json", NAMES[1:])
    with pytest.raises(ConfigError, match=f"exists with candidates_sha256 {digest}, asked for"):
        run(data_dir, "R1", candidates=other)
    with pytest.raises(ConfigError, match=f"exists with candidates_sha256 {NONE}, asked for"):
        run(data_dir, "R2", candidates=other)
    assert tree_hashes(first.root) == before


def test_the_run_s_discovery_is_taken_by_itself(data_dir: Path) -> None:
    """The run id links to the data cycle's export."""
    validated = write_list(data_dir / "export/R1/candidates_validated.json", NAMES)
    arguments = ("--run-id", "R1", "--model-id", "m1", "--clock", CLOCK.isoformat())
    done = CliRunner().invoke(alpha_command, [*arguments, "--data", str(data_dir)])
    assert done.exit_code == 0, done.output
    assert "pass  Candidates: 18 listed" in done.output
    inputs = load(data_dir / "runs/R1", "config/inputs.json")
    assert inputs["candidates_sha256"] == sha256_of_file(validated)
    write_list(validated, NAMES[1:])
    with pytest.raises(ConfigError, match="exists with candidates_sha256"):
        run(data_dir, "R1")


def test_a_list_of_later_than_the_run_is_hindsight(data_dir: Path, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "mine.json", NAMES)
    content = json.loads(listed.read_text())
    for hours, is_allowed in ((0, True), (1, False)):
        content["meta"]["generated_at"] = (CLOCK + timedelta(hours=hours)).isoformat()
        listed.write_text(json.dumps(content))
        if is_allowed:
            assert run(data_dir, f"R{hours}", candidates=listed).weights
            continue
        with pytest.raises(LookaheadError, match="candidates were found at 2020-12-31T14:00:00Z"):
            run(data_dir, f"R{hours}", candidates=listed)


def test_a_list_checked_against_a_later_version_is_hindsight(
    data_dir: Path, tmp_path: Path
) -> None:
    """It holds who was still traded and sound when the later version was built."""
    listed = write_list(tmp_path / "mine.json", NAMES)
    content = json.loads(listed.read_text())
    version = lake.find_version(data_dir).name
    content["meta"]["version"] = f"v{int(version[1:]) + 1:06d}"
    listed.write_text(json.dumps(content))
    with pytest.raises(LookaheadError, match=f"checked against version v.*the run is on {version}"):
        run(data_dir, "R1", candidates=listed)
    content["meta"]["version"] = version
    listed.write_text(json.dumps(content))
    assert run(data_dir, "R1", candidates=listed).weights


def test_one_missing_or_stale_candidate_stops_the_run_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = small_lake()
    day = LAST_SESSION - timedelta(days=1)
    for name in ("matrices.returns_matrix", "matrices.features_matrix"):
        built.drop_rows(name, built.rows(name, symbol="EQ07", session_date=LAST_SESSION))
    publish(tmp_path, built)
    computed = []
    monkeypatch.setattr(selection_steps, "ingest", lambda run: computed.append(run))
    before = tree_hashes(tmp_path / "lakehouse")
    listed = write_list(tmp_path / "mine.json", [*NAMES, "EQ99", "EQ98"])
    with pytest.raises(GateFailed) as caught:
        run(tmp_path, "R1", candidates=listed)
    message = str(caught.value)
    assert "2 of 20 candidates are missing at 2020-12-30: XNYS:EQ98, XNYS:EQ99" in message
    assert f"1 of 20 candidates are stale at 2020-12-30: XNYS:EQ07 (last bar {day})" in message
    assert caught.value.exit_code == 3
    assert not computed
    assert tree_hashes(tmp_path / "lakehouse") == before
    assert not (tmp_path / "snapshots/R1").exists()
    assert {row.get("status") for row in read(tmp_path / "runs/R1/audit.jsonl")} >= {"failure"}

    # The lake of everybody is healthy: only the list asked for more than it has.
    monkeypatch.undo()
    assert run(tmp_path, "R1", candidates=write_list(listed, [*NAMES[:3], *NAMES[4:]])).weights
