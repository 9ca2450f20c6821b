"""The returns matrix of a run: candidates by joint sessions, dense and never filled.

The order of the steps is part of the meaning: a short history is dropped before the
share of missing sessions is judged, because one late listing would otherwise truncate everybody.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from optimize.profiles import DataSection
from trademl.errors import DataError, GateFailed
from trademl.quant.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ReturnsMatrix:
    """Simple returns, sessions down and securities across.

    Attributes:
        dates: T sessions, ascending.
        names: n column names.
        values: Shape (T, n), a share of the price the session before.
    """

    dates: tuple[date, ...]
    names: tuple[str, ...]
    values: FloatArray

    def select(self, names: tuple[str, ...]) -> "ReturnsMatrix":
        """The same sessions with only these columns, in this order."""
        positions = {name: position for position, name in enumerate(self.names)}
        columns = [positions[name] for name in names]
        return ReturnsMatrix(self.dates, names, np.ascontiguousarray(self.values[:, columns]))

    def to_arrow(self) -> pa.Table:
        """A table with the UTC midnight of each session as ``date``, then one column per name."""
        index = (
            pa.array(self.dates, pa.date32())
            .cast(pa.timestamp("us"))
            .cast(pa.timestamp("us", "UTC"))
        )
        columns = [pa.array(column) for column in self.values.T]
        return pa.table([index, *columns], names=["date", *self.names])


def read_matrix(path: Path) -> ReturnsMatrix:
    """A matrix as ``to_arrow`` wrote it.

    Raises:
        DataError: The file is missing or is not such a table.
    """
    try:
        table = pq.read_table(path)
        days = table["date"].cast(pa.date32()).to_pylist()
        names = tuple(name for name in table.column_names if name != "date")
        columns = [table[name].cast(pa.float64()).to_numpy() for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path.name} cannot be read: {reason}") from error
    values = np.column_stack(columns) if columns else np.empty((len(days), 0))
    return ReturnsMatrix(tuple(days), names, np.ascontiguousarray(values))


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A returns matrix and what was given up to get it.

    Attributes:
        matrix: What is left.
        dropped: Column name to the reason it was dropped.
        counts: Rows and columns before and after, for the ledger.
    """

    matrix: ReturnsMatrix
    dropped: dict[str, str]
    counts: dict[str, int]


def read_returns(
    connection: duckdb.DuckDBPyConnection,
    asset_class: str,
    decision_date: date,
    lookback_days: int,
    names: dict[str, str],
) -> ReturnsMatrix:
    """Pivots the long matrix of the lake; a cell without a row is NaN.

    Args:
        connection: A read-only connection on a published version.
        asset_class: ``equity`` or ``crypto``.
        decision_date: The last session to read.
        lookback_days: How many sessions of that asset class to read.
        names: Security id to column name.
    """
    sessions = [
        row[0]
        for row in connection.execute(
            "select distinct session_date from matrices.returns_matrix "
            "where asset_class = $1 and session_date <= $2 "
            "order by session_date desc limit $3",
            [asset_class, decision_date, lookback_days],
        ).fetchall()
    ][::-1]
    ids = sorted(names, key=lambda security: names[security])
    rows = connection.execute(
        "select security_id, session_date, ret from matrices.returns_matrix "
        "where asset_class = $1 and session_date between $2 and $3 and ret is not null "
        "and security_id in (select unnest($4::varchar[])) order by security_id, session_date",
        [asset_class, sessions[0] if sessions else decision_date, decision_date, ids],
    ).to_arrow_table()
    values = np.full((len(sessions), len(ids)), np.nan)
    row_of = {session: position for position, session in enumerate(sessions)}
    column_of = {security: position for position, security in enumerate(ids)}
    at_rows = [row_of[day] for day in rows["session_date"].to_pylist()]
    at_columns = [column_of[security] for security in rows["security_id"].to_pylist()]
    values[at_rows, at_columns] = rows["ret"].to_numpy()
    return ReturnsMatrix(tuple(sessions), tuple(names[security] for security in ids), values)


