"""When a loop of the node is due: every so often, or at a local time of day."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether a loop that ran last at some time, or never, runs again now."""
    return last is None or now - last >= every


def is_due_daily(last: datetime | None, now: datetime, at: time, zone: ZoneInfo) -> bool:
    """Whether a local time of day has passed since the last run; one that never ran is due.

    Args:
        last: When it ran last, aware.
        now: The time, aware.
        at: The local time of day.
        zone: The time zone; where a day skips or repeats the time, it counts as the first.
    """
    return last is None or last < latest(now, at, zone)


def latest(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The last moment, not after now, at which it was this time of day."""
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), at, zone)
    moment = today if today <= local else datetime.combine(today - timedelta(days=1), at, zone)
    return moment.astimezone(now.tzinfo)
