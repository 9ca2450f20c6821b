import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trademl.errors import DataError
from trademl.runs.ledger import GENESIS_HASH, Ledger, read, verify

CLOCK = datetime(2020, 12, 31, 13, tzinfo=UTC)


def write_ledger(path: Path) -> Path:
    ledger = Ledger(path, CLOCK)
    ledger.genesis("R1", "us_equities_long", {"python": "3.11"}, {"a": 1})
    with ledger.step("foundation.gate", {"x": 1}, {"in": "ab"}) as out:
        out.output_hashes["data/a.json"] = "cd"
        out.metrics["rows"] = 3
    ledger.skipped("risk.analysis", "--skip-analysis")
    return path


def test_records_form_a_chain_from_sixty_four_zeros(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "audit.jsonl")
    records = read(path)
    assert verify(path) == 4
    assert records[0]["prev_hash"] == GENESIS_HASH == "0" * 64
    assert [record["prev_hash"] for record in records[1:]] == [r["hash"] for r in records[:-1]]
    assert [record.get("status") for record in records] == [None, "intent", "success", "SKIPPED"]
    assert {record["ts"] for record in records} == {"2020-12-31T13:00:00Z"}


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    first = write_ledger(tmp_path / "a.jsonl").read_bytes()
    assert first == write_ledger(tmp_path / "b.jsonl").read_bytes()


def test_a_failing_step_is_recorded_and_raised(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "audit.jsonl", CLOCK)
    ledger.genesis("R1", "p", {}, {})
    with pytest.raises(DataError, match="no data"), ledger.step("foundation.gate"):
        raise DataError("no data")
    last = read(tmp_path / "audit.jsonl")[-1]
    assert (last["status"], last["error"]) == ("failure", "no data")
    assert verify(tmp_path / "audit.jsonl") == 3


def edit(path: Path, number: int, key: str, value: object) -> None:
    lines = path.read_text().splitlines()
    record = json.loads(lines[number])
    record[key] = value
    lines[number] = json.dumps(record, sort_keys=True, separators=(",", ":"))
    path.write_text("\n".join(lines) + "\n")


def test_any_change_breaks_the_chain(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "audit.jsonl")
    edit(path, 2, "outcome", {"output_hashes": {}, "metrics": {"rows": 4}})
    with pytest.raises(DataError, match="line 3 was changed"):
        verify(path)


def test_dropped_swapped_or_cut_lines_break_the_chain(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "audit.jsonl")
    lines = path.read_text().splitlines()
    for broken in (lines[:1] + lines[2:], [lines[0], lines[2], lines[1], lines[3]], lines[1:]):
        path.write_text("\n".join(broken) + "\n")
        with pytest.raises(DataError, match="does not follow"):
            verify(path)
    path.write_text("\n".join(lines)[:-5])
    with pytest.raises(DataError, match="line 4 is not JSON"):
        verify(path)
    path.write_text("")
    with pytest.raises(DataError, match="is empty"):
        verify(path)


def test_a_ledger_is_never_reopened(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "audit.jsonl")
    with pytest.raises(FileExistsError):
        Ledger(path, CLOCK)
