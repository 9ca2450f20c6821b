"""What other people's code reads of a lake: open_version, and the notebook that shows it."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.support.runs import publish, run, small_lake
from trademl.api import open_version
from trademl.errors import DataError

NOTEBOOK = Path(__file__).resolve().parents[3] / "docs" / "notebooks" / "first_look.py"

# ibis 12 calls Arrow methods that duckdb 1.5 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A lake with a finished run; bars and status as the notebook reads them."""
    data_dir = tmp_path_factory.mktemp("first_look") / "data"
    lake = small_lake()
    days = [date(2020, 12, 29), date(2020, 12, 30)]
    lake.tables["curated.equities_ohlcv_adj"] = pa.table(
        {
            "symbol": ["EQ00", "EQ00"],
            "session_date": days,
            "close": [41.5, 42.25],
            "volume": [1000.0, 1100.0],
            "split_ratio": [1.0, 1.0],
            "ret": [None, 42.25 / 41.5 - 1],
            "flag": pa.array([None, None], pa.string()),
        }
    )
    lake.tables["quality.partition_status"] = pa.table(
        {"table_name": ["curated/equities_ohlcv_adj"] * 2, "status": ["GREEN", "RED"]}
    )
    publish(data_dir, lake)
    run(data_dir, "look", skip_analysis=True, skip_validation=True)
    return data_dir


@pytest.fixture
def lake(data_dir):
    opened = open_version(data_dir)
    yield opened
    opened.disconnect()


def test_tables_go_by_name_and_schema(lake):
    bars = lake.table("equities_ohlcv_adj", database="curated")
    assert bars.close.max().to_pyarrow().as_py() == 42.25
    assert bars.session_date.type().is_date()


def files_of(data_dir):
    """The lake's files; DuckLake makes an empty folder before it refuses a table."""
    found = (data_dir / "lakehouse").rglob("*")
    return {path: path.read_bytes() for path in found if path.is_file()}


def test_writing_is_refused(lake, data_dir):
    files = files_of(data_dir)
    for statement in (
        "delete from lake.curated.equities_ohlcv_adj",
        "create table lake.curated.mine as select 1 as one",
        "drop table lake.quality.partition_status",
    ):
        with pytest.raises(duckdb.Error, match="read-only"):
            lake.raw_sql(statement)
    with pytest.raises(duckdb.Error, match="read-only"):
        lake.create_table("mine", pa.table({"one": [1]}))
    assert files_of(data_dir) == files


def test_a_version_stays_as_it_was(data_dir):
    [name] = [path.stem for path in (data_dir / "lakehouse" / "published").glob("v*.json")]
    opened = open_version(str(data_dir), name)
    assert opened.table("partition_status", database="quality").count().to_pyarrow().as_py() == 2
    opened.disconnect()


def test_an_unknown_version_is_told_with_the_nearest(data_dir):
    [name] = [path.stem for path in (data_dir / "lakehouse" / "published").glob("v*.json")]
    mistyped = name.replace("v0", "v")
    with pytest.raises(DataError) as caught:
        open_version(data_dir, mistyped)
    assert f"{mistyped!r} is not a published version" in str(caught.value)
    assert f"did you mean {name!r}?" in str(caught.value)


def test_the_notebook_shows_bars_status_features_and_a_run(data_dir):
    done = subprocess.run(
        [sys.executable, str(NOTEBOOK), str(data_dir)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for shown in ("42.25", "GREEN", "feat_momentum", "== look: ", "%"):
        assert shown in done.stdout, done.stdout
