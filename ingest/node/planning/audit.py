"""The audit: partitions that are not GREEN in the newest published version become GAP tasks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingest.control.tasks import Work
from ingest.landing import bookmarks
from ingest.node.context import Node
from ingest.node.stage_file import Stage, in_lanes, read_stage
from ingest.node.stages.coverage import without_minutes
from ingest.node.stages.missing_history import SETTLE_DAYS, history_of, settled
from ingest.payloads.endpoint import Endpoint
from ingest.vendors.registry import of_logical
from trademl.clock import parse_clock
from trademl.errors import ConfigError, StaleData, unknown_name
from trademl.lake import versions as lake
from trademl.lake.sql import symbol_as_of
from trademl.sessions import sessions_between

ASK_AGAIN_DAYS = 30
"""A vendor that had nothing for a session is asked for it again after so many days."""
CONFLICT_AGAIN_DAYS = 1
"""A vendor that contradicted itself within one answer is asked again after so many days."""
CONFLICT = "CONFLICTING_ROWS"
"""The code of partitions of which one answer had two different rows."""
TOGETHER = 5
"""From so many symbols with the same gap on, all symbols are asked at once (an outage)."""


@dataclass(frozen=True, slots=True)
class Audited:
    """A table of the lake, and what fills its partitions.

    Attributes:
        dataset: The dataset of the queue.
        asset_class: Of its symbols, empty where its partitions have none.
    """

    dataset: str
    asset_class: str = ""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the vendors of its rows land it; one of them is enough."""
        feeding = tuple(
            declared.endpoint for declared in of_logical(self.dataset) if declared.feeds_lake
        )
        return feeding or history_of(self.dataset)


TABLES: Mapping[str, Audited] = {
    "curated/equities_ohlcv_adj": Audited("equities_bars_1d", "equity"),
    "curated/crypto_ohlcv": Audited("crypto_bars_1d", "crypto"),
    "reference/corp_actions": Audited("corp_actions_splits"),
    "reference/delistings": Audited("assets"),
}
"""The audited tables, as partition_status names them."""


_MINUTES = Audited("equities_bars_1m", "equity")
"""Minute bars have no table in the lake: landed files are looked at."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A session of a symbol that is not GREEN.

    Attributes:
        table: As partition_status names it.
        symbol: The symbol it traded under, empty where the table has none.
        day: The session.
        status: ``AMBER`` or ``RED``.
        code: Why.
        number: The session's number among those of its symbol.
    """

    table: str
    symbol: str
    day: date
    status: str
    code: str
    number: int