def build_matrix(
    raw: ReturnsMatrix, rules: DataSection, exchange_traded: frozenset[str] = frozenset()
) -> Aggregation:
    """Applies the trimming rules in their fixed order.

    Args:
        raw: The pivoted returns with NaN where there was no bar.
        rules: The profile's data section.
        exchange_traded: Names whose market closes. In a mixed pool the days on which none of them
            has a value go first, or every one of them would miss two days in seven.

    Raises:
        GateFailed: Strict health met a missing bar, or fewer than ``min_days_floor`` joint
            sessions or no column is left.
    """
    dropped: dict[str, str] = {}
    trimmed = _drop_closed_sessions(raw, exchange_traded)
    if rules.strict_health:
        _require_health(trimmed)
    trimmed = _drop_columns(trimmed, _unfit_columns(trimmed, rules), dropped)
    trimmed = _drop_columns(trimmed, _holey_columns(trimmed, rules.max_missing_ratio), dropped)
    matrix = _keep_sessions(trimmed, np.asarray(np.isfinite(trimmed.values).all(axis=1)))
    counts = {
        "sessions_before": len(raw.dates),
        "sessions_after": len(matrix.dates),
        "symbols_before": len(raw.names),
        "symbols_after": len(matrix.names),
    }
    _require_history(matrix, rules, counts)
    return Aggregation(matrix, dropped, counts)


def _drop_closed_sessions(raw: ReturnsMatrix, exchange_traded: frozenset[str]) -> ReturnsMatrix:
    columns = [name in exchange_traded for name in raw.names]
    if not any(columns):
        return raw
    return _keep_sessions(raw, np.asarray(np.isfinite(raw.values[:, columns]).any(axis=1)))


def _keep_sessions(matrix: ReturnsMatrix, is_kept: NDArray[np.bool_]) -> ReturnsMatrix:
    days = tuple(matrix.dates[row] for row in np.flatnonzero(is_kept))
    return ReturnsMatrix(days, matrix.names, matrix.values[is_kept])


def _require_health(matrix: ReturnsMatrix) -> None:
    """Strict health: a candidate may start late but must not miss a bar after that."""
    for name, column in zip(matrix.names, matrix.values.T, strict=True):
        present = np.flatnonzero(np.isfinite(column))
        if present.size and present.size < len(column) - present[0]:
            missing = int(len(column) - present[0] - present.size)
            raise GateFailed(
                f"HEALTH_MISSING_BARS: {name} misses {missing} bars in the window: backfill them "
                "or use a profile without strict_health"
            )


def _unfit_columns(matrix: ReturnsMatrix, rules: DataSection) -> dict[str, str]:
    """Short histories, toxic returns and streams that never move."""
    reasons: dict[str, str] = {}
    for name, column in zip(matrix.names, matrix.values.T, strict=True):
        finite = column[np.isfinite(column)]
        if finite.size < rules.min_days_floor:
            reasons[name] = f"history {finite.size} < {rules.min_days_floor} sessions"
        elif float(np.abs(finite).max()) > rules.max_abs_return:
            reasons[name] = f"toxic return {float(np.abs(finite).max()):.2f}"
        elif float(np.ptp(finite)) == 0.0:
            reasons[name] = "zero variance"
    return reasons


def _holey_columns(matrix: ReturnsMatrix, max_missing_ratio: float) -> dict[str, str]:
    shares = np.isnan(matrix.values).mean(axis=0) if matrix.names else np.array([])
    return {
        name: f"missing {share:.1%} of the sessions"
        for name, share in zip(matrix.names, shares, strict=True)
        if share > max_missing_ratio
    }


def _drop_columns(
    matrix: ReturnsMatrix, reasons: dict[str, str], dropped: dict[str, str]
) -> ReturnsMatrix:
    dropped.update(reasons)
    return matrix.select(tuple(name for name in matrix.names if name not in reasons))


def _require_history(matrix: ReturnsMatrix, rules: DataSection, counts: dict[str, int]) -> None:
    if not matrix.names or len(matrix.dates) < rules.min_days_floor:
        raise GateFailed(
            f"RETURNS_TOO_SHORT: {counts['symbols_after']} of {counts['symbols_before']} symbols "
            f"and {counts['sessions_after']} of {counts['sessions_before']} sessions are left, "
            f"min_days_floor is {rules.min_days_floor}: land more history or lower the floor"
        )
