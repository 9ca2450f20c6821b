"""The record of pipeline executions in the control file."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ingest.control.clock import moment_of
from ingest.control.database import Control
from trademl.errors import DataError

Outcome = Literal["FAILED", "SUCCEEDED", "CANCELLED"]
Status = Literal["RUNNING", "FAILED", "SUCCEEDED", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One execution.

    Attributes:
        id: Its UUID.
        pipeline_name: Which pipeline, e.g. ``equities_xs_train``.
        params: What it was started with.
        status: How it stands.
        started_at: When it began, UTC.
        finished_at: When it ended, none while it runs.
        metrics: What it measured, none where nothing.
        artifact_uri: Where its artifacts are, none where there are none.
    """

    id: str
    pipeline_name: str
    params: Mapping[str, Any]
    status: Status
    started_at: datetime
    finished_at: datetime | None
    metrics: Mapping[str, Any] | None
    artifact_uri: str | None


def start_run(control: Control, pipeline_name: str, params: Mapping[str, Any]) -> str:
    """Records that a pipeline begins.

    Args:
        control: The control file.
        pipeline_name: Which pipeline.
        params: A snapshot of its settings, without keys; anything JSON can hold.

    Returns:
        The run's UUID.

    Raises:
        DataError: JSON cannot hold the settings.
    """
    with control.transaction() as tx:
        (number,) = tx.con.execute("select count(*) from pipeline_runs").fetchone()
        # From its place in the record, not from chance: the same history gives the same ids.
        run_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{pipeline_name}|{tx.at}|{number}"))
        tx.con.execute(
            "insert into pipeline_runs (id, pipeline_name, params_json, status, started_at)"
            " values (?, ?, ?, 'RUNNING', ?)",
            (run_id, pipeline_name, _json(params), tx.at),
        )
    return run_id


def finish_run(
    control: Control,
    run_id: str,
    status: Outcome,
    metrics: Mapping[str, Any] | None = None,
    artifact_uri: str | None = None,
) -> None:
    """Records how a run ended.

    Args:
        control: The control file.
        run_id: What ``start_run`` gave.
        status: How it ended.
        metrics: What it measured.
        artifact_uri: Where its artifacts are.

    Raises:
        DataError: There is no such run, it has ended before, or JSON cannot hold the metrics.
    """
    with control.transaction() as tx:
        cursor = tx.con.execute(
            "update pipeline_runs set status = ?, finished_at = ?, metrics_json = ?,"
            " artifact_uri = ? where id = ? and status = 'RUNNING'",
            (status, tx.at, None if metrics is None else _json(metrics), artifact_uri, run_id),
        )
        if not cursor.rowcount:
            raise DataError(f"no run {run_id} is running; it ended before or never began")


def interrupt_runs(control: Control, pipeline_names: Collection[str]) -> int:
    """Records that runs of these pipelines, still said to be running, died; how many there were."""
    with control.transaction() as tx:
        counts = [
            tx.con.execute(
                "update pipeline_runs set status = 'FAILED', finished_at = ?, metrics_json = ?"
                " where pipeline_name = ? and status = 'RUNNING'",
                (tx.at, _json({"error": "interrupted"}), name),
            ).rowcount
            for name in pipeline_names
        ]
    return sum(counts)


def pipeline_runs(
    control: Control, pipeline_name: str | None = None, most: int = -1
) -> list[PipelineRun]:
    """Runs of one pipeline or of all, the latest first.

    Args:
        control: The control file.
        pipeline_name: Which pipeline, none for all.
        most: How many at most, negative for all.
    """
    with control.transaction() as tx:
        rows = tx.con.execute(
            "select id, pipeline_name, params_json, status, started_at, finished_at,"
            " metrics_json, artifact_uri from pipeline_runs"
            " where ?1 is null or pipeline_name = ?1 order by started_at desc, rowid desc"
            " limit ?2",
            (pipeline_name, most),
        ).fetchall()
    return [
        PipelineRun(
            run_id,
            name,
            json.loads(params),
            status,
            moment_of(started),
            moment_of(finished) if finished else None,
            json.loads(metrics) if metrics else None,
            uri,
        )
        for run_id, name, params, status, started, finished, metrics, uri in rows
    ]


def _json(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"a pipeline run cannot record {value!r} as JSON: {error}") from error
