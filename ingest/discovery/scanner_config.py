"""Scanner configuration: layers of YAML, checked completely before anything is asked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ingest.vendors.tradingview.client import Scan
from trademl.errors import ConfigError, unknown_name

SCANNER_DIRECTORY = Path(__file__).resolve().parent / "scanners"
RUNNABLE = "scanner"
"""The folder of the last layer; the others are built on, not run."""

Operation = Literal[
    "greater",
    "egreater",
    "less",
    "eless",
    "equal",
    "nequal",
    "in_range",
    "not_in_range",
    "empty",
    "nempty",
    "crosses",
    "crosses_above",
    "crosses_below",
    "match",
    "nmatch",
    "smatch",
    "has",
    "has_none_of",
    "above%",
    "below%",
    "in_range%",
    "not_in_range%",
    "in_day_range",
    "in_week_range",
    "in_month_range",
]
_SYMBOL = re.compile(r"[A-Z0-9_]{1,20}:\S+")
Intent = Literal["LONG", "SHORT", "DISCOVERY"]
"""What a scanner looks for; ``DISCOVERY`` gives its finds no direction."""


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on one column; ``right`` is a value, a list, or another column's name."""

    left: str
    operation: Operation
    right: Any = None


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the finds are for."""

    intent: Intent | None = None
    logic: str | None = None


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One YAML file; what it leaves out comes from the file it is based on.

    Attributes:
        base_preset: The file below, relative to this one or to the packaged scanners.
        description: One sentence for people.
        market: The vendor's market, e.g. ``america``.
        columns: Columns to ask, beside those of the layers below.
        filters: Conditions; one on the same column with the same operation is replaced.
        quote_currencies: Currencies that count as dollars.
        sort_by: Column that decides which rows come first.
        sort_order: ``asc`` or ``desc``.
        limit: Rows to take from the top.
        exclude_symbols: ``EXCHANGE:SYMBOL`` never wanted, beside those of the layers below.
        include_symbol_files: Text files, relative to this one, with one ``EXCHANGE:SYMBOL`` a line,
            beside those of the layers below: nothing else is asked for. ``#`` begins a remark.
        metadata: Intent and logic.
    """

    base_preset: str | None = None
    description: str | None = None
    market: str | None = None
    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    quote_currencies: tuple[str, ...] | None = None
    sort_by: str | None = None
    sort_order: Literal["asc", "desc"] | None = None
    limit: int | None = None
    exclude_symbols: tuple[str, ...] = ()
    include_symbol_files: tuple[str, ...] = ()
    metadata: Purpose = Purpose()


@dataclass(frozen=True, slots=True)
class Scanner:
    """A question to the screener and what its answers are for.

    Attributes:
        name: The file's stem.
        layers: The files it was made of, the template first.
        question: What to ask.
        quote_currencies: Currencies that count as dollars.
        exclude_symbols: ``EXCHANGE:SYMBOL`` never wanted.
        intent: ``LONG``, ``SHORT`` or ``DISCOVERY``.
        logic: Why the finds should earn anything, e.g. ``momentum``.
    """

    name: str
    layers: tuple[str, ...]
    question: Scan
    quote_currencies: frozenset[str]
    exclude_symbols: frozenset[str]
    intent: Intent
    logic: str

    @property
    def direction(self) -> str | None:
        """``LONG`` or ``SHORT``; none for a scanner that takes no side."""
        return None if self.intent == "DISCOVERY" else self.intent


def scanner_names() -> list[str]:
    """The scanners that come with the package."""
    return sorted(path.stem for path in (SCANNER_DIRECTORY / RUNNABLE).glob("*.yml"))


def load_scanner(name: str) -> Scanner:
    """The packaged scanner of that name, or the one of a YAML file where ``name`` is its path.

    Raises:
        ConfigError: No such scanner, broken YAML, an unknown key, a circle of presets, or a key
            that no layer sets.
    """
    chain = _chain(_locate(name))
    merged = Layer()
    for _, layer in chain:
        merged = merge(merged, layer)
    paths = [path for path, _ in chain]
    return _scanner(paths[-1].stem, tuple(_shown(path) for path in paths), merged)


def merge(base: Layer, over: Layer) -> Layer:
    """Lays one layer over another.

    Filters are merged by column and operation, the upper one wins; columns and excluded symbols add
    up; of every other key the upper layer's value counts where it has one.
    """
    conditions = {(item.left, item.operation): item for item in (*base.filters, *over.filters)}
    return Layer(
        base_preset=None,
        description=over.description or base.description,
        market=over.market or base.market,
        columns=_joined(base.columns, over.columns),
        filters=tuple(conditions.values()),
        quote_currencies=_upper(base.quote_currencies, over.quote_currencies),
        sort_by=over.sort_by or base.sort_by,
        sort_order=over.sort_order or base.sort_order,
        limit=_upper(base.limit, over.limit),
        exclude_symbols=_joined(base.exclude_symbols, over.exclude_symbols),
        include_symbol_files=_joined(base.include_symbol_files, over.include_symbol_files),
        metadata=Purpose(
            intent=over.metadata.intent or base.metadata.intent,
            logic=over.metadata.logic or base.metadata.logic,
        ),
    )


