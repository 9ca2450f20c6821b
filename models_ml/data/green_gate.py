"""The GREEN gate: a model trains only when the tables it depends on were complete over its window.

The fraction is GREEN / expected partitions of ``quality.partition_status`` within the window,
partitions without a session (``qc_code`` NO_SESSION) left out. What the ledger does not list is
counted as missing, that is RED: a session of ``reference.calendars`` without any row, and the part
of the window before the calendar begins, at the density of the rest. So a table that is absent,
has holes or is too young fails.

Where the ledger names securities, each is judged on its own first: one whose own fraction is below
the threshold leaves the training universe by name, and the gate judges what remains, how large a
share of the names that is, and how far back the names reach. A table of events has no names.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from statistics import median

import duckdb

from models_ml.profile import Gates, Universe
from trademl.errors import GateFailed
from trademl.lake.versions import Version

EDGE_DAYS = 7
"""A window may begin so many days before the first session: no exchange was closed for longer."""
EXCHANGE = "XNYS"
DAYS_PER_YEAR = 365.25
SHOWN_NAMES = 30
"""A message names so many; the report names all."""

_DECLARED = """
    select table_name, window_years, min_green_fraction
    from lake.seeds.model_gates
    where model = ?
    order by table_name
"""
_PARTITIONS = """
    with bounds as (
        select
            cast(? as timestamptz)::date as window_end,
            (window_end - to_months(cast(round(12 * ?) as integer)))::date as window_start,
    ),
    partitions as (
        select coalesce(symbol, '') as name, dt, status = 'GREEN' as is_green,
        from lake.quality.partition_status, bounds
        where table_name = ?
            and dt between window_start and window_end
            and qc_code is distinct from 'NO_SESSION'
    )
"""
_NAMES = f"""
    {_PARTITIONS}
    select name, count(*), count(*) filter (where is_green), min(dt), max(dt)
    from partitions
    where name <> ''
    group by name
    order by name
