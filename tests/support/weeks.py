"""A market of every file that the replay reads, and what of it a node is to have landed, as SQL."""

from datetime import UTC, date, datetime, time

import duckdb

from ingest.vendors.registry import ENDPOINTS
from simulator.replay.vendors.sec_removals import FIRST_CIK
from tests.support.markets import FIRST, SYMBOLS, listing, small_market, trading_days, write
from tests.support.replays import earnings_rows
from tests.support.vendors import fact, figures, macro_rows
from trademl.settings import Settings

KEY = "abcdefghijklmnopqrstuvwxyz012345"
ALL_KEYS = Settings(
    alpaca_key_id="test-key",
    alpaca_secret_key=KEY,
    alphavantage_key=KEY,
    finnhub_api_key=KEY,
    fmp_key=KEY,
    fred_key=KEY,
    massive_api_key=KEY,
    sec_user_agent="Zeta Research ops@example.org",
    macro_series=("GDPX",),
    _env_file=None,
)
GONE = "OLD"


def whole_market(market):
    """The small market with minutes, options, earnings, macro, filings, statements, a removal."""
    small_market(market)
    gone = {"first_bar_date": date(2019, 12, 2), "ipo_date": date(2019, 12, 2)}
    names = [listing(symbol) for symbol in SYMBOLS]
    write(market, "listings", [*names, {**listing(GONE, date(2020, 1, 10)), **gone}])
    write(market, "equities_minute", minute_rows())
    write(market, "options_quotes", option_rows())
    write(market, "earnings_dates", earnings_rows())
    write(market, "macro_vintages", macro_rows())
    write(market, "sec_companyfacts", fact_rows())
    write(market, "fundamentals_as_received", figure_rows())
    return market


def minute_rows():
    return [
        {
            "symbol": symbol,
            "ts": datetime.combine(day, time(hour, minute)),
            "open": 10.0 + minute / 8,
            "high": 11.0 + minute / 8,
            "low": 9.0 + minute / 8,
            "close": 10.5 + minute / 8,
            "volume": 100 * hour + day.day,
        }
        for symbol in SYMBOLS
        for day in trading_days()
        for hour, minute in [(9, 30), (9, 31), (12, 0), (15, 58), (15, 59)]
    ]


def option_rows():
    return [
        {
            "underlier": underlier,
            "ts": datetime.combine(day, time()),
            "expiry": expiry,
            "strike": strike,
            "cp_flag": flag,
            "bid": strike / 10 + day.day,
            "ask": strike / 10 + day.day + 0.25,
            "bid_size": 3.0,
            "ask_size": 8.0,
        }
        for underlier in SYMBOLS
        for day in trading_days()
        for expiry in (date(2020, 4, 17), date(2020, 5, 15))
        for strike in (37.5, 40.0)
        for flag in "CP"
    ]


def fact_rows():
    """A filing of each company every other week; CIKs as EDGAR's replay counts listings."""
    return [
        fact(FIRST_CIK + place, f"{FIRST_CIK + place:010d}-20-{number:06d}", day, 100.0 + number)
        for place in range(len(SYMBOLS))
        for number, day in enumerate(trading_days()[::9])
    ]


def figure_rows():
    accepted = datetime.combine(FIRST, time(21), tzinfo=UTC)
    return [
        figures(symbol, date(2019, 12, 31), focus, accepted, 100.0 + place)
        for place, symbol in enumerate(SYMBOLS)
        for focus in ("FY", "Q4")
    ]


