"""The law of two nights, over ten nights of a vendor that is late, moves, withdraws, corrects and fails.

docs/specification/knowledge-times.md#the-law-of-two-nights. Of the last two nights of another market it is held by
test_increment in every test run.
"""

import pytest

from tests.support.cache import made_once
from tests.support.lakes import build_models, open_live, share_raw, year_market
from tests.support.two_nights import (
    NIGHTS,
    OUTAGE,
    RECOVERED,
    Script,
    differences,
    grow,
    grown,
    left_out,
    open_night,
)

pytestmark = pytest.mark.accept


@pytest.fixture(scope="module")
def folder():
    """Ten landings and ten builds; nobody may change them."""
    return made_once("ten-nights", grow)


@pytest.fixture(scope="module")
def script():
    return Script.of(year_market())


@pytest.mark.parametrize("number", range(NIGHTS - 1))
def test_a_full_refresh_as_of_a_night_is_what_that_night_published(folder, number, tmp_path):
    night = grown(folder)[number]
    refreshed = build_models(share_raw(folder / "data", tmp_path / "data"), night.clock)
    with open_night(folder / "data", night) as then, open_live(refreshed) as now:
        print(f"left out as of {night.clock}: {left_out(then, now, night.clock)}")
        assert differences(then, now, night.clock) == {}


def test_what_the_vendor_told_late_is_known_late(folder, script):
    """The comparison above would also hold for a vendor that was never late."""
    nights = grown(folder)
    clocks = script.clocks
    late, split, moved, withdrawn, corrected, renamed, unheard, _ = script.names
    with open_night(folder / "data", nights[-1]) as lake:

        def one(query, *given):
            return lake.execute(query, given).fetchone()

        bar = (
            "select known_at from curated.equities_bars_asof where symbol = ? and session_date = ?"
        )
        assert one(bar, late, script.days[2]) == (clocks[4],)
        assert one(bar, late, script.days[OUTAGE]) == (clocks[RECOVERED],)
        assert one(bar, corrected, script.days[5]) == (clocks[8],)
        event = (
            "select ex_date, known_at from reference.corp_actions where symbol = ? and ex_date >= ?"
        )
        recent = script.days[0]
        assert one(event, split, recent) == (script.days[3], clocks[6])
        assert one(event, moved, recent) == (script.days[4], clocks[7])
        assert one(event, withdrawn, recent) is None
        assert one("select max(known_at) from reference.delistings") == (clocks[7],)
        spells = "select count(distinct security_id) from reference.symbols where symbol in (?, ?)"
        assert one(spells, renamed, "ONTIME") == (1,)
        assert one(spells, unheard, "UNHEARD") == (1,)
        empty = "select count(*) from raw.raw_fetches where outcome = 'empty'"
        assert one(empty)[0] > 0
    with open_night(folder / "data", nights[5]) as lake:
        told = lake.execute(
            "select ratio from reference.corp_actions where symbol = ? and ex_date >= ?",
            [withdrawn, recent],
        ).fetchall()
        assert told == [(3.0,)]
