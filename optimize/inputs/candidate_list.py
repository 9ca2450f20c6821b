"""A run's list of candidates, and the check that the lake has every one of them.

A list decides who may be chosen, and each of its symbols is required: one that the lake lacks, or
knows only up to an earlier session, stops the run by name. Nothing is ever fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from optimize.inputs.foundation import FEATURES, RETURNS, Finding, FoundationReport
from optimize.inputs.pool import SHOWN
from optimize.profiles import Profile
from trademl.candidate_file import (
    CANDIDATES,
    LAKE_ASSET_TYPES,
    VALIDATED,
    Record,
    read_candidate_file,
    refusal,
)
from trademl.errors import DataError, GateFailed
from trademl.files import sha256_of_bytes
from trademl.lake.snapshot import CANDIDATES_COPY, snapshot_dir
from trademl.runs.workspace import export_folder
from trademl.symbology import screener_exchange


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A list as it was read.

    Attributes:
        content: The file's bytes.
        sha256: Their hash, which is part of a run's identity.
        keys: ``EXCHANGE:SYMBOL`` of each candidate, without repeats, ascending.
        generated_at: When it was made, None where it does not say.
        version: Of the lake it was checked against, None where it does not say.
    """

    content: bytes
    sha256: str
    keys: tuple[str, ...]
    generated_at: datetime | None = None
    version: str | None = None

    @property
    def symbols(self) -> frozenset[str]:
        """The lake's plain symbols."""
        return frozenset(key.partition(":")[2] for key in self.keys)


def find_candidates(data_dir: Path, run_id: str, path: Path | None) -> Path | None:
    """The list of a run: the one asked for, else discovery's, else the one the run id started with.

    None means that everybody in the lake's universe may be chosen.

    Raises:
        GateFailed: Discovery of this run id found candidates but validated none.
    """
    if path is not None:
        return path
    export = export_folder(data_dir, run_id)
    if (export / VALIDATED).is_file():
        return export / VALIDATED
    if (export / CANDIDATES).is_file():
        raise GateFailed(
            f"CANDIDATES_NOT_VALIDATED: discovery of run {run_id} left no {VALIDATED}: repeat "
            "`trademl discover`, choose another run id, or name a list with --candidates"
        )
    copy = snapshot_dir(data_dir, run_id) / CANDIDATES_COPY
    return copy if copy.is_file() else None


def read_candidates(path: Path, profile: Profile) -> CandidateList:
    """A list of candidates that fits the profile.

    Args:
        path: ``candidates_validated.json`` or ``candidates.json``: an array of records, or an
            object with them under ``data``.
        profile: Whose direction and asset class every candidate must have.

    Raises:
        ConfigError: The file cannot be read.
        DataError: It is not a list of candidates, or has none.
        GateFailed: A candidate is of another direction or asset class than the profile.
    """
    file = read_candidate_file(path)
    if not file.records:
        raise DataError(f"{path} has no candidates: run `trademl discover` again")
    if nameless := [record.symbol for record in file.records if record.direction is None]:
        raise refusal(path, f"missing required field `direction` of {_shown(nameless)}")
    _refuse_misfits(file.records, profile)
    return CandidateList(
        content=file.content,
        sha256=sha256_of_bytes(file.content),
        keys=tuple(sorted({record.symbol for record in file.records})),
        generated_at=file.meta.generated_at,
        version=file.meta.version,
    )


def _refuse_misfits(records: Sequence[Record], profile: Profile) -> None:
    others = [record.symbol for record in records if record.direction != profile.direction]
    if others:
        raise GateFailed(
            f"CANDIDATES_DIRECTION: profile {profile.name} is {profile.direction}, "
            f"{len(others)} of {len(records)} candidates are not: {_shown(others)}: run "
            "`trademl discover` for one direction"
        )
    types = LAKE_ASSET_TYPES[profile.asset_class]
    others = [record.symbol for record in records if record.asset_type not in (None, *types)]
    if others:
        raise GateFailed(
            f"CANDIDATES_ASSET_TYPE: profile {profile.name} trades {profile.asset_class} "
            f"({', '.join(types)}), {len(others)} of {len(records)} "
            f"candidates are something else: {_shown(others)}"
        )


def require_in_lake(
    connection: duckdb.DuckDBPyConnection,
    report: FoundationReport,
    candidates: CandidateList | None,
    profile: Profile,
) -> FoundationReport:
    """The gate's report with the candidates that are missing or stale, each by name.

    Present is a candidate with a row of features at the decision date under its own exchange; it is
    stale where its last bar is of an earlier session.
    """
    if candidates is None or report.decision_date is None:
        return report
    findings = _absent(connection, candidates, profile.asset_class, report.decision_date)
    values = {**report.values, "candidates": len(candidates.keys)}
    return replace(report, findings=(*report.findings, *findings), values=values)


def _absent(
    connection: duckdb.DuckDBPyConnection,
    candidates: CandidateList,
    asset_class: str,
    decision_date: date,
) -> tuple[Finding, ...]:
    scope = [asset_class, decision_date, sorted(candidates.symbols)]
    last_bars: dict[str, date] = dict(
        connection.execute(
            f"select symbol, max(session_date) from {RETURNS} where asset_class = $1 "
            "and session_date <= $2 and symbol in (select unnest($3::varchar[])) group by symbol",
            scope,
        ).fetchall()
    )
    listed = connection.execute(
        f"select symbol, exchange from {FEATURES} where asset_class = $1 "
        "and session_date = $2 and symbol in (select unnest($3::varchar[]))",
        scope,
    ).fetchall()
    present = {(screener_exchange(exchange), symbol) for symbol, exchange in listed}
    missing, stale = [], []
    for key in candidates.keys:
        exchange, _, symbol = key.partition(":")
        last_bar = last_bars.get(symbol)
        if last_bar is not None and last_bar < decision_date:
            stale.append(f"{key} (last bar {last_bar})")
        elif last_bar is None or (screener_exchange(exchange), symbol) not in present:
            missing.append(key)
    groups = (("MISSING", "missing", missing), ("STALE", "stale", stale))
    return tuple(
        Finding(
            f"CANDIDATES_{code}",
            "error",
            f"{len(names)} of {len(candidates.keys)} candidates are {state} at {decision_date}: "
            f"{_shown(names)}: land and build, or leave them out",
        )
        for code, state, names in groups
        if names
    )


def _shown(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