"""
_COUNTS = f"""
    {_PARTITIONS},
    ledger as (
        select
            count(*) as expected,
            count(*) filter (where is_green) as green,
            count(distinct dt) as listed_sessions,
        from partitions
        where not list_contains(cast(? as varchar[]), name)
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
        universe: What must be left of the names.
    """

    table_name: str
    window_years: float
    min_green_fraction: float
    source: str
    declared: str = ""
    universe: Universe = field(default_factory=Universe)


@dataclass(frozen=True, slots=True)
class NameCheck:
    """What the gate saw on one name of a table.

    Attributes:
        name: The permanent id, as the ledger has it.
        expected: Partitions that the ledger lists of it in the window.
        green: Those of them that are GREEN.
        first_session: The first of them.
        last_session: The last of them.
    """

    name: str
    expected: int
    green: int
    first_session: date
    last_session: date

    @property
    def fraction(self) -> float:
        """GREEN / expected."""
        return self.green / self.expected

    @property
    def years(self) -> float:
        """How long the name is listed within the window."""
        return (self.last_session - self.first_session).days / DAYS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Depth:
    """How far back the names reach that remain.

    Attributes:
        median_years: Of the names' own spans within the window.
        shortest_years: The shortest of them.
        whole_window: Names that are there from the window's start.
        share: Mean number of names per session of the window, over those of its last session.
    """

    median_years: float
    shortest_years: float
    whole_window: int
    share: float


@dataclass(frozen=True, slots=True)
class GateCheck:
    """What the gate saw on one table.

    Attributes:
        expected: Partitions that the ledger lists in the window.
        green: Those of them that are GREEN.
        missing: Partitions that should be in the window but are not listed (an estimate where
            nothing is listed).
        fraction: green / (expected + missing); 0 where nothing is expected.
        names: Names that the ledger lists in the window, 0 of a table without names; the figures
            above are those of the names that remain.
        left_out: The names below the threshold, worst first.
        depth: How far back those that remain reach; None without any.
    """

    requirement: Requirement
    window_start: date
    window_end: date
    expected: int
    green: int
    missing: float
    fraction: float
    names: int = 0
    left_out: tuple[NameCheck, ...] = ()
    depth: Depth | None = None

    @property
    def passed(self) -> bool:
        """Whether enough is GREEN, and enough of the universe is left and deep enough."""
        if self.fraction < self.requirement.min_green_fraction:
            return False
        if not self.names:
            return True
        least = self.requirement.universe
        is_deep = self.depth is not None and self.depth.share >= least.min_depth
        return self._share_left() >= least.min_names and is_deep

    def _share_left(self) -> float:
        return (self.names - len(self.left_out)) / self.names

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
            f"{self._universe()}"
        )

    def _universe(self) -> str:
        """The names that remain and how far back they reach, as the end of a line."""
        if not self.names:
            return ""
        least, left = self.requirement.universe, self.names - len(self.left_out)
        text = f"; {left} of {self.names} names remain, at least {least.min_names:.0%} must"
        if self.depth is None:
            return text
        return (
            f"{text}; {self.depth.whole_window} of them reach back the whole window, the median "
            f"{self.depth.median_years:.1f} years, the shortest {self.depth.shortest_years:.1f}: "
            f"{self.depth.share:.0%} of the last session's names per session, at least "
            f"{least.min_depth:.0%} are needed"
        )

    def names_line(self) -> str:
        """The names that leave the training universe, for people; empty where none does."""
        if not self.left_out:
            return ""
        shown = [
            f"{check.name} {check.fraction:.4f} ({check.green} of {check.expected})"
            for check in self.left_out[:SHOWN_NAMES]
        ]
        more = len(self.left_out) - len(shown)
        return (
            f"{len(self.left_out)} of {self.names} names leave the training universe, below "
            f"{self.requirement.min_green_fraction:g} GREEN in {self.requirement.table_name}: "
            f"{', '.join(shown)}{f' and {more} more' if more else ''}"
        )


def check_gates(
    connection: duckdb.DuckDBPyConnection,
    version: Version,
    model: str,
    gates: Gates | None,
    universe: Universe | None = None,
) -> tuple[GateCheck, ...]:
    """Checks every table that the model depends on, back from the day of the version's as_of.

    Args:
        connection: On the published version, its catalog attached as ``lake``.
        version: The version that the connection reads.
        model: The key into ``seeds.model_gates``.
        gates: The profile's own windows and thresholds, if any.
        universe: What must be left of the names; the defaults where none is given.

    Raises:
        GateFailed: A table is missing, not declared, or not GREEN enough, or too few names are
            left or deep enough; the message names each such table and the names that leave.
    """
    try:
        declared = connection.execute(_DECLARED, [model]).fetchall()
        to_check = requirements(model, [(t, float(y), float(f)) for t, y, f in declared], gates)
        own = universe or Universe()
        checks = tuple(
            _check(connection, version, replace(requirement, universe=own))
            for requirement in to_check
        )
    except duckdb.CatalogException as error:
        raise GateFailed(
            f"{model} cannot be gated on version {version.name}: {str(error).splitlines()[0]}; "
            "build the lake again"
        ) from error
    failing = [
        "; ".join(filter(None, (check.line(), check.names_line())))
        for check in checks
        if not check.passed
    ]
    if failing:
        raise GateFailed(
            f"{model} is not trained, not GREEN on version {version.name}: {'; '.join(failing)}. "
            "Close the gaps, or declare another window or universe in the profile"
        )
    return checks


def left_out(checks: tuple[GateCheck, ...]) -> tuple[str, ...]:
    """The permanent ids that leave the training universe, sorted."""
    return tuple(sorted({name.name for check in checks for name in check.left_out}))


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
    window = [version.as_of, requirement.window_years, requirement.table_name]
    names = [NameCheck(*row) for row in connection.execute(_NAMES, window).fetchall()]
    least = requirement.min_green_fraction
    below = [name for name in names if name.fraction < least]
    remaining = [name for name in names if name.fraction >= least]
    below.sort(key=lambda name: (name.fraction, name.name))
    parameters = [*window, [name.name for name in below], EXCHANGE, version.as_of]
    row = connection.execute(_COUNTS, parameters).fetchone()
    assert row is not None
    start, end, expected, green, listed_sessions, sessions, first_session = row
    per_session = expected / listed_sessions if listed_sessions else 0.0
    unlisted = max(0, sessions - listed_sessions)
    before = _sessions_before(start, end, first_session, sessions)
    missing = per_session * (unlisted + before)
    total = expected + missing
    return GateCheck(
        requirement,
        start,
        end,
        expected,
        green,
        missing,
        green / total if total else 0.0,
        len(names),
        tuple(below),
        _depth(remaining, start, max(sessions, listed_sessions) + before),
    )


def _depth(names: list[NameCheck], start: date, sessions: float) -> Depth | None:
    """How far back names reach in a window of some sessions; None without a name."""
    if not names:
        return None
    last = max(name.last_session for name in names)
    at_the_end = sum(name.last_session == last for name in names)
    edge = start + timedelta(days=EDGE_DAYS)
    return Depth(
        median_years=median(name.years for name in names),
        shortest_years=min(name.years for name in names),
        whole_window=sum(name.first_session <= edge for name in names),
        share=sum(name.expected for name in names) / (sessions * at_the_end),
    )


def _sessions_before(start: date, end: date, first_session: date | None, sessions: int) -> float:
    """Sessions of the window before the calendar begins, at the density of those it has."""
    if first_session is None or (first_session - start).days <= EDGE_DAYS:
        return 0.0
    known_days = (end - first_session).days + 1
    return sessions * (first_session - start).days / known_days
