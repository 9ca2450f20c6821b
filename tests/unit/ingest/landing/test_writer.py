import errno
import fcntl
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.landing import bookmarks, writer
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page, table_of, utc_of
from ingest.vendors.registry import ENDPOINTS
from tests.support.markets import fetch_records, landed_files, landed_rows, leftovers
from trademl.errors import DataError, SchemaDrift, StaleData, Unavailable

BARS, ASSETS = ENDPOINTS["alpaca/bars_1d"], ENDPOINTS["alpaca/assets"]
CLOCK = datetime(2020, 3, 21, 13, tzinfo=UTC)
FETCH = Fetch(
    BARS, "equities_bars_1d", "hash-of-chain", date(2020, 3, 1), date(2020, 3, 20), ("AAA", "BBB")
)


def bar(symbol="AAA", day=2, close=5.0, **unknown):
    t = datetime(2020, 3, day, 5, tzinfo=UTC)
    numbers = {"o": 1.0, "h": 9.0, "l": 0.5, "c": close, "v": 100, "n": 3, "vw": 4.5}
    return {"symbol": symbol, "t": t, **numbers, **unknown}


def page(*bars, sha="a" * 64):
    times = pa.array([row["t"] for row in bars], pa.timestamp("us", "UTC"))
    return Page(table_of(BARS, bars, times), sha, "https://host/v2/stocks/bars?x=1", "hash-of-page")


def test_every_row_carries_the_envelope(tmp_path):
    pages = [page(bar(), bar(day=3, spin="up")), page(bar("BBB"), sha="b" * 64)]
    landed = land(tmp_path, FETCH, pages, CLOCK)
    table = pq.ParquetFile(landed.path).read()
    assert table.schema.equals(BARS.schema)
    rows = table.to_pylist()
    assert [(row["symbol"], row["t"].day, row["extra"]) for row in rows] == [
        ("AAA", 2, None),
        ("AAA", 3, '{"spin":"up"}'),
        ("BBB", 2, None),
    ]
    assert [row["payload_sha256"] for row in rows] == ["a" * 64, "a" * 64, "b" * 64]
    assert {row["ingested_at"] for row in rows} == {CLOCK}
    assert {row["ingest_id"] for row in rows} == {landed.path.stem}
    assert all(row["vendor_ts"] == row["t"] for row in rows)
    assert rows[0]["source_name"] == "alpaca_sip"
    assert rows[0]["api_version"] == "v2"
    assert rows[0]["request_hash"] == "hash-of-page"


@pytest.mark.parametrize(
    ("microseconds", "is_landed"),
    [
        (1_584_748_799_999_999, True),  # the end of 2020-03-20, the last day asked
        (1_584_748_800_000_000, False),
        (1_584_921_599_000_000, False),  # the day after the clock's, in UTC
        (4_102_444_800_000_000, True),  # 2100: one wrong row, which the lake sets aside
        (-62_135_596_800_000_000, True),  # the year 1, likewise
        (253_402_300_800_000_000, True),  # 10000, which no reader takes: it lands without a time
        (-(2**62), True),
    ],
)
def test_a_bar_that_was_not_asked_and_may_be_real_is_refused(tmp_path, microseconds, is_landed):
    """Times by themselves are read as they are, so the landing looks at them."""
    rows = page(bar()).rows
    moment = pa.array([microseconds], pa.int64()).cast(pa.timestamp("us", "UTC"))
    odd = rows.set_column(rows.column_names.index("t"), "t", moment)
    pages = [page(bar()), replace(page(bar()), rows=odd)]
    if is_landed:
        path = land(tmp_path, FETCH, pages, CLOCK).path
        (_, time) = pq.ParquetFile(path).read().column("t").cast(pa.int64()).to_pylist()
        is_readable = -62_135_596_800_000_000 <= microseconds < 253_402_300_800_000_000
        assert time == (microseconds if is_readable else None)
        return
    with pytest.raises(SchemaDrift, match=r"sent a t outside 0001-01-01..2020-03-20"):
        land(tmp_path, FETCH, pages, CLOCK)
    assert leftovers(tmp_path) == []


