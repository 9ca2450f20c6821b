"""Two-layer portfolios: inverse variance inside clusters, a solver across them, limits on both.

Every stream is "positive is good" (shorts are already inverted), so every weight is long. The
solver's own fallbacks and those of the stable-sum gate are on record in each portfolio.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from optimize.inputs.returns import ReturnsMatrix
from optimize.portfolio.caps import Limits, project, resolve_limits
from optimize.profiles import Profile
from optimize.solvers.api import (
    METHODS,
    Method,
    check_stable_sum,
    equal_weight,
    hrp,
    solve_with_fallback,
)
from optimize.solvers.covariance import ledoit_wolf
from optimize.solvers.result import SolverResult
from trademl.errors import GateFailed
from trademl.quant.arrays import FloatArray

MIN_COVERAGE = 0.70
"""Share of the winners that must have a stream to allocate to."""


@dataclass(frozen=True, slots=True, eq=False)
class Portfolio:
    """One solved portfolio over atoms.

    Attributes:
        name: The portfolio asked for, e.g. ``hrp``.
        atoms: Atom ids, in the order of ``weights``.
        weights: Shape (n,), on the simplex.
        cluster_ids: Cluster of every atom.
        cluster_weights: Weight by cluster.
        limits: The caps that applied.
        solver: How the cluster layer was solved.
        is_capped: The limits moved the solver's weights.
    """

    name: str
    atoms: tuple[str, ...]
    weights: FloatArray
    cluster_ids: tuple[str, ...]
    cluster_weights: dict[str, float]
    limits: Limits
    solver: SolverResult
    is_capped: bool


@dataclass(frozen=True, slots=True, eq=False)
class ClusterLayer:
    """The clusters as assets: their members, inner weights, streams and moments."""

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    inner: tuple[FloatArray, ...]
    mean: FloatArray
    covariance: FloatArray


def build_portfolios(
    synthetic: ReturnsMatrix,
    clusters: Mapping[str, Sequence[str]],
    profile: Profile,
    cluster_cap: float,
    n_winners: int,
) -> tuple[Portfolio, ...]:
    """All portfolios of a profile on one synthetic matrix.

    Args:
        synthetic: Streams of the atoms, dense.
        clusters: Cluster id to atom ids, every atom in one.
        profile: Names, linkage and name cap.
        cluster_cap: The regime's cap.
        n_winners: Atoms that selection chose, for the coverage gate.

    Raises:
        GateFailed: Too few winners have a stream that moves.
        SolverError: No method of a fallback chain gave acceptable weights.
    """
    moving = _moving(synthetic)
    if len(moving.names) < MIN_COVERAGE * n_winners:
        raise GateFailed(
            f"PORTFOLIO_COVERAGE: {len(moving.names)} of {n_winners} winners have a stream, "
            f"{MIN_COVERAGE:.0%} are needed"
        )
    layer = _cluster_layer(moving, clusters, profile.optimizer.periods_per_year)
    sizes = [len(members) for members in layer.members]
    limits = resolve_limits(sizes, cluster_cap, profile.risk.name_cap)
    return tuple(
        _solve(name, moving, layer, limits, profile.optimizer.linkage)
        for name in profile.optimizer.profiles
    )


def _moving(synthetic: ReturnsMatrix) -> ReturnsMatrix:
    """Only streams with more than one value; a constant's deviation is rounding, not zero."""
    ranges = np.ptp(synthetic.values, axis=0)
    return synthetic.select(
        tuple(name for name, span in zip(synthetic.names, ranges, strict=True) if span > 0.0)
    )


def _cluster_layer(
    streams: ReturnsMatrix, clusters: Mapping[str, Sequence[str]], periods_per_year: int
) -> ClusterLayer:
    position = {name: column for column, name in enumerate(streams.names)}
    members = {
        cluster: tuple(position[atom] for atom in sorted(atoms) if atom in position)
        for cluster, atoms in sorted(clusters.items())
    }
    kept = {cluster: columns for cluster, columns in members.items() if columns}
    lost = set(streams.names) - {atom for atoms in clusters.values() for atom in atoms}
    if lost:
        raise GateFailed(f"PREOPT_CLUSTERS: {sorted(lost)[0]} is in no cluster: rerun pre-opt")
    inner = tuple(_inverse_variance(streams.values[:, columns]) for columns in kept.values())
    cluster_streams = np.column_stack(
        [streams.values[:, cols] @ share for cols, share in zip(kept.values(), inner, strict=True)]
    )
    return ClusterLayer(
        names=tuple(kept),
        members=tuple(kept.values()),
        inner=inner,
        mean=cluster_streams.mean(axis=0) * periods_per_year,
        covariance=ledoit_wolf(cluster_streams).covariance * periods_per_year,
    )


def _inverse_variance(streams: FloatArray) -> FloatArray:
    precision = 1.0 / streams.var(axis=0)
    return np.asarray(precision / precision.sum())


def _solve(
    name: str, streams: ReturnsMatrix, layer: ClusterLayer, limits: Limits, linkage: str
) -> Portfolio:
    inner = layer.inner
    if name == "equal_weight":
        sizes = np.array([len(members) for members in layer.members], dtype=np.float64)
        solved = equal_weight(len(streams.names))
        outer = sizes / sizes.sum()
        inner = tuple(np.full(int(size), 1.0 / size) for size in sizes)
    else:
        solved = solve_with_fallback(
            name, layer.mean, layer.covariance, limits.cluster_cap, methods=_methods(linkage)
        )
        outer = solved.weights
    weights, cluster_weights = _apply_limits(layer, outer, inner, limits, len(streams.names))
    check_stable_sum(weights)
    before = _spread(layer, outer, inner, len(streams.names))
    owner = {
        column: cluster
        for cluster, cols in zip(layer.names, layer.members, strict=True)
        for column in cols
    }
    return Portfolio(
        name=name,
        atoms=streams.names,
        weights=weights,
        cluster_ids=tuple(owner[column] for column in range(len(streams.names))),
        cluster_weights=cluster_weights,
        limits=limits,
        solver=solved,
        is_capped=bool(np.abs(before - weights).max() > 1e-9),
    )


def _methods(linkage: str) -> Mapping[str, Method]:
    """The solvers with the profile's linkage in place of the paper's."""
    return {**METHODS, "hrp": partial(_linked_hrp, linkage)}


def _linked_hrp(linkage: str, _mu: FloatArray, cov: FloatArray, cap: float | None) -> SolverResult:
    return hrp(cov, linkage=linkage, cap=cap)


def _apply_limits(
    layer: ClusterLayer,
    outer: FloatArray,
    inner: tuple[FloatArray, ...],
    limits: Limits,
    n_names: int,
) -> tuple[FloatArray, dict[str, float]]:
    """Caps the clusters, then the names within each cluster's weight."""
    capped = project(np.asarray(outer, dtype=np.float64), limits.cluster_limits, 1.0)
    weights = np.zeros(n_names)
    for columns, share, weight in zip(layer.members, inner, capped, strict=True):
        bounds = np.full(len(columns), limits.name_cap)
        weights[list(columns)] = project(share * weight, bounds, float(weight))
    by_cluster = {
        name: float(weights[list(columns)].sum())
        for name, columns in zip(layer.names, layer.members, strict=True)
    }
    return weights, by_cluster


def _spread(
    layer: ClusterLayer, outer: FloatArray, inner: tuple[FloatArray, ...], n_names: int
) -> FloatArray:
    weights = np.zeros(n_names)
    for columns, share, weight in zip(layer.members, inner, outer, strict=True):
        weights[list(columns)] = share * weight
    return weights
