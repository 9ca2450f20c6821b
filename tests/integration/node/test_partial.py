"""A vendor has the last session of some symbols only: they are told, asked again, not for ever."""

import json
from datetime import timedelta

import httpx
import pytest

from ingest.node.daemon import work
from ingest.node.planning.forward import ages, forward
from ingest.node.stage_file import Stage, write_stage
from ingest.transport.client import VendorClient
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    COINS,
    FIRST,
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    landed_files,
    landed_rows,
    small_market,
)
from tests.support.nodes import KEYS, Steps, cover, make_node
from tests.support.replays import run
from trademl.cli.node_status import show_status

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

BARS = "alpaca/bars_1d"
ON_TIME, LATE = SYMBOLS[0], SYMBOLS[1:]


class Partial(httpx.BaseTransport):
    """Leaves out the last session of the symbols that are late."""

    late = LATE
    calls = 0

    def __init__(self):
        self._network = httpx.HTTPTransport()

    def handle_request(self, request):
        answer = self._network.handle_request(request)
        body = answer.read()
        if "/v2/stocks/bars" in request.url.path:
            type(self).calls += 1
            said = json.loads(body)
            for name in set(self.late) & said["bars"].keys():
                said["bars"][name] = [b for b in said["bars"][name] if b["t"][:10] < str(LAST)]
            body = json.dumps(said).encode()
        return httpx.Response(answer.status_code, content=body)

    def close(self):
        self._network.close()


@pytest.fixture
def kept(tmp_path):
    """A node whose vendor is late with two of three symbols, after its first look."""
    steps = Steps()
    partial = type("Late", (Partial,), {})

    def client(vendor, *args, **options):
        return VendorClient(vendor, *args, **{**options, "transport": partial(), "tries": 1})

    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(tmp_path / "data", server, steps, make_client=client, settings=KEYS)
        look(node)
        yield node, server, steps, partial


def look(node):
    forward(node)
    work(node)


def test_symbols_without_the_last_bar_are_told_and_asked_again_after_twelve_hours(kept, capsys):
    node, server, steps, partial = kept
    found = ages(node)["equities_bars_1d"]
    assert (found.newest, found.unanswered) == (LAST, LATE)
    show_status(node)
    assert "expected 2020-03-20; no bar of it: 2 symbols, BBB, BRK.B\n" in capsys.readouterr().out
    partial.late = ()
    for _ in range(11):
        steps.wait(3600)
        look(node)
    assert partial.calls == 1
    told = run(server, node.data_dir, "alpaca", "equities_bars_1d", clock=steps.wall)
    assert (told.calls, told.skipped) == (
        0,
        ("3 symbols are complete through 2020-03-20, 2 of them without a bar of it",),
    )
    steps.wait(3600)
    assert not ages(node)["equities_bars_1d"].is_fresh
    look(node)
    assert (ages(node)["equities_bars_1d"].unanswered, partial.calls) == ((), 2)
    query = "select symbol, count(*) from landed where t::date = '2020-03-20' group by 1 order by 1"
    assert landed_rows(node.data_dir, BARS, query) == [(name, 1) for name in SYMBOLS]


def test_a_symbol_that_is_not_traded_any_more_is_asked_thrice_a_session(kept):
    node, _, steps, _ = kept
    files = []
    for _ in range(9):
        look(node)
        files.append(len(landed_files(node.data_dir, BARS)))
        steps.wait(6 * 3600)
    # Until Monday evening no other session is expected.
    assert files == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    found = ages(node)["equities_bars_1d"]
    assert (found.is_fresh, found.unanswered) == (True, LATE)


def test_a_symbol_that_joined_the_stage_is_asked_for_at_once(kept):
    node, _, _, partial = kept
    partial.late = ()
    end = LAST + timedelta(days=1)
    write_stage(node.data_dir, Stage(1, end, {"equities_bars_1d": FIRST}, (*SYMBOLS, "NEW")))
    assert not ages(node)["equities_bars_1d"].is_fresh


@pytest.mark.parametrize(
    ("vendor", "listing", "bars", "place", "names"),
    [
        ("alpaca", "assets", "equities_bars_1d", BARS, SYMBOLS),
        ("binance", "crypto_filters", "crypto_bars_1d", "binance/klines_1d", COINS),
    ],
)
def test_a_bar_landed_by_hand_does_not_stand_for_the_rest_of_the_listing(
    tmp_path, vendor, listing, bars, place, names
):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(tmp_path / "data", server, Steps())
        run(server, node.data_dir, vendor, listing)
        run(server, node.data_dir, vendor, bars, symbols=names[:1])
        assert (ages(node)[bars].newest, ages(node)[bars].is_fresh) == (LAST, False)
        look(node)
        assert ages(node)[bars].is_fresh
    query = "select distinct symbol from landed order by 1"
    assert landed_rows(node.data_dir, place, query) == [(name,) for name in names]


def test_a_name_outside_the_stage_that_is_silent_makes_no_work(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(tmp_path / "data", server, Steps())
        run(server, node.data_dir, "alpaca", "equities_bars_1d", symbols=SYMBOLS[:2])
    stage = Stage(0, LAST + timedelta(days=1), {"equities_bars_1d": FIRST}, SYMBOLS[:2])
    write_stage(node.data_dir, stage)
    cover(node.data_dir, BARS, ["ZZZ"], LAST, LAST, MORNING_AFTER - timedelta(hours=13))
    found = ages(node)["equities_bars_1d"]
    assert (found.newest, found.is_fresh, found.unanswered) == (LAST, True, ())
