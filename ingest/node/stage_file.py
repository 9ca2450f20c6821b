"""The node's stage: which symbols it keeps, and how far back (``control/stage.yml``)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import yaml

from ingest.control.tasks import Work
from trademl.errors import ConfigError
from trademl.files import write_atomic

STAGES_FILE = Path(__file__).with_name("stages.yml")

_T = TypeVar("_T")
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Number = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class StageRule:
    """What a stage is to hold.

    Attributes:
        symbols: How many symbols at most.
        years: Years of history by dataset.
    """

    symbols: _Positive
    years: dict[str, _Positive]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a node holds, or is on its way to.

    Attributes:
        stage: Number of the stage, from 0.
        end: The date after the last one of its windows.
        starts: First date by dataset.
        symbols: In order.
    """

    stage: _Number
    end: date
    starts: dict[str, date]
    symbols: tuple[str, ...]


def stage_path(data_dir: Path) -> Path:
    """Where the stage of a data directory is."""
    return data_dir / "control" / "stage.yml"


def read_rules(path: Path = STAGES_FILE) -> list[StageRule]:
    """The rules of all stages, in order.

    Raises:
        ConfigError: The file cannot be read or is not as declared.
    """
    return _read(path, list[StageRule])


def read_stage(data_dir: Path) -> Stage | None:
    """The stage of a data directory, none where there is none yet.

    Raises:
        ConfigError: The file cannot be read or is not as declared.
    """
    path = stage_path(data_dir)
    return _read(path, Stage) if path.exists() else None


def write_stage(data_dir: Path, stage: Stage) -> None:
    """Replaces the stage of a data directory, whole or not at all."""
    write_atomic(stage_path(data_dir), yaml.safe_dump(msgspec.to_builtins(stage), sort_keys=False))


def stage_of(number: int, rule: StageRule, symbols: Sequence[str], today: date) -> Stage:
    """A stage that ends today.

    Args:
        number: Number of the stage.
        rule: Its rule.
        symbols: Its symbols; each counts once.
        today: The date after the last one wanted.

    Raises:
        ConfigError: No symbols, or more than the rule allows.
    """
    chosen = tuple(dict.fromkeys(symbols))
    if not 0 < len(chosen) <= rule.symbols:
        raise ConfigError(
            f"stage {number} takes 1 to {rule.symbols} symbols, {len(chosen)} were given"
        )
    starts = {dataset: _years_before(today, years) for dataset, years in rule.years.items()}
    return Stage(number, today, starts, chosen)


def tasks_for(stage: Stage) -> Iterator[Work]:
    """The BOOTSTRAP work of a stage, dataset by dataset."""
    for dataset, start in stage.starts.items():
        for symbol in stage.symbols:
            yield Work(dataset, start, stage.end, "BOOTSTRAP", symbol)


def in_lanes(stage: Stage | None, wanted: Iterable[Work]) -> Iterator[Work]:
    """Says of work whether it lies in the windows of the stage; what crosses its start is cut.

    Without a stage, or for a dataset that the stage does not name, all of it does.
    """
    for work in wanted:
        start = stage.starts.get(work.dataset) if stage else None
        if stage is None or start is None:
            yield work
            continue
        is_held = work.symbol is None or work.symbol in stage.symbols
        if not is_held or work.start < start:
            early = work.end if not is_held else min(work.end, start)
            yield replace(work, end=early, in_stage_window=False)
        if is_held and work.end > start:
            yield replace(work, start=max(work.start, start))


def _years_before(day: date, years: int) -> date:
    """The same day of an earlier year; 28 February where that year has no 29th."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _read(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), kind)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        reason = " ".join(str(error).split())
        wrong = f"{path} is not a file of stages: {reason}; restore or remove it"
        raise ConfigError(wrong) from error
