"""What the lake and the universe kept away from a run, by rule, with counts and names."""

from collections.abc import Sequence
from datetime import date

import duckdb

from trademl.report import LeftOutRow

SHOWN = 8
"""Names that one row lists."""

REASONS = {
    "quality.quarantine_bars": """
        select 'Bars' as what, reason, count(*) as number, list(symbol order by symbol) as names
        from quality.quarantine_bars
        where asset_class = $asset_class and verdict = 'rejected' and session_date <= $day
        group by reason
    """,
    "quality.quarantine_corp_actions": """
        select 'Events' as what, reason, count(*) as number, list(symbol order by symbol) as names
        from quality.quarantine_corp_actions
        where $asset_class = 'equity' and verdict = 'rejected' and ex_date <= $day
        group by reason
    """,
    "reference.universe_counts": """
        with rules as (
            unpivot (
                select
                    symbol, not is_let_in as not_common, not is_listed as not_listed,
                    not has_price as price_too_low, not has_adv60 as volume_too_low,
                    not is_seasoned as history_too_short
                from reference.universe
                where session_date = $day and $asset_class = 'equity'
            )
            on not_common, not_listed, price_too_low, volume_too_low, history_too_short
            into name reason value is_broken
        )
        select
            'Names' as what, upper(reason) as reason, count(*) as number,
            list(symbol order by symbol) as names
        from rules where is_broken group by reason
    """,
    "reference.symbols": """
        select
            'Tickers' as what, 'SEVERAL_COMPANIES' as reason, count(*) as number,
            list(symbol order by symbol) as names
        from (
            select symbol from reference.symbols
            where asset_class = $asset_class and valid_from <= $day
            group by symbol having count(distinct security_id) > 1
        )
        having count(*) > 0
    """,
    "curated.equities_ohlcv_adj": """
        select
            'Returns' as what, flag as reason, count(*) as number,
            list(symbol order by symbol) as names
        from curated.equities_ohlcv_adj
        where
            $asset_class = 'equity' and session_date <= $day
            and ret is null and flag is not null
        group by flag
    """,
}
"""By table: kinds of things left out, the reason, how many, and whose."""


def left_out(
    connection: duckdb.DuckDBPyConnection, tables: set[str], asset_class: str, decision_date: date
) -> tuple[LeftOutRow, ...]:
    """Everything that the lake kept away, up to the decision date.

    Args:
        connection: A read-only connection on a published version.
        tables: The tables that the version has.
        asset_class: ``equity`` or ``crypto``.
        decision_date: Rows after it say nothing of this run.
    """
    given = {"asset_class": asset_class, "day": decision_date}
    rows = []
    for table, query in REASONS.items():
        if table in tables:
            found = connection.execute(f"from ({query}) order by 1, 2", given).fetchall()
            rows += [
                LeftOutRow(what, reason, n, shorten(names)) for what, reason, n, names in found
            ]
    return tuple(rows)


def shorten(names: Sequence[str]) -> str:
    """The first distinct names, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return ", ".join(distinct[:SHOWN]) + more