@dataclass(frozen=True, slots=True)
class TableAudit:
    """What an audit found in one table.

    Attributes:
        table: As partition_status names it.
        sessions: Partitions that should be there, over the window.
        green: GREEN ones.
        amber: AMBER ones.
        red: RED ones.
        asked: Those not GREEN that no task was queued for, because the vendor was asked for them
            lately and this is all it has.
        gaps: GAP tasks that are waiting now and were not before.
    """

    table: str
    sessions: int
    green: int
    amber: int
    red: int
    asked: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What an audit looks at.

    Attributes:
        start: First session.
        end: The day after the last one.
        tables: Tables of ``TABLES``.
        symbols: Symbols; none for all.
        most_gaps: Queue at most so many tasks; none for no limit.
    """

    start: date
    end: date
    tables: Collection[str] = tuple(TABLES)
    symbols: Collection[str] | None = None
    most_gaps: int | None = None


def window_of(now: datetime, days: int) -> tuple[date, date]:
    """The half-open window of so many days that an audit looks at."""
    end = settled(now.date())
    return end - timedelta(days=days), end


def audit(node: Node, scope: Scope) -> tuple[TableAudit, ...]:
    """Audits the newest published version and queues GAP tasks for what is not GREEN.

    Args:
        node: The node.
        scope: What to look at.

    Raises:
        ConfigError: A table is not audited.
        DataError: Nothing is published yet.
        StaleData: The newest version ends before the window: nothing of it could be judged.
    """
    unknown = sorted(set(scope.tables) - TABLES.keys())
    if unknown:
        raise ConfigError(unknown_name(unknown[0], "an audited table", TABLES))
    version = lake.find_version(node.data_dir)
    if parse_clock(version.as_of).date() < scope.start:
        raise StaleData(
            f"version {version.name} is as of {version.as_of}, before the audit's window from "
            f"{scope.start}: nothing of it is judged; land and build first, or look further back"
        )
    left = scope.most_gaps
    audits = []
    for table in scope.tables:
        counts, missing = _read(node, table, scope)
        tasks, asked_lately = _gap_tasks(node, TABLES[table], missing)
        chosen = tasks if left is None else tasks[: max(left, 0)]
        with node.queue() as queue:
            gaps = queue.add(chosen)
        left = None if left is None else left - gaps
        green, amber, red = (counts.get(name, 0) for name in ("GREEN", "AMBER", "RED"))
        total = green + amber + red
        audits.append(TableAudit(table, total, green, amber, red, asked_lately, gaps))
    return tuple(audits)


def audit_minutes(node: Node) -> int:
    """Queues GAP tasks for sessions of the stage that were landed without a single minute.

    The vendor was late or down when it was asked; what it has not some days later is asked for
    again after thirty.

    Returns:
        How many tasks are waiting that were not before.

    Raises:
        ConfigError: The stage's file cannot be read.
        DataError: A landed file cannot be read.
    """
    stage, until = read_stage(node.data_dir), settled(node.now().date())
    empty_sessions = without_minutes(node, stage, until) if stage else []
    if not empty_sessions:
        return 0
    first = min(day for _, day in empty_sessions)
    days = [session.day for session in sessions_between(first, until)]
    missing = [
        Partition("", symbol, day, "RED", "NO_DATA", days.index(day))
        for symbol, day in empty_sessions
    ]
    with node.queue() as queue:
        return queue.add(_gap_tasks(node, _MINUTES, missing)[0])


def _read(node: Node, table: str, scope: Scope) -> tuple[dict[str, int], list[Partition]]:
    """Partitions by status, and those that are not GREEN."""
    asset_class = TABLES[table].asset_class
    # An identity becomes the symbol under which it traded on the day: vendors are asked by that.
    query = f"""
        with partitions as (
            select
                coalesce(symbols.symbol, '') as symbol, status.dt, status.status, status.qc_code,
                row_number() over (partition by symbols.symbol order by status.dt) as place
            from quality.partition_status as status
            left join reference.symbols as symbols
                on $asset_class <> '' and symbols.asset_class = $asset_class
                and {symbol_as_of("status.symbol", "status.dt")}
            where status.table_name = $table and status.dt >= $start and status.dt < $end
        )
        select * from partitions
        where $symbols is null or list_contains($symbols, symbol)
        order by symbol, dt
    """
    parameters = {
        "asset_class": asset_class,
        "table": table,
        "start": scope.start,
        "end": scope.end,
        "symbols": None if scope.symbols is None else sorted(scope.symbols),
    }
    version = lake.find_version(node.data_dir)
    with lake.open_version(node.data_dir, version) as connection:
        rows = connection.execute(query, parameters).fetchall()
    counts: dict[str, int] = {}
    missing = []
    for symbol, day, status, code, number in rows:
        counts[status] = counts.get(status, 0) + 1
        if status != "GREEN":
            missing.append(Partition(table, symbol, day, status, code, number))
    return counts, missing


def _gap_tasks(
    node: Node, audited: Audited, missing: Sequence[Partition]
) -> tuple[list[Work], int]:
    """GAP tasks for partitions, and how many partitions the vendor was asked for lately."""
    stage = _stage_of(node, audited)
    lately = _asked_lately(node, audited)
    wanted = [partition for partition in missing if not lately(partition)]
    windows: dict[tuple[date, date], list[str]] = {}
    for symbol, start, end in _runs(wanted):
        windows.setdefault((start, end), []).append(symbol)
    tasks = [
        Work(audited.dataset, start, end, "GAP", symbol)
        for (start, end), symbols in sorted(windows.items())
        for symbol in _together(symbols, stage)
    ]
    return list(in_lanes(stage, tasks)), len(missing) - len(wanted)


def _stage_of(node: Node, audited: Audited) -> Stage | None:
    """The node's stage, where it says something of the dataset."""
    stage = read_stage(node.data_dir)
    return stage if stage and audited.dataset in stage.starts else None


def _together(symbols: Sequence[str], stage: Stage | None) -> Sequence[str | None]:
    """None for all symbols, which are those of the stage; others are named."""
    if symbols == [""]:
        return (None,)
    held = [symbol for symbol in symbols if stage is None or symbol in stage.symbols]
    if len(held) < TOGETHER:
        return symbols
    return (None, *(symbol for symbol in symbols if symbol not in held))


def _runs(partitions: Sequence[Partition]) -> Iterator[tuple[str, date, date]]:
    """Half-open windows of sessions of a symbol that follow each other."""
    day = timedelta(days=1)
    begun: Partition | None = None
    last: Partition | None = None
    for partition in partitions:
        if (
            last
            and begun
            and (partition.symbol, partition.number) != (last.symbol, last.number + 1)
        ):
            yield begun.symbol, begun.day, last.day + day
            begun = partition
        begun, last = begun or partition, partition
    if begun and last:
        yield begun.symbol, begun.day, last.day + day


def _asked_lately(node: Node, audited: Audited) -> Callable[[Partition], bool]:
    """Whether a landed file of the last weeks covers a partition, from long enough after its day.

    What a vendor did not have then it will hardly have now; asking every four hours would only
    spend calls. What nobody asked for, or whose file is gone, is asked at once; an answer that
    contradicted itself is asked for again a day later.
    """
    newest_conflict = node.now() - timedelta(days=CONFLICT_AGAIN_DAYS)
    oldest = node.now() - timedelta(days=ASK_AGAIN_DAYS)
    files = [
        envelope
        for endpoint in audited.endpoints
        for envelope in bookmarks.landed(node.data_dir, endpoint)
        if envelope.ingested_at >= oldest
    ]

    def is_asked(partition: Partition) -> bool:
        settled = partition.day + timedelta(days=SETTLE_DAYS)
        return any(
            (not envelope.symbols or not partition.symbol or partition.symbol in envelope.symbols)
            and (envelope.start is None or envelope.start <= partition.day)
            and (envelope.end is None or envelope.end >= partition.day)
            and envelope.ingested_at.date() >= settled
            and (partition.code != CONFLICT or envelope.ingested_at > newest_conflict)
            for envelope in files
        )

    return is_asked
