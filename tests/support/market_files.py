"""Reads a market directory back, the way an outsider would."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pyarrow.parquet as pq

Row = dict[str, Any]


def rows_of(market: Path, table: str) -> list[Row]:
    return pq.read_table(market / f"{table}.parquet").to_pylist()


def planted(market: Path, kind: str) -> list[Row]:
    listed = json.loads((market / "defects.json").read_text())
    return [defect for defect in listed if defect["kind"] == kind]


def only(market: Path, kind: str) -> Row:
    (defect,) = planted(market, kind)
    return defect


def bars_of(market: Path, symbol: str) -> dict[date, Row]:
    return {
        row["date"]: row for row in rows_of(market, "equities_daily") if row["symbol"] == symbol
    }


def xnys_sessions(start: date, end: date) -> list[date]:
    calendar = exchange_calendars.get_calendar("XNYS", start=start, end=end)
    return [moment.date() for moment in calendar.sessions.to_pydatetime()]


def clean_levels(market: Path, sessions: list[date]) -> np.ndarray:
    """Cumulative log total returns of the names with every session and no dirt, from the files.

    A session's return is close * ratio / (close before - dividend), so it only comes out smooth
    where splits and dividends agree with the prices.
    """
    told = {"split", "late_split", "dividend"}
    listed = json.loads((market / "defects.json").read_text())
    dirty = {defect["symbol"] for defect in listed if defect["kind"] not in told}
    closes: dict[str, dict[date, float]] = {}
    for row in rows_of(market, "equities_daily"):
        closes.setdefault(row["symbol"], {})[row["date"]] = row["close"]
    ratios = {(row["symbol"], row["ex_date"]): row["ratio"] for row in rows_of(market, "splits")}
    cash = {(row["symbol"], row["ex_date"]): row["cash"] for row in rows_of(market, "dividends")}
    levels = []
    for symbol in sorted(closes.keys() - dirty):
        if list(closes[symbol]) != sessions:
            continue
        close = np.array(list(closes[symbol].values()))
        ratio = np.array([ratios.get((symbol, day), 1.0) for day in sessions])
        paid = np.array([cash.get((symbol, day), 0.0) for day in sessions])
        steps = np.log(close[1:] * ratio[1:] / (close[:-1] - paid[1:]))
        levels.append(np.concatenate([[0.0], np.cumsum(steps)]))
    return np.array(levels).T


def rank_correlations(score: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Spearman correlation per row."""
    left, right = (x.argsort(axis=1).argsort(axis=1).astype(float) for x in (score, outcome))
    left -= left.mean(axis=1, keepdims=True)
    right -= right.mean(axis=1, keepdims=True)
    joint = (left * right).sum(axis=1)
    return joint / np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
