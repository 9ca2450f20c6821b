"""Declarations of a vendor: itself, its datasets, and how the node keeps these up to date."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import ChunkSource, land_chunks
from ingest.landing.chunks import named_symbols as named_symbols
from ingest.landing.job import IngestReport, Job
from ingest.landing.market_bars import MarketBarSource, land_market_bars
from ingest.landing.reference import ReferenceSource, land_reference
from ingest.landing.symbol_bars import BarSource, land_bars
from ingest.landing.windows import Span
from ingest.payloads.endpoint import Endpoint
from trademl.errors import DataError
from trademl.sessions import last_completed
from trademl.settings import Settings

NEW_YORK = ZoneInfo("America/New_York")
EQUITY_HISTORY = date(2000, 1, 1)
OVERLAP = 5
"""Sessions asked again each night: a correction or a recovered outage is seen for a week."""
MINUTE_OVERLAP = 2
"""The same for minute bars, of which a session has hundreds."""
MINUTES_PER_SESSION = 960
"""From 04:00 to 20:00 in New York."""
ACTIONS_MARGIN = timedelta(days=90)
"""Actions are filtered by process date, which may lie months from the ex-date."""
YEAR = timedelta(days=366)
OVERLAP_DAYS = 7
"""Days asked again before the last session: a correction or an outage is seen for a week."""
PUBLICATION_LAG = timedelta(minutes=16)
"""From a session's close on: consolidated data younger than 15 minutes are not served freely."""
SETTLED_LAG = timedelta(hours=6)
"""From a session's close on: lists and prices as of a session are final during the evening."""

