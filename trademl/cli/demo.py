"""``trademl demo``: the main job, from a payload to weights, on a simulated or a given market."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import SecretStr

from ingest.sync import run_ingest
from simulator.market.clocks import market_clock, previous_clock
from simulator.market.simulate import simulate_market
from simulator.replay.server import ReplayServer
from trademl.cli.demo_summary import Sleeve, require_selection, summary_lines, write_summary
from trademl.cli.options import data_option
from trademl.clock import iso
from trademl.errors import DataError, GateFailed
from trademl.files import sha256_of_bytes
from trademl.lake import versions as lake
from trademl.lake.build import build_lake
from trademl.log import log_to
from trademl.report.inputs import DefectRow
from trademl.report.planted_defects import caught_defects
from trademl.settings import Settings

SEED = 7
FAULTS = "429:0.02,5xx:0.02,cut:0.01,malformed:0.01;seed=7"
EQUITY_PROFILES = ("us_equities_long", "us_equities_short")
CRYPTO_PROFILES = ("crypto_long",)
SMALL_MARKET = 200
"""With fewer names the profiles ending in ``_demo`` choose few of them: the standard ones take 15
to 25, which would be nearly all that is eligible."""
FULL_HISTORY_YEARS = 15
SHOWN_WEIGHTS = 5


@click.command("demo")
@click.option(
    "--market", type=click.Path(path_type=Path), help="A market directory; default: simulate one."
)
@data_option
def demo_command(market: Path | None, data_dir: Path | None) -> None:
    """Run the main job: land, build, train, alpha, report. Needs no keys and no network."""
    data_dir = data_dir or Settings().data
    log_to(data_dir)
    is_simulated = market is None
    if market is None:
        market = data_dir / "market"
        say("simulating a market (nothing below is real)")
        simulate_market(market, seed=SEED)
    if not market.is_dir() or not list(market.glob("*.parquet")):
        raise DataError(
            f"{market} holds no market: expected Parquet files such as equities_daily.parquet"
        )
    run_demo(market, data_dir, is_simulated=is_simulated)


def run_demo(market: Path, data_dir: Path, *, is_simulated: bool) -> None:
    """Lands and builds the market's last two nights, trains, and runs what the market can feed.

    Raises:
        TradeMLError: Any step failed; what had been landed, built or trained stays.
    """
    nights = [previous_clock(market), market_clock(market)]
    first = _night(market, data_dir, nights[0], FAULTS if is_simulated else "")
    _night(market, data_dir, nights[1], FAULTS if is_simulated else "")
    defects = _defects(market, data_dir, first) if is_simulated else None
    if (market / "equities_daily.parquet").exists():
        _train(market, data_dir, is_simulated)
    sleeves = [
        _alpha(name, data_dir, nights[1], defects, is_simulated) for name in profiles_of(market)
    ]
    _tell_together(data_dir, sleeves, is_simulated)
    say(f"done on a {'SIMULATED' if is_simulated else 'given'} market; open the reports:")
    for sleeve in sleeves:
        click.echo(f"  {sleeve.report}")


def profiles_of(market: Path) -> list[str]:
    """What the market can feed: the standard profiles, or those for few names."""
    chosen = []
    for table, profiles in (("equities", EQUITY_PROFILES), ("crypto", CRYPTO_PROFILES)):
        path = market / f"{table}_daily.parquet"
        if path.exists():
            names = len(pc.unique(pq.read_table(path, columns=["symbol"])["symbol"]))
            chosen += [f"{name}_demo" if names < SMALL_MARKET else name for name in profiles]
    return chosen


def _tell_together(data_dir: Path, sleeves: list[Sleeve], is_simulated: bool) -> None:
    version = lake.find_version(data_dir)
    path = write_summary(data_dir, version.name, sleeves)
    say(f"the sleeves of version {version.name} together ({path}):")
    for line in summary_lines(sleeves):
        click.echo(f"  {line}")
    if is_simulated:
        require_selection(sleeves)


def _night(market: Path, data_dir: Path, clock: datetime, faults: str) -> lake.Version:
    """One night of the data cycle: land what the vendors know by then, build, publish."""
    say(f"landing as of {iso(clock)}")
    landed_rows = 0
    with replayed_vendors(market, clock, faults) as (url, settings):
        for vendor, dataset in datasets_of(market):
            report = run_ingest(
                vendor,
                dataset,
                data_dir=data_dir,
                clock=clock,
                settings=settings,
                base_url=url if vendor in ("alpaca", "binance") else None,
                symbols=symbols_of(market, dataset),
            )
            landed = f"{report.rows} rows, {report.calls} calls" if report.files else "nothing new"
            landed_rows += report.rows
            click.echo(f"  {vendor} {dataset}: {landed}")
    standing = [one for one in lake.list_versions(data_dir) if one.as_of == iso(clock)]
    if standing and not landed_rows:
        say(f"nothing landed: version {standing[-1].name} stands")
        return standing[-1]
    say(f"dbt build --select flow_data as of {iso(clock)}")
    version = build_lake(data_dir, clock)
    click.echo(f"  published {version.name}: every model built, every test passed")
    return version


@contextmanager
def replayed_vendors(market: Path, clock: datetime, faults: str) -> Iterator[tuple[str, Settings]]:
    """The market served over loopback in the vendors' formats, and settings that ask it."""
    with ReplayServer(market, clock, faults=faults) as server:
        settings = Settings().model_copy(
            update={
                "alpaca_key_id": SecretStr("demo"),
                "alpaca_secret_key": SecretStr("demo"),
                "reference_dir": market,
            }
        )
        yield server.url, settings


