"""Candidates: rows of a landed scan that say enough to be traded on, in a direction."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from ingest.discovery.scanner_config import Scanner
from ingest.vendors.tradingview.client import DAILY
from trademl.candidate_file import SYMBOL_PATTERN
from trademl.errors import DataError

ASSET_TYPES = {"stock": "equity", "dr": "equity", "fund": "etf", "spot": "spot", "swap": "perp"}
"""Ours by the vendor's ``type``."""
ASSET_CLASSES = {"equity": "equity", "etf": "equity", "spot": "crypto", "perp": "crypto"}

DIRECTIONS = ("LONG", "SHORT")

_SYMBOL = re.compile(SYMBOL_PATTERN)

Values = Mapping[str, Any]
"""What a scan says of a symbol, by the column as it was asked."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a symbol can be ordered; null where no source says it, never a default.

    Attributes:
        tick_size: Smallest price step in the quote currency.
        lot_size: Smallest quantity step in units.
        price_precision: Decimals of the tick size.
        source: Where they come from.
    """

    tick_size: float | None = None
    lot_size: float | None = None
    price_precision: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One symbol, one logic, one direction.

    Attributes:
        symbol: ``EXCHANGE:SYMBOL``, as the vendor shows it.
        asset_type: ``equity``, ``etf``, ``spot`` or ``perp``.
        identity: What is economically the same over venues and quotes, e.g. ``crypto:BTC``.
        quote: The quote currency; ``USD`` once it was found to be worth a dollar.
        direction: ``LONG`` or ``SHORT``.
        logic: Why it should earn anything.
        market: The vendor's market.
        close: Last price in the quote currency.
        value_traded: Value traded on the day in the quote currency.
        values: All that the scan said.
        scanners: The scanners that found it.
        instrument: How it can be ordered.
        alternatives: Other ways to trade the same identity, the best first.
    """

    symbol: str
    asset_type: str
    identity: str
    quote: str
    direction: str
    logic: str
    market: str
    close: float
    value_traded: float
    values: Values
    scanners: tuple[str, ...]
    instrument: Instrument = Instrument()
    alternatives: tuple["Candidate", ...] = ()

    @property
    def exchange(self) -> str:
        """The venue, as the vendor calls it."""
        return self.symbol.split(":", 1)[0]

    @property
    def ticker(self) -> str:
        """The symbol as the lake calls it, without its venue."""
        return self.symbol.split(":", 1)[1]

    @property
    def asset_class(self) -> str:
        """``equity`` or ``crypto``."""
        return ASSET_CLASSES[self.asset_type]


class Rejection(msgspec.Struct, frozen=True):
    """A row that is not a candidate, and why."""

    symbol: str
    scanner: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """What became of the rows of a scan.

    Attributes:
        candidates: The well-formed ones, in the vendor's order.
        rejections: The others.
    """

    candidates: list[Candidate] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def read_scan(path: Path) -> tuple[dict[str, Values], int]:
    """A landed scan's values by symbol in the vendor's order, and how many rows matched in all.

    Raises:
        DataError: The file cannot be read.
    """
    columns = ["symbol", "field", "timeframe", "value", "total_count"]
    try:
        with pq.ParquetFile(path) as file:
            cells = file.read(columns=columns).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"landed scan {path} cannot be read: {error}; restore it") from error
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        name = cell["field"]
        column = name if cell["timeframe"] == DAILY else f"{name}|{cell['timeframe']}"
        value = cell["value"]
        rows.setdefault(cell["symbol"], {})[column] = (
            None if value is None else msgspec.json.decode(value)
        )
    return dict(rows), cells[0]["total_count"] if cells else 0


def sort_rows(rows: Mapping[str, Values], scanner: Scanner) -> Sorted:
    """Tells candidates from rows that cannot be any."""
    sorted_rows = Sorted()
    for symbol, values in rows.items():
        made = candidate_of(symbol, values, scanner)
        if isinstance(made, Candidate):
            sorted_rows.candidates.append(made)
        else:
            sorted_rows.rejections.append(Rejection(symbol, scanner.name, made))
    return sorted_rows


def candidate_of(symbol: str, values: Values, scanner: Scanner) -> Candidate | str:
    """The candidate that a row is, or the reason why it is none."""
    if _SYMBOL.fullmatch(symbol) is None:
        return "symbol_malformed"
    if scanner.direction not in DIRECTIONS:
        return "direction_missing"
    asset_type = ASSET_TYPES.get(str(values.get("type")))
    if asset_type is None:
        return "type_unknown"
    quote, base = values.get("currency"), values.get("base_currency")
    if not quote:
        return "currency_missing"
    if ASSET_CLASSES[asset_type] == "equity":
        base = symbol.split(":", 1)[1]
    if not base:
        return "base_currency_missing"
    close, traded = _positive(values.get("close")), _positive(values.get("Value.Traded"))
    if close is None:
        return "close_missing"
    if traded is None:
        return "value_traded_missing"
    return Candidate(
        symbol=symbol,
        asset_type=asset_type,
        identity=f"{ASSET_CLASSES[asset_type]}:{base}",
        quote=str(quote),
        direction=scanner.direction,
        logic=scanner.logic,
        market=scanner.question.market,
        close=close,
        value_traded=traded,
        values=values,
        scanners=(scanner.name,),
    )


def _positive(value: Any) -> float | None:
    """A number above zero, finite; none for what is absent or something else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < float("inf") else None


def described(rejections: Iterable[Rejection]) -> str:
    """Rejections by reason with their counts, for a message."""
    counts: dict[str, int] = {}
    for rejection in rejections:
        counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
