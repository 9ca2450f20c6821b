"""Options that many commands share."""

from pathlib import Path

import click

from trademl.lake import check_data_dir
from trademl.log import log_to


def _used(_ctx: click.Context, _option: click.Parameter, chosen: Path | None) -> Path | None:
    """Checks a chosen data directory; what the command says goes to its log."""
    if chosen is not None:
        check_data_dir(chosen)
        log_to(chosen)
    return chosen


data_option = click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    callback=_used,
    help="The data directory.",
)
