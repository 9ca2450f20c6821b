"""Instrument metadata: tick, lot and precision, from rules and landed filters only."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from ingest.discovery.candidates import Candidate, Instrument
from ingest.landing import bookmarks
from ingest.vendors.binance import schema
from trademl.errors import DataError, GateFailed
from trademl.lake.versions import PROJECT_ROOT
from trademl.symbology import US_EXCHANGES

TICK_SEED = PROJECT_ROOT / "seeds" / "flow_data" / "tick_size_regime.csv"
REQUIRED = ("tick_size", "lot_size", "price_precision")

_NEW_YORK = ZoneInfo("America/New_York")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TickRule:
    """Tick and lot of US equities in a band of prices from a day on."""

    valid_from: date
    min_price: Decimal
    max_price: Decimal
    tick_size: Decimal
    lot_size: Decimal


def read_tick_rules(path: Path = TICK_SEED) -> tuple[TickRule, ...]:
    """The rules of the seed ``tick_size_regime`` for equities.

    Raises:
        DataError: The seed is absent or a row of it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = [row for row in csv.DictReader(handle) if row["asset_class"] == "equity"]
        rules = tuple(
            TickRule(
                date.fromisoformat(row["valid_from"]),
                Decimal(row["min_price_usd"]),
                Decimal(row["max_price_usd"]),
                Decimal(row["tick_size_usd"]),
                Decimal(row["lot_size_shares"]),
            )
            for row in rows
        )
    except (OSError, KeyError, ValueError, InvalidOperation) as error:
        raise DataError(f"{path.name} cannot be read: {error}; restore it") from error
    if not rules:
        raise DataError(f"{path.name} has no rule for equities; restore it")
    return rules


def read_filters(data_dir: Path, clock: datetime) -> dict[str, Instrument]:
    """Binance's filters by pair, of the newest landing at the clock; none where none was landed."""
    landed = bookmarks.landed(data_dir, schema.EXCHANGE_INFO)
    known = [envelope for envelope in landed if envelope.ingested_at <= clock]
    if not known:
        return {}
    newest = max(known, key=lambda envelope: (envelope.ingested_at, envelope.path.name))
    with pq.ParquetFile(newest.path) as file:
        rows = file.read(columns=["symbol", "tick_size", "step_size"]).to_pylist()
    source = f"{schema.EXCHANGE_INFO.path}/{newest.path.stem}"
    return {
        row["symbol"]: _instrument(_step(row["tick_size"]), _step(row["step_size"]), source)
        for row in rows
    }


def equip(
    candidates: Iterable[Candidate],
    rules: Sequence[TickRule],
    filters: Mapping[str, Instrument],
    clock: datetime,
) -> list[Candidate]:
    """Gives every candidate what is known of how it can be ordered, and leaves the rest null."""
    today = clock.astimezone(_NEW_YORK).date()
    return [
        replace(candidate, instrument=_known(candidate, rules, filters, today))
        for candidate in candidates
    ]


def require_coverage(candidates: Sequence[Candidate], least: float) -> dict[str, float]:
    """The guardrail: each of tick size, lot size and precision is known of enough candidates.

    Args:
        candidates: Equipped ones, at least one.
        least: Share, 0 to 1.

    Returns:
        The share of candidates that each of the three is known of.

    Raises:
        GateFailed: Naming what is missing, of whom, and where it would come from.
    """
    shares: dict[str, float] = {}
    for name in REQUIRED:
        missing = [item.symbol for item in candidates if getattr(item.instrument, name) is None]
        shares[name] = share = (len(candidates) - len(missing)) / len(candidates)
        if share < least:
            shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            raise GateFailed(
                f"METADATA_COVERAGE: {name} is known of {share:.1%} of {len(candidates)} "
                f"candidates, {least:.0%} are asked; missing: {shown} (run `trademl ingest run "
                "--vendor binance --dataset crypto_filters`, or leave such symbols out)"
            )
    return shares


def is_complete(candidate: Candidate) -> bool:
    """Whether tick size, lot size and precision are all known."""
    return all(getattr(candidate.instrument, name) is not None for name in REQUIRED)


def _known(
    candidate: Candidate,
    rules: Sequence[TickRule],
    filters: Mapping[str, Instrument],
    today: date,
) -> Instrument:
    if candidate.asset_class == "equity" and candidate.exchange in US_EXCHANGES:
        return _by_rule(rules, Decimal(str(candidate.close)), today)
    if candidate.asset_type == "spot" and candidate.exchange == "BINANCE":
        return filters.get(candidate.ticker, Instrument())
    return Instrument()


def _by_rule(rules: Sequence[TickRule], price: Decimal, today: date) -> Instrument:
    """The latest regime that has begun, and in it the band of the price."""
    begun = [rule.valid_from for rule in rules if rule.valid_from <= today]
    for rule in rules:
        if begun and rule.valid_from == max(begun) and rule.min_price <= price < rule.max_price:
            return _instrument(rule.tick_size, rule.lot_size, TICK_SEED.stem)
    return Instrument()


def _instrument(tick: Decimal | None, lot: Decimal | None, source: str) -> Instrument:
    return Instrument(
        None if tick is None else float(tick),
        None if lot is None else float(lot),
        None if tick is None else _decimals(tick),
        source,
    )


def _decimals(tick: Decimal) -> int:
    exponent = tick.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _step(text: str | None) -> Decimal | None:
    """A step as the vendor writes it; none where it is absent, no number, or zero ("no filter")."""
    try:
        step = Decimal(text or "0")
    except InvalidOperation:
        return None
    return step if step.is_finite() and step > 0 else None
