"""The queue as one would write it for a single process in memory: lists, seconds, no SQL."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ingest.control.tasks import Work

DAY_SECONDS = 86_400
SHARE = {"BOOTSTRAP": 85, "GAP": 85, "QC_PROBE": 90, "FORWARD": 100}
LANES = {
    "BOOTSTRAP": (3, 0),
    "GAP": (3, 1),
    "QC_PROBE": (2, 2),
    "FORWARD": (5, 5),
}


@dataclass
class ModelTask:
    number: int
    dataset: str
    symbol: str
    start: date
    end: date
    kind: str
    priority: int
    created: datetime
    status: str = "PENDING"
    attempts: int = 0
    owner: str | None = None
    ends: float | None = None
    not_before: float | None = None
    error: str | None = None
    changed: datetime | None = None

    @property
    def days(self):
        return {self.start + timedelta(days=n) for n in range((self.end - self.start).days)}


@dataclass
class Model:
    """All times are seconds that really passed; ``wall`` is what the wall clock said at second 0."""

    rows: tuple
    providers: object
    inflight: int
    longest: int
    seconds: float
    wall: datetime
    tasks: list = field(default_factory=list)
    leases: dict = field(default_factory=dict)
    buckets: dict = field(default_factory=dict)
    frozen: dict = field(default_factory=dict)
    rests: dict = field(default_factory=dict)
    spent: dict = field(default_factory=dict)
    paid_on: dict = field(default_factory=dict)
    numbers: int = 0

    def now(self):
        return self.wall + timedelta(seconds=self.seconds)

    def sees(self, wall_at_zero):
        """The first look at the clocks after they moved."""
        jump = (wall_at_zero - self.wall).total_seconds()
        if abs(jump) <= 1:
            return
        before, self.wall = self.now().date(), wall_at_zero
        after = self.now().date()
        for (vendor, dataset, day), calls in list(self.spent.items()):
            if day == before:
                key = (vendor, dataset, after)
                self.spent[key] = max(self.spent.get(key, 0), calls)
        self.spent = {key: calls for key, calls in self.spent.items() if key[2] <= after}
        for task in self.tasks:
            task.created = min(task.created, self.now())
            task.changed = min(task.changed, self.now())

    def add(self, work: Work):
        made = 0
        priority = LANES[work.kind][work.in_stage_window]
        wanted = {work.start + timedelta(days=n) for n in range((work.end - work.start).days)}
        for task in self.tasks:
            if (task.dataset, task.symbol) != (work.dataset, work.symbol or ""):
                continue
            same = task.kind == work.kind
            if (
                same
                and task.status == "PENDING"
                and task.days <= wanted
                and priority < task.priority
            ):
                task.priority, task.changed = priority, self.now()
        taken = set()
        for task in self.tasks:
            if (task.dataset, task.symbol) == (work.dataset, work.symbol or ""):
                same = task.kind == work.kind
                if (
                    task.status == "LEASED"
                    or (task.status == "PENDING" and (work.kind != "FORWARD" or same))
                    or (task.status == "FAILED" and same and self._holds(task))
                ):
                    taken |= task.days
        for start, end in self._runs(sorted(wanted - taken)):
            made += self._insert(work, priority, start, end)
        return made

    def _holds(self, task):
        """Whether a failed task still keeps its window from being queued again."""
        return task.changed.date() >= self.now().date()

    def _runs(self, days):
        """Days in a row, cut to the longest window."""
        run = []
        for day in days:
            if run and (day != run[-1] + timedelta(days=1) or len(run) == self.longest):
                yield run[0], run[-1] + timedelta(days=1)
                run = []
            run.append(day)
        if run:
            yield run[0], run[-1] + timedelta(days=1)

    def _insert(self, work, priority, start, end):
        key = (work.dataset, work.symbol or "", start, end, work.kind)
        for task in self.tasks:
            if (task.dataset, task.symbol, task.start, task.end, task.kind) == key:
                assert task.status in ("DONE", "FAILED")
                task.status, task.priority, task.attempts = "PENDING", priority, 0
                task.not_before = task.error = None
                task.created = task.changed = self.now()
                return 1
        self.numbers += 1
        number = self.numbers
        task = ModelTask(number, *key, priority, self.now())
        task.changed = self.now()
        self.tasks.append(task)
        return 1

    def lease(self, owner, kinds):
        ended = [t for t in self.tasks if t.status == "LEASED" and t.ends <= self.seconds]
        self._die({task.number: f"lease of {task.owner} expired" for task in ended})
        open_groups = {}
        waiting = [task for task in self.tasks if task.status == "PENDING" and task.kind in kinds]
        for task in waiting:
            vendors = [row.vendor for row in self.rows if row.dataset == task.dataset]
            open_groups[task.dataset, task.kind] = {
                vendor: self._verdict(vendor, task.dataset, task.kind, True) for vendor in vendors
            }
        for task in sorted(waiting, key=lambda task: (task.priority, task.created, task.number)):
            verdicts = open_groups[task.dataset, task.kind]
            closed = "ok" not in verdicts.values() and set(verdicts.values()) != {"day"}
            if closed or (task.not_before or 0) > self.seconds:
                continue
            vendor = self._vendor(task, verdicts)
            if vendor is not None:
                self._spend(vendor, task.dataset, 1)
                task.status, task.owner, task.ends = "LEASED", owner, self.seconds + 300
                task.not_before, task.changed = None, self.now()
                return task, vendor
        return None

    def _vendor(self, task, verdicts):
        vendors = self.providers(task)
        rests = {v: self.rests.get((v, task.dataset, task.symbol), 0) for v in vendors}
        awake = [v for v in vendors if rests[v] <= self.seconds]
        if not vendors:
            self._end(task, "FAILED", None, "no vendor serves this dataset and window")
        elif not awake:
            self._end(task, "PENDING", min(rests.values()), "not entitled")
        elif all(verdicts[v] == "day" for v in awake):
            self._end(task, "PENDING", self._midnight(), "budget")
        return next((v for v in awake if verdicts[v] == "ok"), None)

    def holds(self, lease_id):
        return lease_id in self.leases and self.leases[lease_id][0].status == "LEASED"

    def give(self, lease_id, task, vendor):
        self.leases = {key: pair for key, pair in self.leases.items() if pair[0] is not task}
        self.leases[lease_id] = (task, vendor)
        self.paid_on[lease_id] = self.now().date()

    def refund(self, lease_id):
        task, vendor = self.leases[lease_id]
        most = self._of(vendor)[0].burst_limit
        self.buckets[vendor] = (min(most, self._tokens(vendor) + 1), self.seconds)
        key = (vendor, task.dataset, self.paid_on[lease_id])
        if key in self.spent:
            self.spent[key] = max(0, self.spent[key] - 1)

    def renew(self, lease_id):
        task, _ = self.leases[lease_id]
        task.ends, task.changed = self.seconds + 300, self.now()

    def complete(self, lease_id):
        self._end(self.leases[lease_id][0], "DONE", None, None)

    def fail(self, lease_id, error):
        task, _ = self.leases[lease_id]
        task.attempts += 1
        wait = self.seconds + min(60 * 2**task.attempts, 3600)
        last = task.attempts == 5
        self._end(task, "FAILED" if last else "PENDING", None if last else wait, error)

    def defer(self, lease_id, reason):
        until = self._midnight() if reason == "budget" else self.seconds + 300
        self._end(self.leases[lease_id][0], "PENDING", until, reason)

    def not_entitled(self, lease_id):
        task, vendor = self.leases[lease_id]
        self.rests[vendor, task.dataset, task.symbol] = self.seconds + DAY_SECONDS
        resting = {
            v
            for (v, dataset, symbol), until in self.rests.items()
            if (dataset, symbol) == (task.dataset, task.symbol) and until > self.seconds
        }
        error = f"not entitled at {', '.join(sorted(resting))}"
        if set(self.providers(task)) - resting:
            self._end(task, "PENDING", self.seconds + 10, error)
        else:
            self._end(task, "FAILED", None, error)

    def charge(self, lease_id, calls):
        task, vendor = self.leases[lease_id]
        verdict = self._verdict(vendor, task.dataset, task.kind, False, calls)
        if verdict == "ok":
            self._spend(vendor, task.dataset, calls)
        return verdict == "ok"

    def freeze(self, vendor, seconds):
        self.buckets[vendor] = (self._tokens(vendor), self.seconds)
        self.frozen[vendor] = max(self.frozen.get(vendor, 0), self.seconds + seconds)

    def prune(self, failed_days, done_days):
        days = {"FAILED": failed_days, "DONE": done_days}
        old = [
            task
            for task in self.tasks
            if task.status in days
            and task.changed <= self.now() - timedelta(days=days[task.status])
        ]
        self.tasks = [task for task in self.tasks if task not in old]
        return len(old)

    def abandon(self, owner):
        held = [t.number for t in self.tasks if t.status == "LEASED" and t.owner == owner]
        self._die(dict.fromkeys(held, "interrupted"))
        return len(held)

    def _die(self, errors):
        """The first death costs no time; those that died before go last, a minute apart."""
        dead = [task for task in self.tasks if task.number in errors]
        later = self.seconds
        for task in sorted(dead, key=lambda task: -task.attempts):
            task.attempts += 1
            task.created = self.now() if task.attempts > 1 else task.created
            waits = later if later > self.seconds and task.attempts > 1 else None
            later += 60 * (task.attempts > 1)
            last = task.attempts == 5
            status = "FAILED" if last else "PENDING"
            self._end(task, status, None if last else waits, errors[task.number])

    def _end(self, task, status, not_before, error):
        task.status, task.not_before, task.error = status, not_before, error
        task.owner = task.ends = None
        task.changed = self.now()

    def _midnight(self):
        midnight = datetime.combine(self.now().date() + timedelta(days=1), datetime.min.time())
        return (
            self.seconds + (midnight.replace(tzinfo=self.wall.tzinfo) - self.now()).total_seconds()
        )

    def _of(self, vendor):
        return [row for row in self.rows if row.vendor == vendor]

    def _tokens(self, vendor):
        tokens, at = self.buckets.get(vendor, (1.0, None))
        if at is None or self.seconds - at > 300:
            self.buckets[vendor] = (1.0, self.seconds)
            return 1.0
        row = self._of(vendor)[0]
        return min(row.burst_limit, tokens + (self.seconds - at) * row.hard_rpm / 60)

    def _verdict(self, vendor, dataset, kind, new_task, calls=1):
        tokens, today = self._tokens(vendor), self.now().date()
        if self.frozen.get(vendor, 0) > self.seconds:
            return "frozen"
        of_vendor = sum(n for (v, _, day), n in self.spent.items() if (v, day) == (vendor, today))
        of_row = self.spent.get((vendor, dataset, today), 0)
        caps = {row.dataset: row.soft_daily_cap for row in self._of(vendor)}
        if (of_vendor + calls) * 100 > SHARE[kind] * max(caps.values()):
            return "day"
        if (of_row + calls) * 100 > SHARE[kind] * caps[dataset]:
            return "day"
        held = [v for task, v in self.leases.values() if task.status == "LEASED" and v == vendor]
        if new_task and len(held) >= self.inflight:
            return "inflight"
        return "ok" if tokens >= calls else "token"

    def _spend(self, vendor, dataset, calls):
        self.buckets[vendor] = (self._tokens(vendor) - calls, self.seconds)
        key = (vendor, dataset, self.now().date())
        self.spent[key] = self.spent.get(key, 0) + calls
