"""The foundation gate: checks of shape, freshness and values on a version before a run reads it.

Every violation has its own code. Errors stop the run; warnings (stale data in a dev profile, a
return beyond 100 %) are recorded in the run. Only the rows that the run will read are judged: the
profile's asset class, the sessions of its look-back window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb
import numpy as np

from optimize.inputs.pool import EXECUTION
from optimize.inputs.returns import ReturnsMatrix
from optimize.profiles import Profile
from trademl.clock import iso
from trademl.errors import GateFailed

RETURNS = "matrices.returns_matrix"
FEATURES = "matrices.features_matrix"
CALENDARS = "reference.calendars"
DELISTINGS = "reference.delistings"
CATALOG = "quality.lakehouse_catalog"

MIN_SESSION_SHARE = 0.9
"""Of the securities of the session before that the last one must have; a tenth halts on no day."""

REQUIRED_COLUMNS = {
    RETURNS: ("symbol", "timestamp", "security_id", "asset_class", "session_date", "ret"),
    FEATURES: ("symbol", "timestamp", "sector", "security_id", "asset_class", "session_date"),
    CATALOG: ("asset_class", "security_id", *EXECUTION),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: a stable code, ``error`` or ``warning``, and what was got."""

    code: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class FoundationReport:
    """What the gate saw.

    Attributes:
        findings: All violations, in the order of the checks.
        values: The numbers that were judged, for the ledger and the report.
        decision_date: The last session of the matrix, None where there is none.
    """

    findings: tuple[Finding, ...]
    values: dict[str, Any]
    decision_date: date | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop the run."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def require(self) -> date:
        """The decision date of a passed gate.

        Raises:
            GateFailed: Any error was found; the message holds every code.
        """
        if self.errors or self.decision_date is None:
            raise GateFailed(
                "foundation gate: "
                + "; ".join(f"{finding.code}: {finding.message}" for finding in self.errors)
            )
        return self.decision_date


def validate_foundation(
    connection: duckdb.DuckDBPyConnection, profile: Profile, clock: datetime
) -> FoundationReport:
    """Checks existence, schema, freshness, values, index and coverage, in that order.

    Args:
        connection: A read-only connection on a published version.
        profile: Whose asset class, window and bounds apply.
        clock: The run's clock, which decides what is fresh.
    """
    missing = tuple(_shape_findings(connection, profile))
    if missing:
        return FoundationReport(missing, {}, None)
    facts = _facts(connection, profile)
    if not facts["rows"]:
        empty = Finding(
            "FOUNDATION_EMPTY",
            "error",
            f"{RETURNS} holds no {profile.asset_class} rows: land and build them first",
        )
        return FoundationReport((empty,), facts, None)
    findings = (
        *_freshness_findings(connection, profile, clock, facts),
        *_value_findings(profile, clock, facts),
        *_coverage_findings(connection, profile, facts),
    )
    values = {key: _plain(value) for key, value in facts.items()}
    return FoundationReport(findings, values, facts["last_session"])


def _shape_findings(connection: duckdb.DuckDBPyConnection, profile: Profile) -> Iterator[Finding]:
    """Missing tables, else missing columns, else a timestamp that is not UTC."""
    columns = _columns(connection)
    needed = [*REQUIRED_COLUMNS] + ([CALENDARS] if profile.data.calendar else [])
    absent = [table for table in needed if table not in columns]
    for table in absent:
        code = f"FOUNDATION_MISSING_{table.split('.')[1].upper()}"
        yield Finding(code, "error", f"{table} is not in this version: build it first")
    if absent:
        return
    for table, required in REQUIRED_COLUMNS.items():
        for column in required:
            if column not in columns[table]:
                yield Finding(
                    "FOUNDATION_MISSING_COLUMN", "error", f"{table} has no column {column!r}"
                )
        kind = columns[table].get("timestamp", "TIMESTAMP WITH TIME ZONE")
        if kind != "TIMESTAMP WITH TIME ZONE":
            yield Finding(
                "FOUNDATION_INDEX_NOT_UTC", "error", f"{table}.timestamp is {kind}, not a UTC time"
            )


def table_names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """All tables and views of the version, as ``schema.table``."""
    return set(_columns(connection))


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        "select table_schema || '.' || table_name, column_name, data_type "
        "from information_schema.columns where table_catalog = 'lake' order by all"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables


