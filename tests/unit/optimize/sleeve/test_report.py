"""What a run's report says of its universe."""

from datetime import date

import duckdb

from optimize.sleeve.report import universe_sentence

DAY = date(2024, 6, 3)


def test_the_universe_is_told_by_rule_and_share_class() -> None:
    connection = duckdb.connect()
    connection.execute("create schema reference")
    connection.execute("""
        create table reference.universe_counts as from (values
            (date '2024-06-03', 'SHARE_CLASS', 'etf', false, 1),
            (date '2024-06-03', 'LET_IN', 'unknown', true, 2),
            (date '2024-06-03', 'LET_IN', 'common_stock', true, 480),
            (date '2024-05-31', 'SHARE_CLASS', 'etf', false, 7)
        ) as counts (session_date, rule, share_class, is_eligible, securities)
    """)
    assert universe_sentence(connection, DAY) == (
        "The universe on 2024-06-03 by rule and share class (as told later, not point in time): "
        "LET_IN 480 common_stock, 2 unknown; SHARE_CLASS 1 etf."
    )
    assert universe_sentence(connection, date(2024, 6, 4)) == ""