def _upper(base: Any, over: Any) -> Any:
    return base if over is None else over


def _joined(base: tuple[str, ...], over: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*base, *over)))


def _locate(name: str) -> Path:
    if name.endswith((".yml", ".yaml")):
        path = Path(name)
    elif name in scanner_names():
        path = SCANNER_DIRECTORY / RUNNABLE / f"{name}.yml"
    else:
        raise ConfigError(
            unknown_name(name, "a scanner", scanner_names(), ", or a .yml file's path")
        )
    if not path.is_file():
        raise ConfigError(f"scanner file {name!r} does not exist")
    return path.resolve()


def _chain(path: Path) -> list[tuple[Path, Layer]]:
    """The layers of a scanner, the lowest first."""
    layers: list[tuple[Path, Layer]] = []
    following: Path | None = path
    while following is not None:
        passed = [layer_path for layer_path, _ in layers]
        if following in passed:
            circle = " -> ".join(_shown(step) for step in (*passed, following))
            raise ConfigError(f"scanner presets go round in a circle: {circle}; break it")
        layer = _read(following)
        layers.append((following, layer))
        following = _base(following, layer)
    return layers[::-1]


def _base(path: Path, layer: Layer) -> Path | None:
    if layer.base_preset is None:
        return None
    candidates = (path.parent / layer.base_preset, SCANNER_DIRECTORY / layer.base_preset)
    base = next((candidate for candidate in candidates if candidate.is_file()), None)
    if base is None:
        raise ConfigError(f"{_shown(path)}: base_preset {layer.base_preset!r} does not exist")
    return base.resolve()


def _read(path: Path) -> Layer:
    try:
        layer = msgspec.yaml.decode(path.read_bytes(), type=Layer)
    except msgspec.ValidationError as error:
        raise ConfigError(f"scanner {_shown(path)}: {error}") from error
    except (OSError, msgspec.DecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"scanner {_shown(path)} is not readable YAML: {reason}") from error
    for condition in layer.filters:
        _refuse_number_as_text(path, condition)
    beside = tuple(str(path.parent / name) for name in layer.include_symbol_files)
    return msgspec.structs.replace(layer, include_symbol_files=beside)


def _symbols_of(path: Path) -> list[str]:
    """The symbols that a file lists; an empty file would ask for everything."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"include_symbol_files: {path.name} cannot be read: {error}") from error
    symbols = [symbol for line in lines if (symbol := line.partition("#")[0].strip())]
    wrong = next((symbol for symbol in symbols if _SYMBOL.fullmatch(symbol) is None), None)
    if wrong is not None or not symbols:
        reason = f"{wrong!r} is not an EXCHANGE:SYMBOL" if symbols else "it names no symbol"
        raise ConfigError(f"include_symbol_files: {path.name}: {reason}; write one a line")
    return symbols


def _refuse_number_as_text(path: Path, condition: Filter) -> None:
    """YAML reads ``1e6`` as text, and the vendor would take a text for a column's name."""
    if not isinstance(condition.right, str):
        return
    try:
        float(condition.right)
    except ValueError:
        return
    raise ConfigError(
        f"scanner {_shown(path)}: filter {condition.left} {condition.operation} has the text "
        f"{condition.right!r}; write a number, 1.0e+6 or 1000000"
    )


def _shown(path: Path) -> str:
    """A file's name as people know it: within the packaged scanners, else by its own name."""
    inside = path.is_relative_to(SCANNER_DIRECTORY)
    return path.relative_to(SCANNER_DIRECTORY).as_posix() if inside else path.name


def _scanner(name: str, layers: tuple[str, ...], merged: Layer) -> Scanner:
    def required(key: str, value: Any) -> Any:
        if not value:
            raise ConfigError(f"scanner {name}: no layer of {' -> '.join(layers)} sets {key}")
        return value

    if merged.limit is not None and merged.limit < 1:
        raise ConfigError(f"scanner {name}: limit is {merged.limit}, give 1 or more")
    files = [Path(name) for name in merged.include_symbol_files]
    question = Scan(
        market=required("market", merged.market),
        columns=required("columns", merged.columns),
        filters=tuple(msgspec.to_builtins(item) for item in merged.filters),
        sort_by=required("sort_by", merged.sort_by),
        sort_order=merged.sort_order or "desc",
        limit=merged.limit,
        tickers=tuple(dict.fromkeys(symbol for file in files for symbol in _symbols_of(file))),
    )
    return Scanner(
        name=name,
        layers=layers,
        question=question,
        quote_currencies=frozenset(required("quote_currencies", merged.quote_currencies)),
        exclude_symbols=frozenset(merged.exclude_symbols),
        intent=required("metadata.intent", merged.metadata.intent),
        logic=required("metadata.logic", merged.metadata.logic),
    )