def test_the_footer_says_what_the_file_covers(tmp_path):
    landed = land(tmp_path, FETCH, [page(bar()), page(bar("BBB"))], CLOCK)
    assert landed.path.parent == tmp_path / "raw/alpaca/bars_1d/ingest_date=2020-03-21"
    facts = pq.read_metadata(landed.path).metadata
    said = {key.decode(): value.decode() for key, value in facts.items()}
    sha = said.pop("trademl_payload_sha256")
    assert len(sha) == 64
    assert said == {
        "trademl_vendor": "alpaca",
        "trademl_endpoint": "bars_1d",
        "trademl_dataset": "equities_bars_1d",
        "trademl_ingest_id": landed.path.stem,
        "trademl_ingested_at": "2020-03-21T13:00:00Z",
        "trademl_window_start": "2020-03-01",
        "trademl_window_end": "2020-03-20",
        "trademl_symbols": "AAA,BBB",
        "trademl_request_hash": "hash-of-chain",
        "trademl_pages": "2",
        "trademl_rows": "2",
        "trademl_source_uri": "https://host/v2/stocks/bars?x=1",
    }


def test_a_fetch_without_rows_leaves_a_file_of_its_window(tmp_path):
    for pages in ([], [page()]):
        landed = land(tmp_path, FETCH, pages, CLOCK)
        assert landed.rows == 0
        assert pq.ParquetFile(landed.path).read().schema.equals(BARS.schema)
    assert len(landed_files(tmp_path, "alpaca/bars_1d")) == 2


def test_nothing_lands_when_a_symbol_was_not_asked(tmp_path):
    with pytest.raises(SchemaDrift, match="answered for ZZZ"):
        land(tmp_path, FETCH, [page(bar()), page(bar("ZZZ"))], CLOCK)
    assert leftovers(tmp_path) == []


def test_nothing_lands_when_a_page_fails_half_way(tmp_path):
    def pages():
        yield page(bar())
        raise Unavailable("down")

    with pytest.raises(Unavailable):
        land(tmp_path, FETCH, pages(), CLOCK)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (Unavailable("down"), "failed", "Unavailable"),
        (SchemaDrift("another shape"), "failed", "SchemaDrift"),
        (StaleData("no bars yet"), "empty", "StaleData"),
    ],
)
def test_a_fetch_that_ends_early_leaves_a_record_of_what_it_asked_for(
    tmp_path, error, outcome, reason
):
    """Nothing else can tell what was asked and not had; it covers nothing."""

    def pages():
        yield page(bar())
        raise error

    for _ in range(2):
        with pytest.raises(type(error)):
            land(tmp_path, FETCH, pages(), CLOCK)
    first, second = fetch_records(tmp_path)
    assert first["ingest_id"] != second["ingest_id"]
    told = ("vendor", "endpoint", "dataset", "window_start", "window_end", "symbols", "rows")
    assert [first[name] for name in (*told, "ingested_at", "outcome", "reason")] == [
        *("alpaca", "bars_1d", "equities_bars_1d", "2020-03-01", "2020-03-20", "AAA,BBB", "0"),
        *("2020-03-21T13:00:00Z", outcome, reason),
    ]
    assert landed_files(tmp_path, BARS.path) == []


def test_symbols_that_a_file_does_not_cover_and_answers_without_a_file_are_recorded(tmp_path):
    unknown = replace(FETCH, required_symbols=frozenset(["BBB"]))
    land(tmp_path, unknown, [page(bar())], CLOCK)
    known = fetch_records(tmp_path)
    land(tmp_path, replace(FETCH, is_newer=lambda newest: False), [page(bar())], CLOCK)
    assert [(row["symbols"], row["outcome"], row["rows"]) for row in known] == [
        ("BBB", "empty", "0")
    ]
    assert sorted((row["symbols"], row["outcome"]) for row in fetch_records(tmp_path)) == [
        ("AAA,BBB", "empty"),
        ("BBB", "empty"),
    ]


def test_rows_sent_twice_land_once_and_two_versions_land_both(tmp_path):
    again = [page(bar(), bar(day=3)), page(bar(), bar(day=3), sha="b" * 64), page(bar(close=6.0))]
    landed = land(tmp_path, FETCH, again, CLOCK)
    assert landed.rows == 3
    found = landed_rows(tmp_path, BARS.path, "select day(t), c, payload_sha256[1] from landed")
    assert found == [(2, 5.0, "a"), (3, 5.0, "a"), (2, 6.0, "a")]
    assert pq.read_metadata(landed.path).metadata[b"trademl_rows"] == b"3"


