"""The GREEN gate: a model trains only when the tables it depends on were complete over its window.

The fraction is GREEN / expected partitions of ``quality.partition_status`` within the window,
partitions without a session (``qc_code`` NO_SESSION) left out. What the ledger does not list is
counted as missing, that is RED: a session of ``reference.calendars`` without any row, and the part
of the window before the calendar begins, at the density of the rest. So a table that is absent,
has holes or is too young fails.
"""

from dataclasses import dataclass
from datetime import date

import duckdb

from models_ml.profile import Gates
from trademl.errors import GateFailed
from trademl.lake.versions import Version

EDGE_DAYS = 7
"""A window may begin so many days before the first session: no exchange was closed for longer."""
EXCHANGE = "XNYS"

_DECLARED = """
    select table_name, window_years, min_green_fraction
    from lake.seeds.model_gates
    where model = ?
    order by table_name
"""
_COUNTS = """
    with bounds as (
        select
            cast(? as timestamptz)::date as window_end,
            (window_end - to_months(cast(round(12 * ?) as integer)))::date as window_start,
    ),
    ledger as (
        select
            count(*) as expected,
            count(*) filter (where status = 'GREEN') as green,
            count(distinct dt) as listed_sessions,
        from lake.quality.partition_status, bounds
        where table_name = ?
            and dt between window_start and window_end
            and qc_code is distinct from 'NO_SESSION'
    ),
    calendar as (
        select count(distinct session_date) as sessions, min(session_date) as first_session,
        from lake.reference.calendars, bounds
        where exchange = ? and session_date >= window_start and close_at <= cast(? as timestamptz)
    )
    select window_start, window_end, expected, green, listed_sessions, sessions, first_session,
    from bounds, ledger, calendar
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One table that a model depends on.

    Attributes:
        source: ``seed`` or ``profile``.
        declared: What the seed says where the profile overrides it, else empty.
    """

    table_name: str
    window_years: float
    min_green_fraction: float
    source: str
    declared: str = ""


@dataclass(frozen=True, slots=True)
class GateCheck:
    """What the gate saw on one table.

    Attributes:
        expected: Partitions that the ledger lists in the window.
        green: Those of them that are GREEN.
        missing: Partitions that should be in the window but are not listed (an estimate where
            nothing is listed).
        fraction: green / (expected + missing); 0 where nothing is expected.
    """

    requirement: Requirement
    window_start: date
    window_end: date
    expected: int
    green: int
    missing: float
    fraction: float

    @property
    def passed(self) -> bool:
        """Whether the fraction reaches the threshold."""
        return self.fraction >= self.requirement.min_green_fraction

    def line(self) -> str:
        """The check as one line for people."""
        requirement = self.requirement
        override = (
            f" (the profile's own; the seed says {requirement.declared})"
            if requirement.declared
            else ""
        )
        return (
            f"{requirement.table_name}: {self.fraction:.4f} GREEN ({self.green} of {self.expected} "
            f"partitions, {self.missing:.0f} not listed) over {requirement.window_years:g} years "
            f"from {self.window_start}, needs {requirement.min_green_fraction:g}{override}"
        )


def check_gates(
    connection: duckdb.DuckDBPyConnection, version: Version, model: str, gates: Gates | None
) -> tuple[GateCheck, ...]:
    """Checks every table that the model depends on, back from the day of the version's as_of.

    Args:
        connection: On the published version, its catalog attached as ``lake``.
        version: The version that the connection reads.
        model: The key into ``seeds.model_gates``.
        gates: The profile's own windows and thresholds, if any.

    Raises:
        GateFailed: A table is missing, not declared, or not GREEN enough; the message names each
            such table.
    """
    try:
        declared = connection.execute(_DECLARED, [model]).fetchall()
        to_check = requirements(model, [(t, float(y), float(f)) for t, y, f in declared], gates)
        checks = tuple(_check(connection, version, requirement) for requirement in to_check)
    except duckdb.CatalogException as error:
        raise GateFailed(
            f"{model} cannot be gated on version {version.name}: {str(error).splitlines()[0]}; "
            "build the lake again"
        ) from error
    failing = [check.line() for check in checks if not check.passed]
    if failing:
        raise GateFailed(
            f"{model} is not trained, not GREEN on version {version.name}: {'; '.join(failing)}. "
            "Close the gaps, or declare another window in the profile"
        )
    return checks


def requirements(
    model: str, declared: list[tuple[str, float, float]], gates: Gates | None
) -> tuple[Requirement, ...]:
    """The rows of the seed, or the profile's override of the same table where there is one.

    Raises:
        GateFailed: Nothing is declared for the model: an ungated model is not trained.
    """
    if not declared:
        raise GateFailed(
            f"seeds/flow_data/model_gates.csv declares no table for the model {model!r}"
        )
    overrides = {override.table_name: override for override in gates.overrides} if gates else {}
    unknown = sorted(set(overrides) - {table for table, _, _ in declared})
    if unknown:
        raise GateFailed(f"the profile overrides a gate that {model} does not have: {unknown[0]}")
    result = []
    for table, years, fraction in declared:
        if own := overrides.get(table):
            before = f"{years:g} years, {fraction:g}"
            result.append(
                Requirement(table, own.window_years, own.min_green_fraction, "profile", before)
            )
        else:
            result.append(Requirement(table, years, fraction, "seed"))
    return tuple(result)


def _check(
    connection: duckdb.DuckDBPyConnection, version: Version, requirement: Requirement
) -> GateCheck:
    as_of = version.as_of
    parameters = [as_of, requirement.window_years, requirement.table_name, EXCHANGE, as_of]
    row = connection.execute(_COUNTS, parameters).fetchone()
    assert row is not None
    start, end, expected, green, listed_sessions, sessions, first_session = row
    per_session = expected / listed_sessions if listed_sessions else 0.0
    unlisted = max(0, sessions - listed_sessions)
    missing = per_session * (unlisted + _sessions_before(start, end, first_session, sessions))
    total = expected + missing
    return GateCheck(
        requirement, start, end, expected, green, missing, green / total if total else 0.0
    )


def _sessions_before(start: date, end: date, first_session: date | None, sessions: int) -> float:
    """Sessions of the window before the calendar begins, at the density of those it has."""
    if first_session is None or (first_session - start).days <= EDGE_DAYS:
        return 0.0
    known_days = (end - first_session).days + 1
    return sessions * (first_session - start).days / known_days
