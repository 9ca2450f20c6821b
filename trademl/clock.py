"""The run's clock: an input everywhere, read from the wall only at the command line."""

from datetime import UTC, datetime

from trademl.errors import ConfigError

FIRST_YEAR, LAST_YEAR = 1900, 2199
"""Windows reach years back and forth from a clock; beyond these a date would be none."""


def parse_clock(text: str) -> datetime:
    """Reads an ISO 8601 date or time as an aware UTC datetime.

    Args:
        text: For example ``2017-12-30`` or ``2017-12-30T13:00:00Z``; without an offset it is UTC.

    Raises:
        ConfigError: The text is not an ISO 8601 time, or of no year in which markets are.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"clock {text!r} is not an ISO 8601 time, e.g. 2017-12-30T13:00:00Z"
        ) from error
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ConfigError(f"clock {text!r} is not of the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """A UTC datetime as ``2017-12-30T13:00:00Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
