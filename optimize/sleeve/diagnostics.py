"""Optional diagnostics of a run: streams, concentration, and cluster and factor maps."""

import numpy as np
import pyarrow as pa

from optimize.sleeve.context import Allocated, Run
from optimize.sleeve.report import streams
from trademl.report import HeatMap
from trademl.report.plots import heat_map


def write_validation(run: Run, allocation: Allocated) -> dict[str, str]:
    """Streams of every portfolio and of the equal-weight pool, with their figures.

    In sample by construction: today's weights on the sessions that chose them.
    """
    hashes: dict[str, str] = {}
    rows = streams(run, allocation)
    for row in rows:
        table = pa.table({"date": pa.array(allocation.synthetic.dates), "ret": row.returns})
        name = row.name.replace(" ", "_").replace("-", "_")
        hashes |= run.writer.parquet(run.data / "returns" / f"{name}.parquet", table)
    content = {"basis": "in sample", "portfolios": {row.name: dict(row.metrics) for row in rows}}
    return hashes | run.writer.json(run.data / "validation.json", content)


def write_analysis(run: Run, allocation: Allocated) -> dict[str, str]:
    """Cluster map and factor map as SVG, and how far the weights are from equal weights."""
    plots = run.writer.workspace.plots
    hashes = run.writer.content(plots / "cluster_map.svg", heat_map(_cluster_map(allocation)))
    hashes |= run.writer.content(plots / "factor_map.svg", heat_map(_factor_map(allocation)))
    weights = allocation.chosen.weights
    content = {
        "effective_names": float(1.0 / np.sum(weights**2)),
        "distance_from_equal": float(np.abs(weights - 1.0 / weights.size).sum() / 2.0),
    }
    return hashes | run.writer.json(run.data / "concentration.json", content)


def _cluster_map(allocation: Allocated) -> HeatMap:
    """Correlations of the streams, atoms ordered by cluster."""
    chosen = allocation.chosen
    ordered = sorted(zip(chosen.cluster_ids, chosen.atoms, strict=True))
    atoms = tuple(atom for _, atom in ordered)
    values = np.atleast_2d(np.corrcoef(allocation.synthetic.select(atoms).values.T))
    symbol_of = {
        won.scored.candidate.atom_id: won.scored.candidate.symbol
        for won in allocation.selected.result.winners
    }
    labels = tuple(f"{cluster} {symbol_of[atom]}" for cluster, atom in ordered)
    return HeatMap("cluster map", labels, labels, values, -1.0, 1.0)


def _factor_map(allocation: Allocated) -> HeatMap:
    """Probabilities of the winners' features, best score first."""
    inference = allocation.selected.inference
    names = tuple(sorted(inference.probabilities))
    position = {atom: row for row, atom in enumerate(inference.atoms)}
    winners = [won.scored.candidate for won in allocation.selected.result.winners]
    values = np.array(
        [
            [float(inference.probabilities[name][position[item.atom_id]]) for name in names]
            for item in winners
        ]
    )
    return HeatMap("factor map", tuple(item.symbol for item in winners), names, values, 0.0, 1.0)
