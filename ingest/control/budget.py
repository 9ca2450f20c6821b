"""Vendor call budgets: token buckets per minute, slices of the day, freezes.

The state lives in the control file and changes in the caller's transaction, so that a lease and
what it costs are written together or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum

from ingest.catalog.capabilities import Capability, Registry, VendorLimits
from ingest.control.clock import moment_of, stamp
from ingest.control.database import Control, Transaction
from ingest.control.limits import NodeLimits
from ingest.control.tasks import Kind
from trademl.errors import ConfigError

SLICE_PCT: Mapping[Kind, int] = {"BOOTSTRAP": 85, "GAP": 85, "QC_PROBE": 90, "FORWARD": 100}
"""Up to which share of a day's calls a kind of work may spend: the rest is kept for live data."""

STALE_SECONDS = 300.0
"""A bucket that nobody has looked at for longer starts again with one call in it: who else used
the vendor's key meanwhile is not known."""

_ROUNDING = 1e-9


class Verdict(Enum):
    """Whether a vendor may be asked now, and if not, why."""

    GRANTED = "granted"
    FROZEN = "frozen"
    INFLIGHT = "inflight"
    DAY_SPENT = "day_spent"
    NO_TOKEN = "no_token"


@dataclass(frozen=True, slots=True)
class Spending:
    """A vendor's state at one moment.

    Attributes:
        tokens: In its bucket.
        spent: Calls of this UTC day by dataset.
        inflight: Tasks leased at it.
        frozen_seconds: For how long it is left alone, 0 where it is not.
    """

    tokens: float
    spent: Mapping[str, int]
    inflight: int
    frozen_seconds: float

    @property
    def is_frozen(self) -> bool:
        """Whether it is left alone."""
        return self.frozen_seconds > 0

    @property
    def spent_today(self) -> int:
        """Calls of this UTC day."""
        return sum(self.spent.values())