def test_a_history_sent_newest_first_lands_once_with_and_without_a_repeat(tmp_path):
    falling = [bar(day=day) for day in (9, 8, 5)]
    assert land(tmp_path / "once", FETCH, [page(*falling)], CLOCK).rows == 3
    assert land(tmp_path / "twice", FETCH, [page(*falling, falling[-1])], CLOCK).rows == 3


def test_pages_out_of_order_all_land(tmp_path):
    landed = land(tmp_path, FETCH, [page(bar("BBB"), bar(day=3)), page(bar(day=2))], CLOCK)
    assert landed.rows == 3


def test_silence_of_named_symbols_is_reported_and_not_counted_as_covered(tmp_path):
    fetch = Fetch(BARS, "d", "h", FETCH.start, FETCH.end, ("AAA", "BBB"), frozenset(["BBB"]))
    landed = land(tmp_path, fetch, [page(bar())], CLOCK)
    assert landed.unanswered == ("BBB",)
    assert pq.read_metadata(landed.path).metadata[b"trademl_symbols"] == b"AAA"


def test_where_every_symbol_is_unknown_no_file_appears(tmp_path):
    fetch = Fetch(BARS, "d", "h", FETCH.start, FETCH.end, ("BBB",), frozenset(["BBB"]))
    landed = land(tmp_path, fetch, [page()], CLOCK)
    assert (landed.path, landed.rows, landed.unanswered) == (None, 0, ("BBB",))
    assert leftovers(tmp_path) == []


def test_landing_again_adds_a_file_and_touches_no_other(tmp_path):
    first = land(tmp_path, FETCH, [page(bar())], CLOCK)
    before = first.path.read_bytes()
    second = land(tmp_path, FETCH, [page(bar(close=7.0))], CLOCK)
    assert second.path.name == f"{first.path.stem}-2.parquet"
    assert first.path.read_bytes() == before


def test_the_same_fetch_at_the_same_clock_gives_the_same_bytes(tmp_path):
    files = [land(tmp_path / name, FETCH, [page(bar())], CLOCK).path for name in ("x", "y")]
    assert files[0].name == files[1].name
    assert files[0].read_bytes() == files[1].read_bytes()


def test_ids_sort_by_clock(tmp_path):
    later = datetime(2020, 3, 22, 1, tzinfo=UTC)
    names = [land(tmp_path, FETCH, [], clock).path.name for clock in (later, CLOCK)]
    assert sorted(names) == names[::-1]


def test_what_a_killed_process_left_is_swept_and_live_work_is_not(tmp_path):
    staging = tmp_path / "raw" / ".staging"
    staging.mkdir(parents=True)
    (staging / "dead.part").write_bytes(b"half a file")
    alive = staging / "alive.part"
    with open(alive, "wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        land(tmp_path, FETCH, [page(bar())], CLOCK)
        assert alive.exists()
    assert not (staging / "dead.part").exists()


def test_many_row_groups_read_back_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_ROWS_PER_GROUP", 3)
    pages = [page(bar(day=day), bar(day=day + 1)) for day in range(1, 20, 2)]
    landed = land(tmp_path, FETCH, pages, CLOCK)
    file = pq.ParquetFile(landed.path)
    assert file.metadata.num_row_groups == 5
    assert [t.day for t in file.read(["t"]).column("t").to_pylist()] == list(range(1, 21))


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "pyarrow.parquet.ParquetWriter.close"])
def test_a_full_disk_is_one_clear_line_and_no_partial_file(tmp_path, monkeypatch, call):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(call, full)
    with pytest.raises(DataError, match="No space left on device; nothing of this fetch") as caught:
        land(tmp_path, FETCH, [page(bar())], CLOCK)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert leftovers(tmp_path) == []


def test_a_file_that_does_not_read_back_is_not_published(tmp_path, monkeypatch):
    class Short:
        num_rows = 0

    monkeypatch.setattr(writer.pq, "read_metadata", lambda path: Short())
    with pytest.raises(DataError, match="reads back 0 rows of 1"):
        land(tmp_path, FETCH, [page(bar())], CLOCK)
    assert leftovers(tmp_path) == []


