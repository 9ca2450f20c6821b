"""Options that many commands share."""

from datetime import UTC, datetime
from pathlib import Path

import click

from trademl.clock import parse_clock
from trademl.lake.versions import check_data_dir
from trademl.log import log_to
from trademl.settings import Settings


def _used(_ctx: click.Context, _option: click.Parameter, chosen: Path | None) -> Path | None:
    """Checks a chosen data directory; what the command says goes to its log."""
    if chosen is not None:
        check_data_dir(chosen)
        log_to(chosen)
    return chosen


def moment_of(settings: Settings, text: str | None = None) -> datetime:
    """The time as an option says, else ``TRADEML_CLOCK``, else now; UTC.

    Raises:
        ConfigError: The text is not an ISO 8601 time.
    """
    chosen = text or settings.clock
    return parse_clock(chosen) if chosen else datetime.now(UTC)


data_option = click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    callback=_used,
    help="The data directory.",
)
