"""A landed file that was taken back answers for nothing any more, and stays where it is."""

from datetime import UTC, date, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from ingest.landing import bookmarks
from ingest.landing.retraction import retract
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import page_of_records
from ingest.sync import run_ingest
from ingest.transport.client import Answer
from ingest.vendors.registry import ENDPOINTS
from trademl.errors import ConfigError
from trademl.settings import Settings

BARS = ENDPOINTS["alpaca/bars_1d"]
MONDAY = datetime(2020, 3, 2, 22, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def files(tmp_path):
    """Two landed files."""
    answer = Answer([], "0" * 64, "uri", "hash", {})
    days = (date(2020, 3, 2), date(2020, 3, 3))
    return [
        land(
            tmp_path,
            Fetch(BARS, "equities_bars_1d", str(day), day, day, ("AAA",)),
            [page_of_records(answer, BARS, [])],
            MONDAY,
        ).path
        for day in days
    ]


def test_what_it_covered_is_missing_and_the_file_stays(tmp_path, files):
    content = files[0].read_bytes()
    done = retract(tmp_path, str(files[0]), " wrong\n feed ", TUESDAY)
    assert (done.is_new, done.retracted_at) == (True, TUESDAY)
    assert files[0].read_bytes() == content
    assert [found.path for found in bookmarks.landed(tmp_path, BARS)] == [files[1]]
    every = bookmarks.landed(tmp_path, BARS, with_retracted=True)
    assert {found.path for found in every} == set(files)
    (tombstone,) = bookmarks.landed(tmp_path, bookmarks.RETRACTION)
    (row,) = pq.ParquetFile(tombstone.path).read().to_pylist()
    assert row["retracted_ingest_id"] == files[0].stem
    assert row["retracted_file"] == files[0].relative_to(tmp_path).as_posix()
    assert (row["why"], row["ingested_at"]) == ("wrong feed", TUESDAY)


def test_twice_the_same_is_harmless(tmp_path, files):
    retract(tmp_path, files[0].stem, "wrong", TUESDAY)
    again = retract(tmp_path, str(files[0].relative_to(tmp_path)), "once more", TUESDAY)
    assert (again.is_new, again.retracted_at) == (False, TUESDAY)
    assert len(bookmarks.landed(tmp_path, bookmarks.RETRACTION)) == 1


@pytest.mark.parametrize("file", ["", "nothing.parquet", "*", "../raw", "raw/alpaca", "a\0b"])
def test_what_is_not_landed_cannot_be_retracted(tmp_path, files, file):
    with pytest.raises(ConfigError, match="is not a landed file"):
        retract(tmp_path, file, "wrong", TUESDAY)


def test_a_file_beside_the_landed_ones_cannot_be_retracted(tmp_path, files):
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(files[0].read_bytes())
    with pytest.raises(ConfigError, match="is not a landed file"):
        retract(tmp_path, str(copy), "wrong", TUESDAY)


def test_a_reason_is_needed(tmp_path, files):
    with pytest.raises(ConfigError, match="--why"):
        retract(tmp_path, str(files[0]), " \n", TUESDAY)


def test_a_retraction_is_not_earlier_than_its_file(tmp_path, files):
    with pytest.raises(ConfigError, match="earlier"):
        retract(tmp_path, str(files[0]), "wrong", MONDAY - timedelta(hours=1))


def test_a_retraction_cannot_be_taken_back(tmp_path, files):
    retract(tmp_path, str(files[0]), "wrong", TUESDAY)
    (tombstone,) = bookmarks.landed(tmp_path, bookmarks.RETRACTION)
    with pytest.raises(ConfigError, match="land again"):
        retract(tmp_path, str(tombstone.path), "not wrong", TUESDAY)


def test_a_reference_file_is_landed_again_when_it_was_corrected_and_not_before(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    (given / "sectors.csv").write_text("symbol,sector\nAAA,Tech\n")

    def landed(clock):
        return run_ingest(
            "file",
            "sectors",
            data_dir=tmp_path,
            clock=clock,
            settings=Settings(reference_dir=given),
        )

    (path,) = landed(MONDAY).files
    retract(tmp_path, str(path), "wrong", TUESDAY)
    assert "correct it first" in landed(TUESDAY).skipped[0]
    (given / "sectors.csv").write_text("symbol,sector\nAAA,Energy\n")
    assert len(landed(TUESDAY).files) == 1
