"""The vendors without a socket: files of reference data and exchange calendars."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ingest.sync import run_ingest
from ingest.vendors.registry import DATASETS
from tests.support.markets import landed_rows, leftovers, listing, write
from trademl.errors import ConfigError, DataError, SchemaDrift
from trademl.sessions import last_completed, sessions_before, sessions_between
from trademl.settings import Settings

CLOCK = datetime(2020, 3, 21, 13, tzinfo=UTC)


def ingest(tmp_path, vendor, dataset, clock=CLOCK, folder="reference", **options):
    reference = tmp_path / folder if folder else None
    return run_ingest(
        vendor,
        dataset,
        data_dir=tmp_path / "data",
        clock=clock,
        settings=Settings(reference_dir=reference, _env_file=None),
        **options,
    )


def test_sectors_come_from_listings_and_the_rest_is_kept(tmp_path):
    write(tmp_path / "reference", "listings", [listing("AAA"), listing("BBB")])
    report = ingest(tmp_path, "file", "sectors")
    assert (len(report.files), report.rows, report.calls) == (1, 2, 0)
    found = landed_rows(
        tmp_path / "data", "file/sectors", "select symbol, sector, source_uri, extra from landed"
    )
    assert found[0] == (
        "AAA",
        "Energy",
        "file:listings.parquet",
        '{"first_bar_date":"2020-02-24","ipo_date":"2020-02-24"}',
    )


def test_a_csv_of_its_own_comes_first(tmp_path):
    write(tmp_path / "reference", "listings", [listing("AAA")])
    (tmp_path / "reference" / "sectors.csv").write_text("symbol,sector\nTRUE,Banks\nBBB,\n")
    ingest(tmp_path, "file", "sectors")
    found = landed_rows(
        tmp_path / "data", "file/sectors", "select symbol, sector, name from landed"
    )
    assert found == [("TRUE", "Banks", None), ("BBB", None, None)]


TICKERS = ("NA", "NAN", "NULL", "TRUE", "ON", "NO", "Y", "INF")


@pytest.mark.parametrize(
    ("dataset", "header", "line"),
    [
        ("sectors", "symbol,name,sector", "{},Some Corp,NA"),
        ("index_membership", "index_name,symbol,start_date,end_date", "SP500,{},2015-01-02,null"),
    ],
)
def test_a_ticker_that_looks_like_no_value_is_a_ticker(tmp_path, dataset, header, line):
    """In other columns NA and null are still no value."""
    (tmp_path / "reference").mkdir()
    lines = [header, *(line.format(ticker) for ticker in TICKERS)]
    (tmp_path / "reference" / f"{dataset}.csv").write_text("\n".join(lines) + "\n")
    ingest(tmp_path, "file", dataset)
    last = header.split(",")[-1]
    query = f"select symbol, {last} from landed"
    found = landed_rows(tmp_path / "data", f"file/{dataset}", query)
    assert found == [(ticker, None) for ticker in TICKERS]


def test_a_file_lands_again_only_when_it_changed(tmp_path):
    write(tmp_path / "reference", "listings", [listing("AAA")])
    assert len(ingest(tmp_path, "file", "sectors").files) == 1
    later = CLOCK + timedelta(days=30)
    idle = ingest(tmp_path, "file", "sectors", later)
    assert (idle.files, idle.skipped) == (
        (),
        ("listings.parquet has not changed since it was landed",),
    )
    write(tmp_path / "reference", "listings", [listing("AAA"), listing("BBB")])
    assert ingest(tmp_path, "file", "sectors", CLOCK + timedelta(minutes=1)).rows == 2


@pytest.mark.parametrize("folder", [None, "empty"])
def test_no_file_is_no_data_and_not_an_error(tmp_path, folder):
    report = ingest(tmp_path, "file", "earnings_dates", folder=folder)
    assert report.files == ()
    assert report.skipped[0].startswith("no data: ")
    assert "earnings_dates.parquet" in report.skipped[0]


def test_earnings_dates_keep_the_time_of_announcement(tmp_path):
    told = datetime(2020, 3, 1, 21, tzinfo=UTC)
    row = {"symbol": "AAA", "earnings_date": date(2020, 4, 1), "announced_at": told}
    write(tmp_path / "reference", "earnings_dates", [row])
    ingest(tmp_path, "file", "earnings_dates")
    found = landed_rows(
        tmp_path / "data",
        "file/earnings_dates",
        "select earnings_date, epoch(announced_at) from landed",
    )
    assert found == [(date(2020, 4, 1), told.timestamp())]


def test_a_broken_file_and_a_file_without_its_key_are_refused(tmp_path):
    reference = tmp_path / "reference"
    reference.mkdir()
    (reference / "sectors.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"sectors.parquet cannot be read"):
        ingest(tmp_path, "file", "sectors")
    (reference / "sectors.parquet").unlink()
    (reference / "sectors.csv").write_text("ticker,sector\nAAA,Banks\n")
    with pytest.raises(SchemaDrift, match="symbol is absent"):
        ingest(tmp_path, "file", "sectors")
    assert leftovers(tmp_path / "data") == []


def test_sessions_land_with_their_hours_and_early_closes(tmp_path):
    span = {"start": date(2020, 11, 20), "end": date(2020, 11, 30)}
    ingest(tmp_path, "exchange_calendars", "sessions", **span)
    found = landed_rows(
        tmp_path / "data",
        "exchange_calendars/sessions",
        "select session_date, strftime(open_at, '%H:%M'), strftime(close_at, '%H:%M'), "
        "is_early_close from landed where exchange = 'XNYS'",
    )
    days = [day for day, *_ in found]
    assert date(2020, 11, 26) not in days
    assert len(days) == 6
    assert (date(2020, 11, 27), "14:30", "18:00", True) in found
    assert (date(2020, 11, 30), "14:30", "21:00", False) in found


def test_a_calendar_lands_once_in_twelve_hours_unless_more_is_wanted(tmp_path):
    def run(hours, **span):
        clock = CLOCK + timedelta(hours=hours)
        return len(ingest(tmp_path, "exchange_calendars", "sessions", clock, **span).files)

    assert run(0) == 1
    assert run(11) == 0
    assert run(11, start=date(2019, 1, 1)) == 0
    assert run(11, start=date(1995, 1, 1)) == 1
    assert run(24) == 1


def test_the_last_session_is_complete_when_it_is_closed_and_published():
    lag = timedelta(minutes=16)
    half_day = datetime(2020, 11, 27, 18, 16, tzinfo=UTC)
    assert last_completed(half_day, lag) == date(2020, 11, 27)
    assert last_completed(half_day - timedelta(minutes=1), lag) == date(2020, 11, 25)
    assert last_completed(datetime(2001, 9, 16, tzinfo=UTC), lag) == date(2001, 9, 10)


def test_closing_time_follows_summer_time():
    closes = {
        session.day: session.close_at.hour
        for session in sessions_between(date(2020, 3, 6), date(2020, 3, 9))
    }
    assert closes == {date(2020, 3, 6): 21, date(2020, 3, 9): 20}


def test_stepping_back_counts_sessions():
    assert sessions_before(date(2020, 11, 30), 5) == date(2020, 11, 23)
    assert sessions_before(date(2020, 11, 29), 2) == date(2020, 11, 25)


def test_wrong_usage_is_told_before_anything_is_asked(tmp_path):
    with pytest.raises(ConfigError, match="'bars' is not a dataset of alpaca; there are: assets"):
        ingest(tmp_path, "alpaca", "bars")
    with pytest.raises(ConfigError, match="start 2020-02-01 is after end 2020-01-01"):
        ingest(
            tmp_path, "exchange_calendars", "sessions", start=date(2020, 2, 1), end=date(2020, 1, 1)
        )
    with pytest.raises(ConfigError, match="set APCA_API_KEY_ID"):
        ingest(tmp_path, "alpaca", "assets")
    with pytest.raises(ConfigError, match="leave --symbols away"):
        ingest(tmp_path, "exchange_calendars", "sessions", symbols=["AAA"])
    assert leftovers(tmp_path / "data") == []
    assert {"alpaca", "binance", "exchange_calendars", "file"} <= {vendor for vendor, _ in DATASETS}
