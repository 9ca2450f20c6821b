"""The parameters of an ingest run, and its report."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from ingest.transport.client import ClientFactory
from trademl.settings import Settings

FRESH = timedelta(hours=12)
"""A younger landing is taken as it is: nightly runs fetch once, repeated ones do not."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of ``run_ingest``.

    Attributes:
        data_dir: The data directory.
        clock: The run's time.
        settings: Hosts and keys.
        start: First day wanted, none for the dataset's own choice.
        end: Last day wanted, inclusive, none for the last complete one.
        symbols: Symbols wanted, none for all that the vendor lists.
        base_url: Replaces every host of the vendor (the replay serves all on one).
        make_client: Opens a client.
        refetch: Whether bars that are landed are asked once more, unless that was within twelve
            hours: the lake says that something is missing or wrong in them.
    """

    data_dir: Path
    clock: datetime
    settings: Settings
    start: date | None
    end: date | None
    symbols: tuple[str, ...] | None
    base_url: str | None
    make_client: ClientFactory
    refetch: bool = False

    def is_fresh(self, ingested_at: datetime) -> bool:
        """Whether something was landed within twelve hours before the job's clock."""
        return timedelta(0) <= self.clock - ingested_at < FRESH


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did.

    Attributes:
        files: The files it landed.
        rows: Rows in them.
        calls: Requests it made, retries included.
        skipped: What needed nothing, and why, in words.
    """

    files: tuple[Path, ...] = ()
    rows: int = 0
    calls: int = 0
    skipped: tuple[str, ...] = ()
