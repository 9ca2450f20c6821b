"""Check of candidates against the lake: only what it holds may go on to selection."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ingest.discovery.candidates import Candidate, Rejection
from ingest.discovery.rules import Rules
from trademl.lake import versions as lake

NOT_IN_LAKE, STALE, TOXIC = "not_in_lake", "stale_in_lake", "toxic_in_lake"

_HELD = """
    select
        asset_class,
        symbol,
        case
            when (asset_class, symbol) in (
                select (asset_class, symbol) from quality.quarantine_bars
                where
                    reason = 'TOXIC_RETURN'
                    and verdict = 'rejected'
                    and session_date between $toxic and $today
            ) then $toxic_word
            when max(end_date) < $stale then $stale_word
        end as reason
    from quality.lakehouse_catalog
    group by asset_class, symbol
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one version says of candidates.

    Attributes:
        version: Its name.
        held: The candidates that it holds, fresh and sound.
        refused: The others, each with the reason.
    """

    version: str
    held: list[Candidate]
    refused: list[Rejection]


def check_lake(
    data_dir: Path, candidates: Iterable[Candidate], rules: Rules, clock: datetime
) -> Checked | None:
    """Lays candidates beside the newest version as of the clock; none where there is none yet.

    What was published of a later time would tell who was still traded then.

    Args:
        data_dir: The data directory.
        candidates: What scanners found.
        rules: How old the last bar may be, and for how long a toxic one counts.
        clock: The run's time.

    Raises:
        DataError: The version cannot be read.
    """
    version = lake.newest_version(data_dir, clock)
    if version is None:
        return None
    parameters = {
        "toxic": (clock - timedelta(days=rules.toxic_days)).date(),
        "today": clock.date(),
        "toxic_word": TOXIC,
        "stale": (clock - timedelta(hours=rules.stale_hours)).date(),
        "stale_word": STALE,
    }
    with lake.open_version(data_dir, version) as connection:
        rows = connection.execute(_HELD, parameters).fetchall()
    reasons = {(asset_class, symbol): reason for asset_class, symbol, reason in rows}
    checked = Checked(version.name, [], [])
    for item in candidates:
        reason = reasons.get((item.asset_class, item.ticker), NOT_IN_LAKE)
        if reason is None:
            checked.held.append(item)
        else:
            checked.refused.append(Rejection(item.symbol, ",".join(item.scanners), reason))
    return checked