def _facts(connection: duckdb.DuckDBPyConnection, profile: Profile) -> dict[str, Any]:
    """Counts over the window; all sums are of integers, so threads cannot change them."""
    columns = _columns(connection)
    known_at = "known_at" if "known_at" in columns[RETURNS] else "null::timestamptz"
    features_known_at = "known_at" if "known_at" in columns[FEATURES] else "null::timestamptz"
    cursor = connection.execute(
        f"""
        with sessions as (
            select distinct session_date from {RETURNS} where asset_class = $asset_class
            order by session_date desc limit $lookback
        ),
        used as (
            select *, {known_at} as known_time from {RETURNS}
            where asset_class = $asset_class
                and session_date >= (select min(session_date) from sessions)
        )
        select
            count(*) as rows,
            count(distinct security_id) as securities,
            min(session_date) as first_session,
            max(session_date) as last_session,
            count(*) filter (isnan(ret) or isinf(ret)) as not_finite,
            count(*) filter (isfinite(ret) and abs(ret) > $max_abs) as toxic,
            count(*) filter (isfinite(ret) and ret < -1.0) as below_minus_one,
            count(*) filter (isfinite(ret) and abs(ret) > $warn_abs and abs(ret) <= $max_abs)
                as large,
            max(abs(ret)) filter (isfinite(ret)) as max_abs_return,
            count(*) filter (
                timestamp is null or timestamp <> (session_date::timestamp at time zone 'UTC')
            ) as off_midnight,
            count(*) - count(distinct (security_id, session_date)) as duplicates,
            greatest(
                max(known_time),
                (
                    select max({features_known_at}) from {FEATURES}
                    where asset_class = $asset_class
                        and session_date >= (select min(session_date) from sessions)
                )
            ) as last_known_at
        from used
        """,
        {
            "asset_class": profile.asset_class,
            "lookback": profile.data.lookback_days,
            "max_abs": profile.data.max_abs_return,
            "warn_abs": profile.data.warn_abs_return,
        },
    )
    row = cursor.fetchone()
    names = [column[0] for column in cursor.description or []]
    return dict(zip(names, row or (), strict=True))


def _freshness_findings(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    clock: datetime,
    facts: dict[str, Any],
) -> Iterator[Finding]:
    """Stale data fails a production profile and warns a dev one; future data always fails."""
    last: date = facts["last_session"]
    if profile.data.calendar is None:
        closed_at = datetime.combine(last + timedelta(days=1), time(), UTC)
        age_hours = (clock - closed_at).total_seconds() / 3600.0
        facts["age_hours"] = age_hours
        is_stale, is_future = age_hours > profile.data.max_age_hours, age_hours < 0.0
        expected = f"a day that closed within {profile.data.max_age_hours:g} h"
    else:
        yield from _calendar_findings(connection, profile.data.calendar, clock)
        completed = _last_completed_session(connection, profile.data.calendar, clock)
        facts["expected_session"] = completed
        is_stale, is_future = completed is None or last < completed, _is_after(last, completed)
        expected = f"{profile.data.calendar} session {completed or 'unknown: no calendar rows'}"
    if is_future:
        message = f"last session {last} had not closed at the clock {iso(clock)}"
        yield Finding("FOUNDATION_FUTURE_SESSION", "error", message)
    elif is_stale:
        level = "error" if profile.environment == "production" else "warning"
        message = (
            f"last session is {last}, the clock {iso(clock)} expects {expected}: land and build"
        )
        yield Finding("FOUNDATION_STALE", level, message)


def _calendar_findings(
    connection: duckdb.DuckDBPyConnection, exchange: str, clock: datetime
) -> Iterator[Finding]:
    """A calendar that ends before the clock's day cannot say which session to expect."""
    row = connection.execute(
        f"select max(session_date) from {CALENDARS} where exchange = $1", [exchange]
    ).fetchone()
    ends: date | None = row[0] if row else None
    if ends is not None and ends < clock.date():
        message = f"{CALENDARS} ends on {ends}, before the clock {iso(clock)}: land the sessions"
        yield Finding("FOUNDATION_CALENDAR_ENDS", "error", message)


def _is_after(last: date, completed: date | None) -> bool:
    return completed is not None and last > completed


def _last_completed_session(
    connection: duckdb.DuckDBPyConnection, exchange: str, clock: datetime
) -> date | None:
    row = connection.execute(
        f"select max(session_date) from {CALENDARS} where exchange = $1 and close_at <= $2",
        [exchange, clock],
    ).fetchone()
    session: date | None = row[0] if row else None
    return session


def _value_findings(profile: Profile, clock: datetime, facts: dict[str, Any]) -> Iterator[Finding]:
    bound, warn = profile.data.max_abs_return, profile.data.warn_abs_return
    largest = facts["max_abs_return"]
    errors = {
        "not_finite": ("FOUNDATION_NAN", "returns are NaN or infinite"),
        "toxic": ("FOUNDATION_TOXIC", f"returns exceed {bound:.0%}, the largest {largest:.0%}"),
        "below_minus_one": ("FOUNDATION_BELOW_MINUS_ONE", "returns lose more than everything"),
        "off_midnight": ("FOUNDATION_INDEX_NOT_UTC", "timestamps are not UTC midnight"),
        "duplicates": ("FOUNDATION_INDEX_NOT_UNIQUE", "rows repeat a security's session"),
    }
    for key, (code, text) in errors.items():
        if facts[key]:
            yield Finding(code, "error", f"{facts[key]} {text}: repair the data cycle")
    if facts["large"]:
        yield Finding(
            "FOUNDATION_LARGE_RETURN", "warning", f"{facts['large']} returns beyond {warn:.0%}"
        )
    known_at = facts["last_known_at"]
    if known_at is not None and known_at > clock:
        message = f"rows are known at {iso(known_at)}, after the clock {iso(clock)}"
        yield Finding("FOUNDATION_NOT_YET_KNOWN", "error", message)