WHOLE = {
    "assets": (
        "select symbol from alpaca_assets",
        "select symbol from listings",
    ),
    "crypto_filters": (
        "select symbol from binance_exchange_info",
        "select symbol from crypto_daily",
    ),
    "company_tickers": (
        "select ticker from sec_edgar_company_tickers",
        "select replace(symbol, '.', '-') from listings where last_bar_date is null",
    ),
    "equities_bars_1d": (
        "select symbol, t::date, o, h, l, c, v::bigint from alpaca_bars_1d",
        "select symbol, date, open, high, low, close, volume from equities_daily"
        " where date between (select min(t)::date from alpaca_bars_1d) and $last",
    ),
    "crypto_bars_1d": (
        "select symbol, make_timestamp(open_time * 1000)::date, open::double, close::double"
        " from binance_klines_1d",
        "select symbol, date, open, close from crypto_daily where date between"
        " (select make_timestamp(min(open_time) * 1000)::date from binance_klines_1d)"
        " and $last_day",
    ),
    "equities_bars_1m": (
        "select symbol, t, o, c, v::bigint from alpaca_bars_1m union"
        " select ticker, t, o, c, v::bigint from massive_aggs_1m",
        "select symbol, timezone('America/New_York', ts), open, close, volume"
        " from equities_minute where ts::date between"
        " (select min(t)::date from (select t from alpaca_bars_1m union all"
        " select t from massive_aggs_1m)) and $last",
    ),
    "options_chain": (
        "select option_symbol, latest_quote_bp, latest_quote_ap from alpaca_option_snapshots"
        " where ingested_at >= $begin union"
        " select contractName, bid, ask from finnhub_option_chain where ingested_at >= $begin",
        "select replace(underlier, '.', '') || strftime(expiry, '%y%m%d') || cp_flag"
        " || lpad((strike * 1000)::bigint::varchar, 8, '0'), bid, ask"
        " from options_quotes where ts::date between $first and $last",
    ),
    "corp_actions_splits": (
        "select symbol, ex_date, new_rate / old_rate from alpaca_corporate_actions"
        " where action_type in ('forward_splits', 'reverse_splits')",
        "select symbol, ex_date, ratio from splits",
    ),
    "corp_actions_dividends": (
        "select symbol, ex_date, rate from alpaca_corporate_actions"
        " where action_type = 'cash_dividends'",
        "select symbol, ex_date, cash from dividends",
    ),
    "delistings": (
        "select issuer_name from sec_edgar_form_25 union select name from massive_delisted_tickers"
        " union select companyName from fmp_delisted_companies",
        "select name from listings where last_bar_date is not null",
    ),
    "universe_pit": (
        "select replace(symbol, '-', '.') from alphavantage_listing_status_active union"
        " select ticker from massive_tickers",
        "select symbol from listings where last_bar_date is null",
    ),
    "earnings_calendar": (
        "select symbol, date from finnhub_earnings_calendar union"
        " select replace(symbol, '-', '.'), date from fmp_earnings",
        "select symbol, earnings_date from earnings_dates where announced_at <= $clock",
    ),
    "earnings_history": (
        "select replace(symbol, '-', '.'), reportedDate from alphavantage_earnings",
        "select symbol, earnings_date from earnings_dates where earnings_date < $reported",
    ),
    "macro_vintages": (
        "select series_id, date, realtime_start, value::double from fred_observations"
        " where date = date '2019-10-01'",
        "select * from (select series_id, observation_date, realtime_start, value"
        " from macro_vintages where realtime_start <= $last qualify value is distinct from"
        " lag(value) over (partition by series_id, observation_date order by realtime_start))"
        " where observation_date = date '2019-10-01'",
    ),
    "macro_vintage_dates": (
        "select series_id, vintage_date from fred_vintage_dates",
        "select distinct series_id, realtime_start from macro_vintages"
        " where series_id = 'GDPX' and realtime_start <= $asked",
    ),
    "filings_index": (
        "select cik::bigint, accessionNumber from sec_edgar_submissions",
        "select distinct cik, accn from sec_companyfacts where filed <= $last",
    ),
    "fundamentals_facts": (
        "select cik::bigint, accn, val from sec_edgar_companyfacts",
        "select cik, accn, val from sec_companyfacts where filed <= $asked",
    ),
    "fundamentals_statements": (
        "select replace(symbol, '-', '.'), date, period, revenue from fmp_income_statement",
        "select symbol, end_date, period_focus, revenues from fundamentals_as_received",
    ),
}
"""Per dataset: distinct rows landed, at whichever vendor, and what the market directory says."""


def landed_whole(data, market, **facts):
    """Per dataset: rows landed, rows of the market that are not, landed ones it does not have.

    Args:
        data: The data directory.
        market: The market directory.
        facts: ``$first``, ``$last``: sessions of the week; ``$last_day``: the last full UTC day;
            ``$begin``, ``$clock``: when it began and ended; ``$asked``: when what is asked once a
            week was asked; ``$reported``: the same of past earnings.
    """
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    for path in market.glob("*.parquet"):
        con.execute(f"create view {path.stem} as from read_parquet('{path}')")
    for endpoint in ENDPOINTS.values():
        name = endpoint.path.replace("/", "_")
        if list((data / "raw" / endpoint.path).glob("*/*.parquet")):
            files = f"'{data}/raw/{endpoint.path}/*/*.parquet'"
            source = f"read_parquet({files}, hive_partitioning = false)"
            con.execute(f"create view {name} as from {source}")
        else:
            con.register(name, endpoint.schema.empty_table())
    return {name: _compared(con, *queries, facts) for name, queries in WHOLE.items()}


def _compared(con, landed, said, facts):
    def rows(query):
        given = {name: value for name, value in facts.items() if _uses(query, name)}
        return set(con.execute(query, given).fetchall())

    have, want = rows(landed), rows(said)
    return {"rows": len(have), "missing": len(want - have), "strange": len(have - want)}


def _uses(query, name):
    return any(word.strip("(),") == f"${name}" for word in query.split())
