"""A landed file that was taken back is as if it had never been landed, from its tombstone on."""

from datetime import timedelta

import pytest

from ingest.landing.retraction import retract
from tests.support.cache import copied
from tests.support.lakes import (
    assert_whole_lakes_agree,
    build_models,
    open_live,
    open_newest,
    two_nights_published,
)
from tests.support.odd_rows import odd_clock, odd_night

RETRACTED_AT = odd_clock() + timedelta(hours=1)
ABOUT_FILES = ("raw.raw_fetches", "raw.raw_retractions")
"""Tombstones are landed files, too."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The lake with a night of odd rows, whose files are all taken back, not built since."""
    data = copied(odd_night(), tmp_path_factory.mktemp("retracted") / "data")
    files = [path for path in sorted((data / "raw").rglob("*.parquet")) if is_of(path, odd_clock())]
    assert len({path.parents[1] for path in files}) == len(files) == 5
    for path in files:
        assert retract(data, str(path), "odd rows", RETRACTED_AT).is_new
    return data


def is_of(path, clock):
    return path.name.startswith(f"{clock:%Y%m%dT%H%M%S}")


def test_the_next_build_is_as_if_it_had_never_been_landed(data, tmp_path):
    built = build_models(copied(data, tmp_path / "data"), RETRACTED_AT)
    with open_live(built) as lake, open_newest(two_nights_published()) as before:
        assert_whole_lakes_agree(lake, before, without=ABOUT_FILES)
        rows = lake.execute(
            "select retracted_file, why, ingested_at from raw.raw_retractions order by all"
        ).fetchall()
        unproven = lake.execute(
            "select count(*) from raw.raw_fetches "
            "where ingest_id in (select retracted_ingest_id from raw.raw_retractions)"
        ).fetchone()
    assert unproven == (0,)
    assert len(rows) == 5
    assert {row[1:] for row in rows} == {("odd rows", RETRACTED_AT)}
    assert all((data / row[0]).is_file() for row in rows)


@pytest.mark.accept
def test_a_build_as_of_before_reads_it_as_it_did(data, tmp_path):
    built = build_models(copied(data, tmp_path / "data"), odd_clock(), "--full-refresh")
    with open_live(built) as lake, open_newest(odd_night()) as before:
        assert_whole_lakes_agree(lake, before, without=ABOUT_FILES)
        assert lake.execute("select count(*) from raw.raw_retractions").fetchone() == (0,)