def datasets_of(market: Path) -> list[tuple[str, str]]:
    """What to land, in order: reference first, because bars take their symbols from it."""
    datasets = [("exchange_calendars", "sessions")]
    if (market / "equities_daily.parquet").exists():
        datasets += [("alpaca", "assets"), ("alpaca", "calendar"), ("alpaca", "corp_actions")]
        for name, file in (
            ("sectors", "listings"),
            ("index_membership", "index_membership"),
            ("earnings_dates", "earnings_dates"),
        ):
            if (market / f"{file}.parquet").exists():
                datasets.append(("file", name))
        datasets.append(("alpaca", "equities_bars_1d"))
    if (market / "crypto_daily.parquet").exists():
        datasets += [("binance", "crypto_filters"), ("binance", "crypto_bars_1d")]
    return datasets


def symbols_of(market: Path, dataset: str) -> list[str] | None:
    """The symbols to ask for where the market has no listing file; else none: all."""
    if dataset != "equities_bars_1d" or (market / "listings.parquet").exists():
        return None
    column = pq.read_table(market / "equities_daily.parquet", columns=["symbol"])["symbol"]
    return sorted(pc.unique(column).to_pylist())


def _defects(market: Path, data_dir: Path, first: lake.Version) -> tuple[DefectRow, ...]:
    rows = caught_defects(market, data_dir, first)
    missed = [row.id for row in rows if not row.caught_by]
    if missed:
        raise GateFailed(f"planted defects that nothing caught: {', '.join(missed)}")
    say(f"all {len(rows)} planted defects and events ended where they belong:")
    for kind in sorted({row.kind for row in rows}):
        first_row = next(row for row in rows if row.kind == kind)
        click.echo(f"  {kind}: {first_row.caught_by}")
    return tuple(rows)


def _train(market: Path, data_dir: Path, is_simulated: bool) -> None:
    # LightGBM, MLflow and ibis take seconds to import; landing need not wait for them.
    from models_ml.registry.model_card import summary
    from models_ml.training.api import train_if_ready

    dates = pq.read_table(market / "equities_daily.parquet", columns=["date"])["date"]
    years = (pc.max(dates).as_py() - pc.min(dates).as_py()).days / 365.25
    is_short = is_simulated or years < FULL_HISTORY_YEARS
    profile = "equities_xs_demo" if is_short else "equities_xs"
    say(f"training equities_xs with profile {profile}")
    report = train_if_ready(
        "equities_xs",
        data_dir=data_dir,
        profile_name=profile,
        progress=_tell_some_splits,
    )
    for line in summary(report):
        click.echo(f"  {line}")


def _alpha(
    profile: str,
    data_dir: Path,
    clock: datetime,
    defects: tuple[DefectRow, ...] | None,
    is_simulated: bool,
) -> Sleeve:
    from optimize.profiles import load_profile
    from optimize.sleeve.context import profile_hash
    from optimize.sleeve.report import ReportExtras
    from optimize.sleeve.run import run_alpha
    from trademl.cli.alpha import model_folder

    chosen = load_profile(profile)
    version = lake.find_version(data_dir)
    model = model_folder(data_dir, chosen.model.name, None, version)
    # A run id stays with its inputs, so another profile or model is another run.
    inputs = sha256_of_bytes(f"{profile_hash(chosen)}{model and model.name}".encode())[:6]
    run_id = f"demo-{version.name}-{profile}-{inputs}"
    say(f"alpha --run-id {run_id} --profile {profile} (no network from here)")
    result = run_alpha(
        run_id,
        data_dir=data_dir,
        profile=chosen,
        clock=clock,
        model=model,
        extras=ReportExtras(is_simulated=is_simulated, defects=defects),
    )
    passed = [gate.name for gate in result.gates if gate.status == "pass"]
    click.echo(f"  gates passed: {', '.join(passed)}")
    click.echo(f"  top {result.primary} weights:")
    for symbol, weight in result.weights[:SHOWN_WEIGHTS]:
        click.echo(f"    {symbol:12} {weight:+8.2%}")
    without = result.without_model
    return Sleeve(
        profile=profile,
        asset_class=chosen.asset_class,
        run_id=run_id,
        weights=result.weights,
        eligible=result.eligible,
        winners=result.winners,
        entered=without.entered if without else None,
        displaced=without.displaced if without else None,
        report=result.report,
    )


def _tell_some_splits(line: str) -> None:
    """Training's progress, one split in seven."""
    split = re.match(r"split (\d+) of", line)
    if split is None or int(split[1]) % 7 == 0:
        click.echo(f"  {line}")


def say(line: str) -> None:
    """One step of the demo."""
    click.echo(f"== {line}")
