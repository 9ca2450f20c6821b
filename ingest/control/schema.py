"""The tables of ``control/node.sqlite``.

Times are ISO 8601 UTC text of one width, dates ISO text; windows are half-open. A task without a
symbol has the symbol ``''``, because a unique constraint takes two NULLs for different; the view
``backfill_tasks`` shows it as NULL. ``backfill_queue`` and ``pipeline_runs`` have the columns of
docs/specification/control-plane.md#control-tables; what only leases and budgets need stands in
tables of their own.
"""

from collections.abc import Mapping

from ingest.control.tasks import WAITING_CODES

SCHEMA_VERSION = 2

_TASK_ERRORS = """
    create table task_errors (
        task_id integer primary key references backfill_queue (id) on delete cascade,
        code text not null check (code <> ''),
        vendor text
    )
    """
"""What ``last_error`` of a task is in one word (``TradeMLError.code``, or why it waits), and which
vendor said it; it holds where ``last_error`` is not null."""

SCHEMA = (
    """
    create table backfill_queue (
        id integer primary key autoincrement,
        dataset text not null check (dataset <> ''),
        symbol text not null default '',
        start_date text not null,
        end_date text not null check (end_date > start_date),
        kind text not null check (kind in ('BOOTSTRAP', 'GAP', 'FORWARD', 'QC_PROBE')),
        priority integer not null check (priority >= 0),
        status text not null default 'PENDING'
            check (status in ('PENDING', 'LEASED', 'DONE', 'FAILED')),
        attempts integer not null default 0 check (attempts >= 0),
        lease_owner text,
        lease_expires_at text,
        next_not_before text,
        last_error text,
        created_at text not null,
        updated_at text not null,
        unique (dataset, symbol, start_date, end_date, kind),
        check ((status = 'LEASED') = (lease_owner is not null)),
        check ((status = 'LEASED') = (lease_expires_at is not null))
    )
    """,
    "create index idx_backfill_queue_status on backfill_queue (status, priority, created_at)",
    # With one lane of a million tasks whose vendor has no capacity, the index above would have
    # every lease read all of them; this one finds the head of each dataset and kind at once.
    """
    create index idx_backfill_queue_group
    on backfill_queue (status, dataset, kind, priority, created_at)
    """,
    """
    create view backfill_tasks as
    select
        id, dataset, nullif(symbol, '') as symbol, start_date, end_date, kind, priority, status,
        attempts, lease_owner, lease_expires_at, next_not_before, last_error, created_at, updated_at
    from backfill_queue
    """,
    # A lease's id is never used twice: it tells the holder from whoever held the task before.
    """
    create table leases (
        id integer primary key autoincrement,
        task_id integer not null unique references backfill_queue (id) on delete cascade,
        vendor text not null
    )
    """,
    "create index idx_leases_vendor on leases (vendor)",
    _TASK_ERRORS,
    """
    create table cooldowns (
        vendor text not null,
        dataset text not null,
        symbol text not null default '',
        ends_at text not null,
        primary key (vendor, dataset, symbol)
    ) without rowid
    """,
    """
    create table vendor_buckets (
        vendor text primary key,
        tokens real not null check (tokens >= 0),
        refilled_at text not null,
        frozen_until text
    ) without rowid
    """,
    """
    create table vendor_days (
        vendor text not null,
        dataset text not null,
        day text not null,
        spent integer not null check (spent >= 0),
        primary key (vendor, day, dataset)
    ) without rowid
    """,
    """
    create table pipeline_runs (
        id text primary key,
        pipeline_name text not null check (pipeline_name <> ''),
        params_json text not null check (json_valid(params_json)),
        status text not null check (status in ('RUNNING', 'FAILED', 'SUCCEEDED', 'CANCELLED')),
        started_at text not null,
        finished_at text,
        metrics_json text check (metrics_json is null or json_valid(metrics_json)),
        artifact_uri text,
        check ((status = 'RUNNING') = (finished_at is null))
    )
    """,
    """
    create table node_clock (
        only integer primary key check (only = 1),
        boot text not null,
        started_at text not null
    )
    """,
    f"pragma user_version = {SCHEMA_VERSION}",
)

UPGRADES: Mapping[int, tuple[str, ...]] = {
    1: (
        _TASK_ERRORS,
        # Why a task waited was one word, which is its code now; what failed had none.
        "insert into task_errors select id, case when upper(last_error) in"
        f" {WAITING_CODES} then upper(last_error) else 'UNKNOWN' end, null"
        " from backfill_queue where last_error is not null",
        "pragma user_version = 2",
    ),
}
"""What makes the next version of an older file, by the version that it has."""
