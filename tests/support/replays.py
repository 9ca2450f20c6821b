"""A market with minutes, options and earnings, and how the connectors' tests run against it."""

from datetime import UTC, date, datetime, time, timedelta

from ingest.sync import run_ingest
from tests.support.markets import MORNING_AFTER, small_market, trading_days, write
from trademl.settings import Settings

SECRET = "hush-hush"
KEYS = Settings(
    alpaca_key_id="test-key",
    alpaca_secret_key=SECRET,
    massive_api_key=SECRET,
    finnhub_api_key=SECRET,
    _env_file=None,
)
EXPIRIES = (date(2020, 3, 20), date(2020, 4, 17))


def run(server, data, vendor, dataset, clock=MORNING_AFTER, **options):
    chosen = {"settings": KEYS, "base_url": server.url, **options}
    return run_ingest(vendor, dataset, data_dir=data, clock=clock, **chosen)


def minute_rows():
    """Nine minutes of two names on two Fridays, one before and one after summer time began."""
    return [
        {
            "symbol": symbol,
            "ts": datetime.combine(date(2020, 3, day), time(hour, minute)),
            "open": 10.0 + minute / 8,
            "high": 11.0 + minute / 8,
            "low": 9.0 + minute / 8,
            "close": 10.5 + minute / 8,
            "volume": 100 * hour + minute,
        }
        for symbol in ("AAA", "BRK.B")
        for day in (6, 13)
        for hour, minute in [
            (4, 0),
            (9, 29),
            (9, 30),
            (9, 31),
            (9, 35),
            (15, 58),
            (15, 59),
            (19, 59),
        ]
    ]


def option_rows():
    """Two expiries of two underlyings, quoted on two days; on the first day at other prices."""
    return [
        {
            "underlier": underlier,
            "ts": datetime.combine(date(2020, 3, day), time()),
            "expiry": expiry,
            "strike": strike,
            "cp_flag": flag,
            "bid": None if strike > 40 else strike / 10 + day,
            "ask": strike / 10 + day + 0.25,
            "bid_size": 0.0 if strike > 40 else 3.0,
            "ask_size": 8.0,
        }
        for underlier in ("AAA", "BRK.B")
        for day in (19, 20)
        for expiry in EXPIRIES
        for strike in (37.5, 40.0, 42.5)
        for flag in "CP"
    ]


def earnings_rows():
    """One date per session and name, told two weeks ahead."""
    return [
        {
            "symbol": symbol,
            "earnings_date": day,
            "announced_at": datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
            - timedelta(days=14),
        }
        for symbol in ("AAA", "BBB", "BRK.B")
        for day in trading_days()
    ]


def rich_market(market):
    """The small market with minutes, options and earnings dates."""
    small_market(market)
    write(market, "equities_minute", minute_rows())
    write(market, "options_quotes", option_rows())
    write(market, "earnings_dates", earnings_rows())
    return market
