"""``trademl market``: simulated markets."""

from datetime import datetime
from pathlib import Path

import click

from simulator.market.clocks import market_clock, previous_clock
from simulator.market.simulate import simulate_market
from trademl.clock import iso

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group("market")
def market_group() -> None:
    """Market directories: simulate one."""


@market_group.command("simulate")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", type=int, required=True, help="The same seed gives the same bytes.")
@click.option(
    "--symbols", type=int, default=64, show_default=True, help="Number of equities, 24 to 5000."
)
@click.option("--crypto", type=int, default=20, show_default=True, help="Number of coins.")
@click.option("--start", type=_DAY, default="2019-01-02", show_default=True, help="First day.")
@click.option("--end", type=_DAY, default="2024-12-31", show_default=True, help="Last day.")
def simulate(
    out: Path, seed: int, symbols: int, crypto: int, start: datetime, end: datetime
) -> None:
    """Writes a market with a planted signal, corporate actions and defects (defects.json)."""
    simulate_market(
        out,
        seed=seed,
        n_symbols=symbols,
        n_crypto=crypto,
        start=start.date(),
        end=end.date(),
    )
    nights = f"{iso(previous_clock(out))} and {iso(market_clock(out))}"
    click.echo(f"{out}: {symbols} equities, {crypto} coins; clocks of the last nights: {nights}")
