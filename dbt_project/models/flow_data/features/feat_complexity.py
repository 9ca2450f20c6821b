"""One row per security and session: order, memory, tails and trend strength of its returns.

These are recursive or need whole sorted windows, so they are computed by trademl.quant and not in
SQL. A value depends only on its own window, or for ADX on the bars before it, so an
increment and a full build agree bit for bit.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from trademl.quant.complexity import rolling_hurst, rolling_permutation_entropy, rolling_tail_means
from trademl.quant.trend import wilder_adx

YEAR = 252
ENTROPY_WINDOW = 120
SHORTEST = 60
MEASURES = ("entropy", "hurst", "cvar", "tail_gain", "adx")

EQUITIES = """
    select security_id, session_date, high * split_factor as high, low * split_factor as low,
        close_split_adj as close, ret, known_at
    from equities
"""
CRYPTO = """
    select security_id, session_date, high, low, close, ret, known_at
    from crypto
    where reject_reason is null
"""


def model(dbt, session):
    """Computes the sessions from int_complexity_window on; dbt replaces them in the table."""
    dbt.config(
        materialized="incremental", incremental_strategy="delete+insert", unique_key="session_date"
    )
    equities, crypto = dbt.ref("equities_ohlcv_adj"), dbt.ref("crypto_ohlcv")  # noqa: F841
    from_date = dbt.ref("int_complexity_window").fetchone()[0]
    bars = session.sql(
        f"select * from ({EQUITIES} union all {CRYPTO}) order by security_id, session_date"
    ).to_arrow_table()
    return _statistics(bars, np.datetime64(from_date))


def _statistics(bars, from_date):
    days = bars["session_date"].to_numpy()
    columns = {name: bars[name].to_numpy() for name in ("high", "low", "close", "ret")}
    measures = {
        name: np.full(len(days), np.nan)
        for name in ("entropy", "hurst", "cvar", "tail_gain", "adx")
    }
    codes = bars["security_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    edges = np.flatnonzero(np.diff(codes, prepend=-1, append=-1))
    for start, stop in pairwise(edges):
        _fill(
            measures,
            {name: values[start:stop] for name, values in columns.items()},
            days[start:stop],
            start,
            from_date,
        )
    wanted = days >= from_date
    table = pa.table(
        {
            "security_id": bars["security_id"],
            "session_date": bars["session_date"],
            **{name: pa.array(values, from_pandas=True) for name, values in measures.items()},
            "known_at": bars["known_at"],
        }
    )
    return table.filter(pa.array(wanted))


def _fill(measures, series, days, start, from_date):
    """Writes one security's measures; only the needed tail of the windowed ones is computed."""
    first = int(np.searchsorted(days, from_date))
    stop = start + len(days)
    measures["adx"][start:stop] = wilder_adx(series["high"], series["low"], series["close"])
    begin = max(0, first - YEAR)
    returns = series["ret"][begin:]
    if len(returns) < SHORTEST:
        return
    rows = slice(start + begin, stop)
    measures["entropy"][rows] = rolling_permutation_entropy(returns, ENTROPY_WINDOW, 3, SHORTEST)
    measures["hurst"][rows] = rolling_hurst(returns, YEAR, SHORTEST)
    measures["cvar"][rows], measures["tail_gain"][rows] = rolling_tail_means(
        returns, YEAR, 0.05, SHORTEST
    )
