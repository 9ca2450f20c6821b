"""Which part of the lake caught each planted defect of a simulated market."""

import json
from datetime import date
from pathlib import Path

import duckdb

from trademl.lake import versions as lake
from trademl.report.inputs import DefectRow

APPLIED = """
    select 1 from reference.corp_actions as events
    inner join curated.equities_ohlcv_adj as bars
        on events.security_id = bars.security_id and events.ex_date = bars.session_date
    where events.symbol = $symbol and events.ex_date = $day and events.reject_reason is null
"""
QUARANTINED = """
    select 1 from quality.quarantine_bars
    where symbol = $symbol and session_date = $day and reason = '{reason}'
"""
SUSPECTED = """
    select 1 from quality.quarantine_corp_actions
    where symbol = $symbol and ex_date = $day and reason = '{reason}'
"""

CATCHES = {
    "split": (
        "reference.corp_actions applies it: no jump in the adjusted return",
        APPLIED + "and bars.split_ratio <> 1 and abs(bars.ret) < 0.35",
    ),
    "late_split": (
        "reference.corp_actions applies it: no jump in the adjusted return",
        APPLIED + "and bars.split_ratio <> 1 and abs(bars.ret) < 0.35",
    ),
    "dividend": (
        "reference.corp_actions reinvests it in the total return",
        APPLIED + "and bars.dividend_usd > 0",
    ),
    "delisting": (
        "reference.delistings; labels end at what holders got, or at the profile's loss",
        "select 1 from reference.delistings where symbol = $symbol and last_session_date = $day",
    ),
    "rename": (
        "reference.symbols: both tickers are one security",
        """select 1 from reference.symbols as renamed
        inner join reference.symbols as earlier
            on renamed.security_id = earlier.security_id and earlier.valid_to = $day
        where renamed.symbol = $symbol""",
    ),
    "late_correction": (
        "raw keeps both versions; curated knows the correction from its landing on",
        """select 1 from raw.raw_equities_bars as bars
        inner join curated.equities_bars_asof as known
            on bars.symbol = known.symbol and bars.session_date = known.session_date
        where bars.symbol = $symbol and bars.session_date = $day
        group by known.known_at, known.ingested_at
        having count(distinct bars.close) = 2 and known.known_at = known.ingested_at""",
    ),
    "gap": (
        "quality.partition_status: RED NO_DATA",
        """select 1 from quality.partition_status
        where symbol = $symbol and dt = $day and status = 'RED' and qc_code = 'NO_DATA'""",
    ),
    "half_day": (
        "reference.calendars: early close, GREEN SHORT_SESSION",
        """select 1 from quality.partition_status
        where dt = $day and status = 'GREEN' and qc_code = 'SHORT_SESSION'""",
    ),
    "toxic_spike": (
        "quality.quarantine_bars: TOXIC_RETURN",
        QUARANTINED.format(reason="TOXIC_RETURN"),
    ),
    "weekend_bar": ("quality.quarantine_bars: NO_SESSION", QUARANTINED.format(reason="NO_SESSION")),
    "holiday_bar": ("quality.quarantine_bars: NO_SESSION", QUARANTINED.format(reason="NO_SESSION")),
    "broken_ohlc": (
        "quality.quarantine_bars: HIGH_BELOW_PRICES",
        QUARANTINED.format(reason="HIGH_BELOW_PRICES"),
    ),
    "zero_volume": (
        "quality.quarantine_bars: ZERO_VOLUME (flagged)",
        QUARANTINED.format(reason="ZERO_VOLUME"),
    ),
    "negative_price": (
        "quality.quarantine_bars: PRICE_NOT_POSITIVE",
        QUARANTINED.format(reason="PRICE_NOT_POSITIVE"),
    ),
    "missing_split": (
        "quality.quarantine_corp_actions: SPLIT_SUSPECTED (flagged)",
        SUSPECTED.format(reason="SPLIT_SUSPECTED"),
    ),
    "wrong_ratio": (
        "quality.quarantine_corp_actions: RATIO_CONTRADICTS_PRICE (flagged)",
        SUSPECTED.format(reason="RATIO_CONTRADICTS_PRICE"),
    ),
}

RED_THAT_NIGHT = "select count(*) from quality.partition_status where dt = $day and status = 'RED'"


def caught_defects(market: Path, data_dir: Path, first_night: lake.Version) -> list[DefectRow]:
    """Looks each planted defect up in the newest version.

    ``caught_by`` stays empty where nothing caught it.

    Args:
        market: A simulated market, with its defects.json.
        data_dir: The data directory the market was landed in.
        first_night: The version that was built before the last night's landing.
    """
    newest = lake.open_version(data_dir, lake.find_version(data_dir))
    before = lake.open_version(data_dir, first_night)
    rows = []
    for defect in json.loads((market / "defects.json").read_text()):
        day = date.fromisoformat(defect["session_date"])
        symbol = defect["symbol"] or ""
        if defect["kind"] == "vendor_outage":
            caught_by = _healed(before, newest, day)
        else:
            caught_by = _caught(newest, defect["kind"], symbol, day)
        rows.append(
            DefectRow(
                defect["id"], defect["kind"], symbol, str(day), defect["description"], caught_by
            )
        )
    newest.close()
    before.close()
    return rows


def _caught(connection: duckdb.DuckDBPyConnection, kind: str, symbol: str, day: date) -> str:
    where, query = CATCHES[kind]
    parameters = {"symbol": symbol, "day": day}
    used = {name: value for name, value in parameters.items() if f"${name}" in query}
    return where if connection.execute(query, used).fetchone() else ""


def _healed(before: duckdb.DuckDBPyConnection, after: duckdb.DuckDBPyConnection, day: date) -> str:
    counts = []
    for connection in (before, after):
        row = connection.execute(RED_THAT_NIGHT, {"day": day}).fetchone()
        counts.append(row[0] if row else 0)
    if counts[0] > 0 and counts[1] == 0:
        return f"quality.partition_status: {counts[0]} RED that night, healed by the next fetch"
    return ""