def test_endpoints_without_symbols_or_windows_land_too(tmp_path):
    asset = {
        "id": "1",
        "class": "us_equity",
        "exchange": "NYSE",
        "symbol": "AAA",
        "status": "active",
        "tradable": True,
    }
    page_of_assets = Page(table_of(ASSETS, [asset]), "c" * 64, "https://host/v2/assets", "h")
    landed = land(tmp_path, Fetch(ASSETS, "assets", "h"), [page_of_assets], CLOCK)
    assert pq.ParquetFile(landed.path).read().column("symbol").to_pylist() == ["AAA"]
    assert pq.read_metadata(landed.path).metadata[b"trademl_symbols"] == b""


def test_the_same_text_may_come_plain_and_as_a_dictionary(tmp_path):
    plain, coded = page(bar(), bar("BBB")), page(bar(day=3), bar("BBB", day=3))
    place = coded.rows.column_names.index("symbol")
    symbols = coded.rows.column("symbol").dictionary_encode()
    coded = replace(coded, rows=coded.rows.set_column(place, "symbol", symbols))
    files = [land(tmp_path, FETCH, pages, CLOCK).path for pages in ([plain, coded], [coded, plain])]
    for path in files:
        table = pq.ParquetFile(path).read()
        assert table.schema.equals(BARS.schema)
        assert table.column("symbol").to_pylist() == ["AAA", "BBB"] * 2


@pytest.mark.parametrize(
    ("name", "number"), [("n", 2**63), ("n", 2**70), ("n", -(2**80)), ("v", 10**400)]
)
def test_a_number_beyond_its_type_costs_itself(name, number):
    rows = table_of(BARS, [bar(), bar(day=3, spin="up") | {name: number}]).to_pylist()
    assert (rows[0][name], rows[0]["extra"]) == (bar()[name], None)
    assert rows[1][name] is None
    assert json.loads(rows[1]["extra"]) == {name: str(number), "spin": "up"}


@pytest.mark.parametrize(
    ("name", "value"), [("n", 1.5), ("n", 1e308), ("c", "cheap"), ("v", True), ("t", "yesterday")]
)
def test_a_value_of_another_type_costs_itself_among_good_ones(name, value):
    usual = bar() | {"t": "2020-03-02T05:00:00Z"}
    odd = usual | {name: value}
    first, second = table_of(BARS, [usual, odd]).to_pylist()
    assert first["extra"] is None
    assert (second[name], json.loads(second["extra"])) == (None, {name: str(value)})
    with pytest.raises(SchemaDrift, match=f"field {name}:"):
        table_of(BARS, [odd, odd])


def test_a_whole_number_that_no_float_is_lands_as_the_next_one():
    (row,) = table_of(BARS, [bar() | {"v": 2**60 + 1}]).to_pylist()
    assert (row["v"], row["extra"]) == (2.0**60, None)


def test_a_row_without_a_key_costs_itself(tmp_path):
    bars = [bar(), bar() | {"symbol": None}, bar("BBB") | {"t": None}, bar("BBB")]
    landed = land(tmp_path, FETCH, [page(*bars)], CLOCK)
    found = pq.ParquetFile(landed.path).read().select(["symbol", "t"]).to_pylist()
    assert found == [{"symbol": row["symbol"], "t": row["t"]} for row in bars]
    assert bookmarks.landed(tmp_path, BARS)[0].newest == bars[0]["t"]


def test_a_row_whose_key_is_not_even_sent_is_drift():
    with pytest.raises(SchemaDrift, match="field symbol is absent in row 1"):
        table_of(BARS, [bar(), {name: value for name, value in bar().items() if name != "symbol"}])


def test_a_time_beyond_all_times_is_none():
    assert utc_of([1_600_000_000], "s", BARS)[0].as_py() == datetime(
        2020, 9, 13, 12, 26, 40, tzinfo=UTC
    )
    for number in (5 * 10**18, 2**63, -(10**17)):
        assert utc_of([number, 0], "ms", BARS).to_pylist() == [
            None,
            datetime(1970, 1, 1, tzinfo=UTC),
        ]