class Budget:
    """The vendors' budgets in a control file.

    Args:
        control: The control file.
        registry: What vendors allow.
        limits: What this node allows itself.
    """

    def __init__(self, control: Control, registry: Registry, limits: NodeLimits) -> None:
        self._control = control
        self._limits = limits
        self._rows = {(row.vendor, row.dataset): row for row in registry.rows}
        self._vendors = {vendor: registry.limits(vendor) for vendor in registry.vendors}
        self._costs = {key: registry.tokens_per_call(row) for key, row in self._rows.items()}

    def take(self, vendor: str, dataset: str, kind: Kind, calls: int = 1) -> Verdict:
        """Spends calls on their own: further pages of a task, or work outside the queue.

        Args:
            vendor: Whom to ask.
            dataset: What for.
            kind: Why.
            calls: How many.

        Returns:
            ``GRANTED`` when they were spent, else why nothing was.
        """
        with self._control.transaction() as tx:
            state = self.look(tx, vendor)
            verdict = self.judge(state, vendor, dataset, kind, calls)
            if verdict is Verdict.GRANTED:
                self.spend(tx, state, vendor, dataset, calls)
        return verdict

    def freeze(self, vendor: str, seconds: float | None = None) -> None:
        """Leaves a vendor alone, other vendors go on.

        Args:
            vendor: The vendor.
            seconds: What it asked for, none for the node's ``VENDOR_FREEZE_SECONDS``. A longer
                freeze that holds already is kept.
        """
        wait = self._limits.freeze(vendor) if seconds is None else seconds
        with self._control.transaction() as tx:
            _store(tx, vendor, self.look(tx, vendor).tokens)
            tx.con.execute(
                "update vendor_buckets set frozen_until = max(coalesce(frozen_until, ''), ?)"
                " where vendor = ?",
                (tx.later(wait), vendor),
            )

    def state(self, vendor: str) -> Spending:
        """A vendor's state at this moment."""
        with self._control.transaction() as tx:
            return self.look(tx, vendor)

    def look(self, tx: Transaction, vendor: str) -> Spending:
        """A vendor's state within a transaction; a new or stale bucket is started.

        Raises:
            ConfigError: There is no such vendor.
        """
        tokens, frozen_until = self._tokens(tx, vendor)
        spent = tx.con.execute(
            "select dataset, spent from vendor_days where vendor = ? and day = ?",
            (vendor, _day(tx)),
        ).fetchall()
        (inflight,) = tx.con.execute(
            "select count(*) from leases where vendor = ?", (vendor,)
        ).fetchone()
        frozen = (moment_of(frozen_until) - tx.now).total_seconds() if frozen_until else 0.0
        return Spending(tokens, dict(spent), inflight, max(0.0, frozen))

    def judge(
        self,
        state: Spending,
        vendor: str,
        dataset: str,
        kind: Kind,
        calls: int,
        *,
        new_task: bool = False,
    ) -> Verdict:
        """Whether a vendor may be asked in a state.

        Args:
            state: What ``look`` saw in the transaction in which the calls will be spent.
            vendor: Whom to ask.
            dataset: What for.
            kind: Why.
            calls: How many.
            new_task: Whether a task more would be leased at the vendor.

        Raises:
            ConfigError: The vendor does not serve the dataset, or so many calls never fit.
        """
        row, limits = self._row(vendor, dataset), self._limits_of(vendor)
        cost = calls * self._costs[vendor, dataset]
        if not 0 < cost <= limits.bucket + _ROUNDING:
            raise ConfigError(
                f"{calls} calls of {dataset} at {vendor} cannot be spent at once; its bucket holds "
                f"{limits.bucket:g} tokens and one call costs {self._costs[vendor, dataset]:g}"
            )
        share = SLICE_PCT[kind]
        of_vendor, of_row = state.spent_today + calls, state.spent.get(dataset, 0) + calls
        if state.is_frozen:
            return Verdict.FROZEN
        if of_vendor * 100 > share * limits.daily_cap or of_row * 100 > share * row.soft_daily_cap:
            return Verdict.DAY_SPENT
        if new_task and state.inflight >= self._limits.inflight(vendor):
            return Verdict.INFLIGHT
        return Verdict.GRANTED if state.tokens + _ROUNDING >= cost else Verdict.NO_TOKEN

    def spend(
        self, tx: Transaction, state: Spending, vendor: str, dataset: str, calls: int
    ) -> None:
        """Takes tokens and the day's calls, after ``judge`` granted them in this transaction."""
        cost = calls * self._costs[vendor, dataset]
        _store(tx, vendor, max(0.0, state.tokens - cost))
        tx.con.execute(
            "insert into vendor_days (vendor, dataset, day, spent) values (?, ?, ?, ?)"
            " on conflict do update set spent = spent + excluded.spent",
            (vendor, dataset, _day(tx), calls),
        )

    def refund(self, tx: Transaction, vendor: str, dataset: str, paid_on: date) -> None:
        """Gives back a call that was paid on a day and not made."""
        tokens = self.look(tx, vendor).tokens + self._costs[vendor, dataset]
        _store(tx, vendor, min(self._limits_of(vendor).bucket, tokens))
        tx.con.execute(
            "update vendor_days set spent = max(0, spent - 1)"
            " where vendor = ? and dataset = ? and day = ?",
            (vendor, dataset, paid_on.isoformat()),
        )

    def _tokens(self, tx: Transaction, vendor: str) -> tuple[float, str]:
        """Tokens at this moment, and until when the vendor is frozen (empty for never)."""
        limits = self._limits_of(vendor)
        stored = tx.con.execute(
            "select tokens, refilled_at, coalesce(frozen_until, '') from vendor_buckets"
            " where vendor = ?",
            (vendor,),
        ).fetchone()
        tokens, refilled_at, frozen_until = stored or (0.0, "", "")
        elapsed = (tx.now - moment_of(refilled_at)).total_seconds() if refilled_at else None
        if elapsed is None or elapsed > STALE_SECONDS:
            _store(tx, vendor, limits.start)
            return limits.start, frozen_until
        return min(limits.bucket, tokens + max(0.0, elapsed) * limits.rpm / 60), frozen_until

    def _row(self, vendor: str, dataset: str) -> Capability:
        try:
            return self._rows[vendor, dataset]
        except KeyError:
            raise ConfigError(
                f"the registry has no dataset {dataset!r} of vendor {vendor!r}; add a row to it"
            ) from None

    def _limits_of(self, vendor: str) -> VendorLimits:
        try:
            return self._vendors[vendor]
        except KeyError:
            known = ", ".join(self._vendors)
            raise ConfigError(f"no vendor {vendor!r} in the registry; there are: {known}") from None


def _store(tx: Transaction, vendor: str, tokens: float) -> None:
    tx.con.execute(
        "insert into vendor_buckets (vendor, tokens, refilled_at) values (?, ?, ?)"
        " on conflict do update set tokens = excluded.tokens, refilled_at = excluded.refilled_at",
        (vendor, tokens, stamp(tx.now)),
    )


def _day(tx: Transaction) -> str:
    return tx.now.date().isoformat()
