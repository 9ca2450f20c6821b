"""Selection of the runnable tasks in queue order, without reading those that may not run.

A lane may hold a million tasks of a vendor that has no capacity. Tasks are therefore looked up by
dataset and kind, and only for those that some vendor could serve at this moment.
"""

import heapq
from collections.abc import Collection, Iterator
from datetime import date

from ingest.catalog.capabilities import Registry
from ingest.control.budget import Budget, Spending, Verdict
from ingest.control.database import Transaction
from ingest.control.tasks import Kind, Task

AT_ONCE = 100
"""Tasks of one dataset and kind that one call looks at, the rest is left to the next call."""

# One step in the index for each dataset and kind; "select distinct" would read all tasks.
_GROUPS = """
with recursive heads (id) as (
    select id from (
        select id from backfill_queue where status = 'PENDING' order by dataset, kind limit 1
    )
    union all
    select coalesce(
        (
            select later.id from backfill_queue as later
            where
                later.status = 'PENDING' and later.dataset = head.dataset
                and later.kind > head.kind
            order by later.kind limit 1
        ),
        (
            select later.id from backfill_queue as later
            where later.status = 'PENDING' and later.dataset > head.dataset
            order by later.dataset, later.kind limit 1
        )
    )
    from heads inner join backfill_queue as head on heads.id = head.id
)

select
    dataset,
    kind
from heads inner join backfill_queue using (id)
"""

_HEADS = """
select priority, created_at, id, dataset, symbol, start_date, end_date, kind, attempts
from backfill_queue
where
    status = 'PENDING' and dataset = ? and kind = ?
    and (next_not_before is null or next_not_before <= ?)
    and (priority, created_at, id) > (?, ?, ?)
order by priority, created_at, id
limit ?
"""

Row = tuple[int, str, int, str, str, str, str, Kind, int]


class Candidates:
    """What one call of ``lease_next`` sees.

    Args:
        tx: Its transaction.
        registry: Which vendors serve which datasets.
        budget: Their budgets.
    """

    def __init__(self, tx: Transaction, registry: Registry, budget: Budget) -> None:
        self._tx = tx
        self._registry = registry
        self._budget = budget
        self._states: dict[str, Spending] = {}

    def in_order(self, kinds: Collection[Kind], vendors: Collection[str] | None) -> Iterator[Task]:
        """Tasks that are due, by lane and age, of the datasets that somebody could serve now.

        Args:
            kinds: Which kinds of work.
            vendors: Only datasets that one of these vendors serves; none for all.
        """
        groups = self._tx.con.execute(_GROUPS).fetchall()
        heads = [
            self._group(dataset, kind)
            for dataset, kind in groups
            if kind in kinds and self._is_open(dataset, kind, vendors)
        ]
        return (_task(row) for row in heapq.merge(*heads))

    def state(self, vendor: str) -> Spending:
        """A vendor's state, looked up once."""
        if vendor not in self._states:
            self._states[vendor] = self._budget.look(self._tx, vendor)
        return self._states[vendor]

    def verdict(self, vendor: str, dataset: str, kind: Kind) -> Verdict:
        """Whether a vendor may be asked now for one task more."""
        return self._budget.judge(self.state(vendor), vendor, dataset, kind, 1, new_task=True)

    def is_day_spent(self, vendors: Collection[str], dataset: str, kind: Kind) -> bool:
        """Whether all of the vendors have spent what a kind of work may spend today."""
        verdicts = (self.verdict(vendor, dataset, kind) for vendor in vendors)
        return all(verdict is Verdict.DAY_SPENT for verdict in verdicts)

    def _group(self, dataset: str, kind: Kind) -> Iterator[Row]:
        """The first task of a group, which mostly is enough, then the others."""
        last: tuple[int, str, int] = (-1, "", 0)
        for limit in (1, AT_ONCE - 1):
            # Fetched whole: an open cursor would hold the file's old state beyond the commit, and
            # a statement that is in use is compiled anew for the next group.
            parameters = (dataset, kind, self._tx.at, *last, limit)
            rows: list[Row] = self._tx.con.execute(_HEADS, parameters).fetchall()
            if not rows:
                return
            yield from rows
            last = rows[-1][:3]

    def _is_open(self, dataset: str, kind: Kind, vendors: Collection[str] | None) -> bool:
        """Whether a task of the group may be leased, or has to be put off until tomorrow."""
        serving = [row.vendor for row in self._registry.rows if row.dataset == dataset]
        if vendors is not None:
            # What others could serve is theirs to look at: a busy vendor's tasks stay in line.
            serving = [vendor for vendor in serving if vendor in vendors]
        if not serving:
            return False
        verdicts = {self.verdict(vendor, dataset, kind) for vendor in serving}
        return Verdict.GRANTED in verdicts or verdicts <= {Verdict.DAY_SPENT}


def _task(row: Row) -> Task:
    priority, _created_at, number, dataset, symbol, start, end, kind, attempts = row
    return Task(
        number,
        dataset,
        symbol or None,
        date.fromisoformat(start),
        date.fromisoformat(end),
        kind,
        priority,
        attempts,
    )