def _coverage_findings(
    connection: duckdb.DuckDBPyConnection, profile: Profile, facts: dict[str, Any]
) -> Iterator[Finding]:
    """Returns without features, features without the decision date, rows outside the calendar."""
    window = [profile.asset_class, facts["first_session"]]
    bare = connection.execute(
        f"select distinct symbol from {RETURNS} as r "
        "where asset_class = $1 and session_date >= $2 and not exists "
        f"(select 1 from {FEATURES} as f where f.security_id = r.security_id "
        "and f.asset_class = r.asset_class) order by symbol",
        window,
    ).fetchall()
    if bare:
        yield Finding(
            "FOUNDATION_FEATURES_COVERAGE",
            "error",
            f"{len(bare)} symbols have returns but no features, e.g. {bare[0][0]}",
        )
    present = connection.execute(
        f"select count(*) from {FEATURES} where asset_class = $1 and session_date = $2",
        [profile.asset_class, facts["last_session"]],
    ).fetchone()
    if not present or not present[0]:
        message = f"{FEATURES} has no {profile.asset_class} rows at {facts['last_session']}"
        yield Finding("FOUNDATION_FEATURES_ABSENT", "error", message)
    for table in (RETURNS, FEATURES):
        yield from _thin_findings(connection, table, profile.asset_class, facts["last_session"])
    if profile.data.calendar is not None:
        yield from _session_findings(connection, profile.data.calendar, window)


def _thin_findings(
    connection: duckdb.DuckDBPyConnection, table: str, asset_class: str, last: date
) -> Iterator[Finding]:
    """A last session that was landed in part would leave a book of the few names it has."""
    delisted = (
        f"select security_id from {DELISTINGS} where security_id is not null"
        if DELISTINGS in table_names(connection)
        else "select null where false"
    )
    row = connection.execute(
        f"""
        with before as (
            select distinct security_id from {table}
            where asset_class = $1
                and session_date = (
                    select max(session_date) from {table}
                    where asset_class = $1 and session_date < $2
                )
                and security_id not in ({delisted})
        )
        select
            count(*),
            count(*) filter (
                security_id in (
                    select security_id from {table} where asset_class = $1 and session_date = $2
                )
            )
        from before
        """,
        [asset_class, last],
    ).fetchone()
    expected, present = row or (0, 0)
    if present < MIN_SESSION_SHARE * expected:
        message = (
            f"{table} at {last} has {present} of the {expected} securities of the session before, "
            f"needs {MIN_SESSION_SHARE:.0%}: land the rest and build"
        )
        yield Finding("FOUNDATION_THIN_SESSION", "error", message)


def _session_findings(
    connection: duckdb.DuckDBPyConnection, exchange: str, window: list[Any]
) -> Iterator[Finding]:
    """A row on a day the exchange was closed was padded or is another market's."""
    off = connection.execute(
        f"select distinct session_date from {RETURNS} "
        "where asset_class = $1 and session_date >= $2 and session_date not in "
        f"(select session_date from {CALENDARS} where exchange = $3) order by session_date",
        [*window, exchange],
    ).fetchall()
    if off:
        message = f"{len(off)} dates are not {exchange} sessions, e.g. {off[0][0]}"
        yield Finding("FOUNDATION_NON_SESSION", "error", message)


def check_matrix(matrix: ReturnsMatrix, profile: Profile) -> tuple[Finding, ...]:
    """The gate on the run's own matrix: dense, bounded, ascending.

    The lake was judged before; this judges what trimming made of it, so that a fault of ours is
    caught as well as one of the data.
    """
    findings = []
    values, dates = matrix.values, matrix.dates
    if not np.isfinite(values).all():
        findings.append(("FOUNDATION_NAN", f"{int((~np.isfinite(values)).sum())} cells are NaN"))
    if values.size and float(np.nanmax(np.abs(values))) > profile.data.max_abs_return:
        findings.append(("FOUNDATION_TOXIC", "a return exceeds the toxicity bound"))
    if values.size and float(np.nanmin(values)) < -1.0:
        findings.append(("FOUNDATION_BELOW_MINUS_ONE", "a return loses more than everything"))
    if len(set(dates)) != len(dates):
        findings.append(("FOUNDATION_INDEX_NOT_UNIQUE", "a session occurs twice"))
    if list(dates) != sorted(dates):
        findings.append(("FOUNDATION_INDEX_NOT_SORTED", "sessions are not in ascending order"))
    return tuple(Finding(code, "error", f"returns matrix: {text}") for code, text in findings)


def _plain(value: Any) -> Any:
    """A fact as JSON can hold it."""
    if isinstance(value, datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, date) else value
