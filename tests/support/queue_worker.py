"""A process that works a queue until nothing is left, writing down what it did.

Run as ``python -m tests.support.queue_worker FILE LOG [--hold-first]``; a line ``leased ID TASK``
is in the log before the work begins and ``done ID TASK`` once the queue took the report.
"""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ingest.control.clock import machine_clock
from ingest.control.database import Control
from ingest.control.queue import LeaseLost, Queue
from tests.support.queues import MANY, capability, registry

ROWS = registry(
    capability("fast", "equities_bars_1d", hard_rpm=60_000, burst_limit=60_000),
    capability("capped", "macros", hard_rpm=60_000, soft_daily_cap=100),
)


def providers(task):
    return [row.vendor for row in ROWS.of_dataset(task.dataset)]


def main(file, log, hold_first=False):
    clock = machine_clock(lambda: datetime.now(UTC))
    with (
        Control(Path(file), clock, durable=False) as control,
        open(log, "a", buffering=1) as lines,
    ):
        queue = Queue(control, ROWS, MANY)
        idle = 0
        while idle < 20:
            lease = queue.lease_next(f"worker-{os.getpid()}", providers)
            if lease is None:
                idle += 1
                time.sleep(0.005)
                continue
            idle = 0
            lines.write(f"leased {lease.id} {lease.task.id} {lease.vendor}\n")
            if hold_first:
                time.sleep(600)
            try:
                queue.complete(lease)
            except LeaseLost:
                continue
            lines.write(f"done {lease.id} {lease.task.id} {lease.vendor}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--hold-first" in sys.argv)
