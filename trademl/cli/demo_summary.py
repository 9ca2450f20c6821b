"""What the demo says of its sleeves together: who was chosen, why, and who is held both ways."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trademl.errors import GateFailed
from trademl.files import write_atomic
from trademl.runs.artifacts import encode_json

SUMMARY_FILE = "demo_summary.json"

POOL_PER_WINNER = 4
"""Eligible names per winner: with fewer, whoever is eligible wins and no ranking can show."""


@dataclass(frozen=True, slots=True)
class Sleeve:
    """One sleeve of the demo's day.

    Attributes:
        weights: (symbol, net weight), shorts negative.
        eligible: Names that passed the vetoes of the last stage of relaxation.
        entered: Chosen only because of the model; None where no model's score was ranked.
        displaced: Would be chosen in their place; None likewise.
        report: The HTML page.
    """

    profile: str
    asset_class: str
    run_id: str
    weights: tuple[tuple[str, float], ...]
    eligible: int
    winners: int
    entered: tuple[str, ...] | None
    displaced: tuple[str, ...] | None
    report: Path

    @property
    def selects(self) -> bool:
        """Whether there was enough to choose from for the ranking to matter."""
        return self.eligible >= POOL_PER_WINNER * self.winners


@dataclass(frozen=True, slots=True)
class BothWays:
    """A name that sleeves of one day hold in both directions, every sleeve with equal capital.

    Attributes:
        longs: (profile, weight) of the sleeves that are long.
        shorts: (profile, weight) of those that are short, negative.
    """

    asset_class: str
    symbol: str
    longs: tuple[tuple[str, float], ...]
    shorts: tuple[tuple[str, float], ...]

    @property
    def net(self) -> float:
        """What is left of the positions."""
        return sum(weight for _, weight in (*self.longs, *self.shorts))

    def line(self) -> str:
        """For a reader: the weights, the sleeves and the net."""
        held = ", ".join(f"{weight:+.2%} in {name}" for name, weight in (*self.longs, *self.shorts))
        return f"{self.symbol}: {held}, net {self.net:+.2%}"


def held_both_ways(sleeves: Iterable[Sleeve]) -> tuple[BothWays, ...]:
    """The names that are long in one sleeve and short in another, by asset class and symbol."""
    positions: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for sleeve in sleeves:
        for symbol, weight in sleeve.weights:
            positions[sleeve.asset_class, symbol].append((sleeve.profile, weight))
    rows = []
    for (asset_class, symbol), held in sorted(positions.items()):
        longs = tuple(item for item in held if item[1] > 0.0)
        shorts = tuple(item for item in held if item[1] < 0.0)
        if longs and shorts:
            rows.append(BothWays(asset_class, symbol, longs, shorts))
    return tuple(rows)


def require_selection(sleeves: Iterable[Sleeve]) -> None:
    """Refuses a simulated market on which a sleeve has nothing to choose from.

    Raises:
        GateFailed: A sleeve has fewer than ``POOL_PER_WINNER`` eligible names per winner.
    """
    for sleeve in sleeves:
        if not sleeve.selects:
            raise GateFailed(
                f"{sleeve.profile} chose {sleeve.winners} of {sleeve.eligible} eligible names, so "
                f"the ranking hardly decides; the demo needs {POOL_PER_WINNER} for every winner: "
                "simulate more names or lower selection.max_winners of the profile"
            )


def choice_line(sleeve: Sleeve) -> str:
    """How many were chosen of how many, and what the model changed."""
    line = f"chose {sleeve.winners} of {sleeve.eligible} eligible names"
    if sleeve.entered is None or sleeve.displaced is None:
        return f"{line}, without a model"
    if not sleeve.entered and not sleeve.displaced:
        return f"{line}; without the model the same"
    entered, displaced = ", ".join(sleeve.entered), ", ".join(sleeve.displaced)
    return f"{line}; because of the model {entered or 'none'} instead of {displaced or 'none'}"


def summary_lines(sleeves: Sequence[Sleeve]) -> list[str]:
    """The sleeves of the day side by side."""
    lines = [f"{sleeve.profile} {choice_line(sleeve)}" for sleeve in sleeves]
    both = held_both_ways(sleeves)
    if not both:
        return [*lines, "no name is held in both directions"]
    lines.append("held in both directions (sleeves of equal capital):")
    return [*lines, *(f"  {row.line()}" for row in both)]


def write_summary(data_dir: Path, version: str, sleeves: Sequence[Sleeve]) -> Path:
    """Writes ``demo_summary.json``: the sleeves with all weights, and what is held both ways.

    Returns:
        The file.
    """
    path = data_dir / SUMMARY_FILE
    content = {
        "version": version,
        "sleeves": [_sleeve_record(sleeve, data_dir) for sleeve in sleeves],
        "held_both_ways": [
            {
                "asset_class": row.asset_class,
                "symbol": row.symbol,
                "longs": dict(row.longs),
                "shorts": dict(row.shorts),
                "net": row.net,
            }
            for row in held_both_ways(sleeves)
        ],
    }
    write_atomic(path, encode_json(content))
    return path


def _sleeve_record(sleeve: Sleeve, data_dir: Path) -> dict[str, Any]:
    return {
        "profile": sleeve.profile,
        "asset_class": sleeve.asset_class,
        "run_id": sleeve.run_id,
        "eligible": sleeve.eligible,
        "winners": sleeve.winners,
        "entered_by_model": sleeve.entered,
        "displaced_by_model": sleeve.displaced,
        "weights": dict(sleeve.weights),
        "report": sleeve.report.relative_to(data_dir).as_posix(),
    }
