"""One self-contained HTML page per run: no script, no font, no link to anywhere else."""

from trademl.report.inputs import (
    ChoiceRows,
    ClusterRow,
    ContributionRow,
    CoverageRow,
    DefectRow,
    GateRow,
    HeatMap,
    LeftOutRow,
    ReportInputs,
    SolverRow,
    StreamRow,
    SurvivorshipRow,
    WeightRow,
)
from trademl.report.page import render_report

__all__ = [
    "ChoiceRows",
    "ClusterRow",
    "ContributionRow",
    "CoverageRow",
    "DefectRow",
    "GateRow",
    "HeatMap",
    "LeftOutRow",
    "ReportInputs",
    "SolverRow",
    "StreamRow",
    "SurvivorshipRow",
    "WeightRow",
    "render_report",
]
