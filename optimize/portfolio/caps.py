"""Limits on clusters and names, and the projection of a two-layer portfolio onto them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trademl.quant.arrays import FloatArray

_SLACK = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What applies after a small pool made the caps asked for unattainable.

    Attributes:
        cluster_limits: Most weight per cluster, shape (k,).
        name_cap: Most weight per name.
        cluster_cap: Most weight per cluster before its names' caps are considered.
        relaxed: Cap to (asked, applied), for every cap that had to be raised.
    """

    cluster_limits: FloatArray
    name_cap: float
    cluster_cap: float
    relaxed: dict[str, tuple[float, float]]


def resolve_limits(sizes: Sequence[int], cluster_cap: float, name_cap: float) -> Limits:
    """The tightest caps, from those asked for upwards, under which weights can sum to one.

    A cluster of m names can hold at most m times the name cap, so both caps together may leave
    no portfolio even where each alone would: then the cluster cap gives way, as little as it must.

    Args:
        sizes: Names per cluster, length k.
        cluster_cap: Asked for, a share of the portfolio.
        name_cap: Asked for, a share of the portfolio.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    name_limit = max(name_cap, 1.0 / float(counts.sum()))
    rooms = np.minimum(name_limit * counts, 1.0)
    cluster_limit = max(cluster_cap, _smallest_ceiling(rooms))
    relaxed = {}
    if name_limit > name_cap + _SLACK:
        relaxed["name_cap"] = (name_cap, name_limit)
    if cluster_limit > cluster_cap + _SLACK:
        relaxed["cluster_cap"] = (cluster_cap, cluster_limit)
    return Limits(np.minimum(rooms, cluster_limit), name_limit, cluster_limit, relaxed)


def _smallest_ceiling(rooms: FloatArray) -> float:
    """The least c with sum of min(c, room) = 1, given that the rooms sum to at least 1."""
    ordered = np.sort(rooms)
    filled = 0.0
    for position, room in enumerate(ordered):
        share = (1.0 - filled) / (ordered.size - position)
        if share <= room:
            return float(share)
        filled += float(room)
    return float(ordered[-1])


def project(weights: FloatArray, limits: FloatArray, total: float) -> FloatArray:
    """The nearest point (least squares) of {0 <= w <= limits, sum w = total}.

    The solution is clip(w - t, 0, limits) for one t; the sum falls piecewise linearly in t, so
    the right piece is found over the sorted kinks and solved exactly. Where the limits leave no
    room at all, the limits themselves are returned.

    Args:
        weights: Shape (n,), finite.
        limits: Shape (n,), not negative, with a sum of at least ``total`` up to rounding.
        total: What the weights are to sum to.
    """
    if float(limits.sum()) <= total + _SLACK:
        return limits * (total / float(limits.sum()))
    if weights.min() >= 0.0 and (weights <= limits).all() and abs(weights.sum() - total) <= _SLACK:
        return weights
    kinks = np.unique(np.concatenate([weights, weights - limits]))
    sums = np.array([float(np.clip(weights - kink, 0.0, limits).sum()) for kink in kinks])
    # Sums fall from sum(limits) > total to 0: the last kink at or above the total starts the piece.
    left = int(np.flatnonzero(sums >= total)[-1])
    low, high = kinks[left], kinks[min(left + 1, kinks.size - 1)]
    drop = sums[left] - sums[min(left + 1, kinks.size - 1)]
    shift = low if drop == 0.0 else low + (high - low) * (sums[left] - total) / drop
    return np.asarray(np.clip(weights - shift, 0.0, limits))