Names = Callable[[Path, Settings, Sequence[str]], Sequence[str]]
"""What a dataset is asked for, given the data directory, the settings and the node's universe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """How the node keeps a dataset up to date.

    Attributes:
        turn: Lower is asked earlier: listings before what they name. Each is used once.
        last_expected: The last session whose data are published at a clock; of what changes
            slowly, the day from which on a landing is young enough.
        zone: The time zone of its sessions.
        needs: The endpoint that names its symbols, none where nothing does.
        is_bars: Whether its rows say which session they are of; else a landing counts as of the
            session that was the last one then.
        names: What it is asked for: one task a name, or one for all of them where it is bars; none
            where it is asked as a whole. Without names nothing is asked.
        overlap: Days of bars asked again before the last session.
        listed: The symbols that bars are asked of where there is no stage, of the newest landed
            listing; none where nothing is asked then.
    """

    turn: int
    last_expected: Callable[[datetime], date]
    zone: ZoneInfo = NEW_YORK
    needs: Endpoint | None = None
    is_bars: bool = False
    names: Names | None = None
    overlap: int = OVERLAP_DAYS
    listed: Callable[[Path], list[str]] | None = None


@dataclass(frozen=True, slots=True)
class BarColumns:
    """What a vendor calls the columns of its daily bars, for a comparison with another vendor's.

    Attributes:
        symbol: Column of the symbol.
        day: SQL for the session.
        prices: Open, high, low and close.
        volume: Column of the volume.
    """

    symbol: str
    day: str
    prices: tuple[str, str, str, str]
    volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Everything about a dataset of a vendor.

    Attributes:
        name: Its name on the command line.
        endpoint: Where it lands; of several the one that is landed last.
        land: Lands what is missing of it.
        serves: The datasets of the registry that it fills, the tracked one first; its own name
            where none is given.
        scope: ``market`` where it is asked for all symbols at once, whatever a task names.
        window: ``range`` of days; ``day`` for a list as of one, the last of a task; ``none`` where
            it is asked for all there is, or for what is new since the last time.
        forward_days: The days before a task's that FORWARD begins at, for a stand-in that would
            else begin with all of its history; none for the task's own window.
        forward_span: Days of such a window: one file, so that a retry repeats none.
        feeds_lake: Whether the lake's tables are made of it: only such a one turns a partition
            GREEN. Where no vendor's does, the dataset has no table yet and every vendor may fill
            its tasks.
        is_second_opinion: Whether a QC_PROBE may lay it beside the lake's; it has ``bar_columns``.
        bar_columns: How its daily bars are read for such a comparison.
        keeps_history: Whether its landed files answer for the history that a stage requires.
        tracking: How the node keeps it up to date, at the vendor whose publication governs; none
            where the node does not.
        is_stand_in: Whether it lands what the tracking of another vendor's dataset keeps up to
            date.
    """

    name: str
    endpoint: Endpoint
    land: Callable[[Job], IngestReport]
    serves: tuple[str, ...] = ()
    scope: Literal["symbol", "market"] = "symbol"
    window: Literal["range", "day", "none"] = "range"
    forward_days: int | None = None
    forward_span: int = 1
    feeds_lake: bool = False
    is_second_opinion: bool = False
    bar_columns: BarColumns | None = None
    keeps_history: bool = False
    tracking: Tracking | None = None
    is_stand_in: bool = False

    @property
    def fills(self) -> tuple[str, ...]:
        """The datasets of the registry whose tasks it fills."""
        return self.serves or (self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor: one folder under ``ingest/vendors`` whose ``datasets.py`` has it as ``VENDOR``.

    Attributes:
        name: As the registry of capabilities writes it; the first folder under ``raw/``.
        endpoints: All that it lands.
        datasets: All that it can be asked for.
        settings: The settings that must be set before it is asked.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    datasets: tuple[Dataset, ...] = ()
    settings: tuple[str, ...] = ()


def bar_dataset(source: BarSource, **facts: Any) -> Dataset:
    """The declaration of bars that are landed symbol by symbol; ``facts`` are ``Dataset``'s."""
    land = partial(land_bars, source=source)
    return Dataset(name=source.dataset, endpoint=source.endpoint, land=land, **facts)


def market_bar_dataset(source: MarketBarSource, **facts: Any) -> Dataset:
    """The declaration of bars that are landed session by session for the whole market."""
    land = partial(land_market_bars, source=source)
    return Dataset(
        name=source.dataset, endpoint=source.endpoint, land=land, scope="market", **facts
    )


def reference_dataset(source: ReferenceSource, **facts: Any) -> Dataset:
    """The declaration of what is landed as a whole, or by a window of days."""
    land = partial(land_reference, source=source)
    return Dataset(name=source.dataset, endpoint=source.endpoint, land=land, **facts)


def chunk_dataset(source: ChunkSource, **facts: Any) -> Dataset:
    """The declaration of what is landed in chunks."""
    land = partial(land_chunks, source=source)
    return Dataset(name=source.dataset, endpoint=source.endpoint, land=land, **facts)


def last_session(clock: datetime) -> date:
    """The last session that is published at a clock."""
    return last_completed(clock, PUBLICATION_LAG)


def settled_session(clock: datetime) -> date:
    """The last session whose data are final at a clock."""
    return last_completed(clock, SETTLED_LAG)


def every(days: int) -> Callable[[datetime], date]:
    """The first day of the period of so many days that a clock is in."""
    return lambda clock: date.fromordinal(clock.date().toordinal() // days * days)


def universe_names(_data_dir: Path, _settings: Settings, universe: Sequence[str]) -> Sequence[str]:
    """The node's universe itself."""
    return universe


def newest_rows(
    data_dir: Path, endpoint: Endpoint, dataset: str, columns: list[str]
) -> list[dict[str, str]]:
    """Some columns of the listing that was landed last, of names that can be asked for.

    Args:
        data_dir: The data directory.
        endpoint: Where the listing landed.
        dataset: How a person asks for it.
        columns: The column of the names first.

    Raises:
        DataError: None was landed yet, or it cannot be read.
    """
    envelopes = bookmarks.landed(data_dir, endpoint)
    if not envelopes:
        raise DataError(
            f"which symbols? {endpoint.path} is not landed yet: run `trademl ingest run --vendor "
            f"{endpoint.vendor} --dataset {dataset}` first, or name them with --symbols"
        )
    path = envelopes[-1].path
    with bookmarks.reading(path), pq.ParquetFile(path) as file:
        rows: list[dict[str, str]] = file.read(columns=columns).to_pylist()
    # A footer lists the symbols of its file with commas between them.
    name = columns[0]
    return [row for row in rows if row[name] and "," not in row[name]]


def calendar_window(job: Job, _before: list[Envelope]) -> Span:
    """Calendars are known about a year ahead."""
    return job.start or EQUITY_HISTORY, job.end or job.clock.date() + YEAR


def actions_window(job: Job, before: list[Envelope]) -> Span:
    """All ex-dates once in ``actions_all_days``, else those from ``actions_recent_days`` on.

    What is asked again tells a moved ex-date, a corrected amount and a withdrawal.
    """
    every_day = [envelope for envelope in before if _is_history(envelope)]
    last = max((envelope.ingested_at for envelope in every_day), default=None)
    days = timedelta(days=job.settings.actions_all_days)
    if not job.start and (last is None or job.clock.date() - last.date() >= days):
        return EQUITY_HISTORY, job.end or job.clock.date() + ACTIONS_MARGIN
    return recent_actions_window(job, before)


def recent_actions_window(job: Job, before: list[Envelope]) -> Span:
    """From ``actions_recent_days`` before the last complete fetch on, with a margin after today."""
    whole = [envelope.ingested_at.date() for envelope in before if _is_complete(envelope)]
    days = timedelta(days=job.settings.actions_recent_days)
    start = max(whole) - days if whole and not job.symbols else EQUITY_HISTORY
    return job.start or start, job.end or job.clock.date() + ACTIONS_MARGIN


def _is_complete(envelope: Envelope) -> bool:
    """Whether it asked for all symbols, up to the day of asking."""
    is_up_to_date = envelope.end is None or envelope.end >= envelope.ingested_at.date()
    return not envelope.symbols and is_up_to_date


def _is_history(envelope: Envelope) -> bool:
    """Whether it asked for all symbols and days."""
    is_from_the_beginning = envelope.start is None or envelope.start <= EQUITY_HISTORY
    return is_from_the_beginning and _is_complete(envelope)
