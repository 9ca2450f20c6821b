"""The inputs of a report as plain values: the page computes nothing but sums and formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from trademl.quant.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate of the run: what was asked, what was got, and ``pass``, ``warn`` or ``fail``."""

    name: str
    asked: str
    got: str
    status: str


@dataclass(frozen=True, slots=True)
class WeightRow:
    """One position of the primary portfolio; ``net`` is negative for shorts."""

    symbol: str
    direction: str
    gross: float
    net: float
    cluster: str
    sector: str | None
    stage: str


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One correlation cluster of the primary portfolio and the limit on its weight."""

    name: str
    weight: float
    limit: float
    n_assets: int
    lead: str


@dataclass(frozen=True, slots=True, eq=False)
class StreamRow:
    """One portfolio's in-sample returns, shape (T,), and their figures.

    Attributes:
        metrics: By label, already in the units to be shown (fractions).
    """

    name: str
    returns: FloatArray
    metrics: Mapping[str, float]
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class SolverRow:
    """How one portfolio was solved, and every fallback on the way."""

    name: str
    solver: str
    kappa_before: float
    kappa_after: float
    effective_names: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContributionRow:
    """What one feature added for each name of a table, and on average over all chosen names.

    Attributes:
        note: How it is weighted, for features of the ranking.
    """

    name: str
    note: str
    mean: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChoiceRows:
    """Why the chosen names were chosen.

    Attributes:
        symbols: The columns of both tables, best score first.
        ranking: Summands of ln(score) beyond the pool's mean, and their sum as the last row.
        model: Summands of the model's score, positive for the choice; empty without a model.
        entered: Chosen only because of the model.
        displaced: Not chosen because of the model.
        is_model_ranked: Whether a model's score was among the ranked features.
    """

    symbols: tuple[str, ...]
    ranking: tuple[ContributionRow, ...]
    model: tuple[ContributionRow, ...]
    entered: tuple[str, ...]
    displaced: tuple[str, ...]
    is_model_ranked: bool


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Partitions of one table in one year by status."""

    table: str
    year: int
    expected: int
    green: int
    amber: int
    red: int


@dataclass(frozen=True, slots=True)
class SurvivorshipRow:
    """How many members of an index on a date the lake has data for."""

    index_name: str
    session_date: date
    members: int
    covered: int


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """What one rule kept away from the run: bars, events, returns, tickers or names."""

    what: str
    reason: str
    number: int
    names: str


@dataclass(frozen=True, slots=True)
class DefectRow:
    """One planted defect of a simulated market, and what caught it (empty: nothing)."""

    id: str
    kind: str
    symbol: str
    session_date: str
    description: str
    caught_by: str


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """A labeled matrix, shape (len(rows), len(columns)), for the optional analysis."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class ReportInputs:
    """Everything on the page.

    Attributes:
        identity: Label to value: run id, profile, decision date, version, clock.
        lineage: Label to hash.
        dates: The sessions of the streams, length T.
        is_simulated: Puts the banner on the page.
        funnel: Stage of recruitment to the number left.
        vetoes: Reason to the number of candidates it applied to.
        left_out: What was kept away, by rule.
        choice: Why the names were chosen, None where it is not known.
        model: The training report as a dict, None where no model was used.
        defects: None where the market has no list of planted defects.
    """

    identity: Mapping[str, str]
    lineage: Mapping[str, str]
    primary: str
    dates: tuple[date, ...]
    streams: tuple[StreamRow, ...]
    weights: tuple[WeightRow, ...]
    clusters: tuple[ClusterRow, ...]
    gates: tuple[GateRow, ...]
    solvers: tuple[SolverRow, ...]
    funnel: Mapping[str, int]
    vetoes: Mapping[str, int]
    regime: Mapping[str, str]
    coverage: tuple[CoverageRow, ...] = ()
    survivorship: tuple[SurvivorshipRow, ...] = ()
    left_out: tuple[LeftOutRow, ...] = ()
    disclosures: tuple[str, ...] = ()
    heat_maps: tuple[HeatMap, ...] = ()
    choice: ChoiceRows | None = None
    model: Mapping[str, Any] | None = None
    defects: tuple[DefectRow, ...] | None = None
    is_simulated: bool = False
