"""dbt's unit tests of the models' SQL: nightly builds leave them out, so they are run here."""

import json
from datetime import UTC, datetime

from tests.support.cache import copied
from tests.support.lakes import dbt, one_night

CLOCK = datetime(2022, 1, 1, 13, tzinfo=UTC)


def test_every_unit_test_passes(tmp_path):
    # They ask the lake for column types, so the tables must exist; rows they bring themselves.
    data = copied(one_night(), tmp_path / "data")
    done = dbt(data, CLOCK, "--vars", "unit_tests: true", command="test", selected="test_type:unit")
    assert done.returncode == 0, done.stdout[-3000:]
    written = json.loads((data / "logs" / "dbt" / "manifest.json").read_text())["unit_tests"]
    results = json.loads((data / "logs" / "dbt" / "run_results.json").read_text())["results"]
    passed = {result["unique_id"] for result in results if result["status"] == "pass"}
    assert len(written) > 30
    assert set(written) <= passed
