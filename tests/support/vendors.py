"""A market with macro vintages, company facts, statements and delistings, and a run against it."""

from datetime import UTC, date, datetime, time

from ingest.sync import run_ingest
from tests.support.markets import FIRST, LAST, MORNING_AFTER, listing, small_market, write
from trademl.settings import Settings

KEY = "abcdefghijklmnopqrstuvwxyz012345"
MAIL = "Zeta Research ops@example.org"
KEYS = Settings(
    alphavantage_key=KEY, fmp_key=KEY, fred_key=KEY, sec_user_agent=MAIL, _env_file=None
)
QUARTER = date(2019, 10, 1)
REVISIONS = {
    date(2020, 1, 30): {QUARTER: 2.1},
    date(2020, 2, 27): {QUARTER: 2.1, date(2020, 1, 1): 5.0},
    date(2020, 3, 5): {QUARTER: 2.2},
    date(2020, 3, 12): {QUARTER: 2.1},
    date(2020, 3, 19): {QUARTER: 2.1, date(2020, 1, 1): None},
    date(2020, 3, 26): {QUARTER: 9.9},
}
"""Vintages of one series: an unchanged one, a revision, its withdrawal, a missing value, the
future of the usual clock."""


def run(server, data, vendor, dataset, clock=MORNING_AFTER, **options):
    chosen = {"settings": KEYS, "base_url": server.url, **options}
    return run_ingest(vendor, dataset, data_dir=data, clock=clock, **chosen)


def macro_rows():
    vintages = [
        {"series_id": "GDPX", "observation_date": day, "realtime_start": start, "value": value}
        for start, values in REVISIONS.items()
        for day, value in values.items()
    ]
    plain = [
        {
            "series_id": "SP500",
            "observation_date": day,
            "realtime_start": None,
            "value": float(day.day),
        }
        for day in (FIRST, LAST, date(2020, 3, 24))
    ]
    return vintages + plain


def fact(cik, accn, filed, val, **changes):
    return {
        "cik": cik,
        "entity": f"Company {cik}",
        "taxonomy": "us-gaap",
        "concept": "Revenues",
        "unit": "USD",
        "start": date(2018, 1, 1),
        "end": date(2018, 12, 31),
        "val": val,
        "fy": 2018,
        "fp": "FY",
        "form": "10-K",
        "filed": filed,
        "accn": accn,
        "frame": None,
        **changes,
    }


def fact_rows():
    """Two filers; the first restates a figure a year later and files once more after the clock."""
    first = [
        fact(11, "0000000011-19-000000", date(2019, 2, 5), 100.0),
        fact(11, "0000000011-20-000001", date(2020, 2, 5), 101.5, frame="CY2018", fy=2019),
        fact(11, "0000000011-20-000002", date(2020, 2, 6), 7.0, start=None, concept="Assets"),
        fact(11, "0000000011-20-000003", date(2020, 3, 30), 102.0, form="10-K/A"),
    ]
    second = [
        fact(22, f"0000000022-19-00000{day}", date(2019, 1, day), float(day)) for day in range(1, 8)
    ]
    return first + second


def figures(symbol, end, focus, received, revenue, **changes):
    return {
        "symbol": symbol,
        "end_date": end,
        "period_focus": focus,
        "fiscal_year": end.year,
        "revenues": revenue,
        "op_income": None,
        "net_income": 1.0,
        "eps_basic": 0.5,
        "eps_diluted": 0.4,
        "assets": 9.0,
        "cur_assets": 3.0,
        "cur_liab": 2.0,
        "cash": 1.0,
        "equity": 4.0,
        "cash_flow_op": 1.0,
        "cash_flow_inv": -1.0,
        "cash_flow_fin": 0.0,
        "received_at": received,
        **changes,
    }


def figure_rows():
    """A year that is restated in place, a quarter in winter and one in summer time."""
    winter, summer = (
        datetime(2020, 2, 5, 21, 7, 41, tzinfo=UTC),
        datetime(2020, 3, 10, 20, tzinfo=UTC),
    )
    midnight = datetime(2020, 3, 12, 4, tzinfo=UTC)
    return [
        figures("AAA", date(2019, 12, 31), "FY", winter, 100.0),
        figures("AAA", date(2019, 12, 31), "FY", summer, 110.0),
        figures("AAA", date(2019, 9, 30), "Q3", winter, 25.0),
        figures("AAA", date(2019, 6, 30), "Q2", midnight, 24.0),
    ]


def listing_rows():
    """Three names that trade, and three that have gone."""
    gone = {f"OLD{day}": date(2020, 3, day) for day in (2, 3, 4)}
    return [listing(symbol) for symbol in ("AAA", "BBB", "BRK.B")] + [
        listing(symbol, last_bar_date=day) for symbol, day in gone.items()
    ]


def option_rows():
    return [
        {
            "underlier": "AAA",
            "ts": datetime.combine(date(2020, 3, day), time()),
            "expiry": date(2020, 4, 17),
            "strike": strike,
            "cp_flag": flag,
            "bid": None if strike == 12.5 else 1.25,
            "ask": 1.5,
            "bid_size": 10.0,
            "ask_size": 20.0,
        }
        for day in (19, 20)
        for strike in (10.0, 12.5)
        for flag in "CP"
    ]


def earnings_rows():
    return [
        {
            "symbol": symbol,
            "earnings_date": date(2020, 3, day),
            "announced_at": datetime(2020, 2, day, 13, tzinfo=UTC),
        }
        for symbol in ("AAA", "BBB")
        for day in range(2, 12)
    ]


def wide_market(market):
    """The small market with everything that these vendors tell."""
    small_market(market)
    write(market, "listings", listing_rows())
    write(market, "macro_vintages", macro_rows())
    write(market, "sec_companyfacts", fact_rows())
    write(market, "fundamentals_as_received", figure_rows())
    write(market, "options_quotes", option_rows())
    write(market, "earnings_dates", earnings_rows())
    return market
