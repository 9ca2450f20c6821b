"""Metering of a leased task's calls: paid for before they are made; they keep the lease alive."""

import threading
from collections.abc import Mapping
from typing import Any

from ingest.control.budget import Verdict
from ingest.control.queue import Queue, Reason
from ingest.control.queue_store import LEASE_SECONDS
from ingest.control.tasks import Lease
from ingest.node.context import Node
from ingest.transport.client import Exhausted, VendorClient
from ingest.transport.throttle import Paid
from trademl.errors import RateLimited

RENEW_SECONDS = LEASE_SECONDS / 3
"""A call with its time limit and a vendor's pace fits into what is left of the lease."""
LONGEST_FREEZE = 900.0
"""Seconds of a freeze that a task waits out at most, so that it does not pay its pages again."""


class Withheld(Exhausted):
    """The node itself withholds a call; the task is given back for this reason."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class Allowance:
    """How many calls a run may still make at each vendor, for all its threads together.

    Args:
        calls: By vendor; vendors that are not named have as many as their budget.
    """

    def __init__(self, calls: Mapping[str, int] | None = None) -> None:
        self._left = dict(calls or {})
        self._lock = threading.Lock()

    def is_spent(self, vendor: str) -> bool:
        """Whether the vendor may not be asked any more."""
        with self._lock:
            return self._left.get(vendor, 1) <= 0

    def take(self, vendor: str) -> bool:
        """Takes one call; whether there was one."""
        with self._lock:
            left = self._left.get(vendor)
            if left is not None and left <= 0:
                return False
            if left is not None:
                self._left[vendor] = left - 1
            return True


class Meter:
    """The calls of one lease. The lease itself has paid for the first.

    Args:
        node: The node.
        queue: The queue of this thread.
        lease: The lease.
        allowance: What the run may spend.
    """

    def __init__(self, node: Node, queue: Queue, lease: Lease, allowance: Allowance) -> None:
        self._node, self._queue, self._allowance = node, queue, allowance
        self.lease = lease
        self.calls = 0
        self._renewed_at = node.clock.read().steady

    def client(self, *args: Any, **options: Any) -> VendorClient:
        """Opens a client as ``VendorClient`` does; "too fast" is for the node to deal with."""
        turn = Paid(self.pay, options.get("pace"))
        return self._node.make_client(
            *args, **{**options, "pace": turn, "on_rate_limit": self.on_rate_limit}
        )

    def on_rate_limit(self, error: RateLimited) -> bool:
        """Freezes the vendor; whether the task asks again when that is over.

        It does unless this was its first call: then nothing is lost, and another vendor may fill
        the task meanwhile.
        """
        freeze_for(self._node, self._queue, self.lease.vendor, error)
        return self.calls > 1

    def pay(self) -> None:
        """Pays for a call; waits for a token, or for the end of a freeze, where that is missing.

        Raises:
            Withheld: The budget has no call left for this kind of work, the vendor is frozen for
                long, or the node stops.
            LeaseLost: The task is somebody else's by now.
        """
        vendor = self.lease.vendor
        if self._node.is_stopping():
            raise Withheld("the node is stopping", "stopped")
        if not self._allowance.take(vendor):
            raise Withheld(f"the calls allowed to this run at {vendor} are spent", "stopped")
        self._keep()
        if self.calls:
            self._charge()
        self.calls += 1

    def settle(self) -> None:
        """Gives back what the lease paid where no call was made.

        Raises:
            LeaseLost: The task is somebody else's by now.
        """
        if not self.calls:
            self._queue.refund(self.lease)

    def _keep(self) -> None:
        now = self._node.clock.read().steady
        if now - self._renewed_at >= RENEW_SECONDS:
            self.lease = self._queue.renew(self.lease)
            self._renewed_at = now

    def _charge(self) -> None:
        vendor, dataset = self.lease.vendor, self.lease.task.dataset
        row = self._node.registry.row(vendor, dataset)
        while (verdict := self._queue.charge(self.lease)) is not Verdict.GRANTED:
            if verdict is Verdict.DAY_SPENT:
                raise Withheld(f"{vendor} has no call left today for this kind of work", "budget")
            is_frozen = verdict is Verdict.FROZEN
            if self._node.wait(self._thaw(vendor) if is_frozen else 60 / row.hard_rpm):
                raise Withheld("the node is stopping", "stopped")
            self._keep()

    def _thaw(self, vendor: str) -> float:
        """Seconds to wait for a frozen vendor, few enough for the lease."""
        left = self._queue.budget.state(vendor).frozen_seconds
        if left > LONGEST_FREEZE:
            raise Withheld(f"{vendor} is left alone for {left:.0f} s more", "no_capacity")
        return min(left, RENEW_SECONDS)


def freeze_for(node: Node, queue: Queue, vendor: str, error: RateLimited) -> None:
    """Leaves a vendor alone for as long as it asked, at least for the node's own time."""
    queue.budget.freeze(vendor, max(error.retry_after or 0.0, node.limits.freeze(vendor)))
