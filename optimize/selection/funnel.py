"""Natural selection: clusters, relaxation, and the audit that says why each name is in or out."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from optimize.inputs.pool import Candidate, Pool
from optimize.inputs.returns import ReturnsMatrix
from optimize.profiles import Profile
from optimize.selection.clustering import ClusterResult, cluster
from optimize.selection.inference import Inference
from optimize.selection.relaxation import STAGE_NAMES, HtrResult, Scored, StageRecord, Winner, relax

SPEC_VERSION = "3.4"


def cluster_candidates(matrix: ReturnsMatrix, profile: Profile) -> ClusterResult:
    """Correlation clusters of the candidates' raw returns, columns in the matrix's order."""
    return cluster(
        matrix.values,
        threshold=profile.clusters.threshold,
        lookbacks=profile.clusters.lookbacks,
        max_clusters=profile.clusters.max_clusters,
    )


def select(
    pool: Pool,
    inference: Inference,
    cluster_of: Mapping[str, int],
    profile: Profile,
    toxic: frozenset[str],
) -> HtrResult:
    """Runs the relaxation loop on scored, clustered candidates.

    Args:
        pool: The candidates.
        inference: Their scores, in the same order.
        cluster_of: Atom id to cluster.
        profile: Thresholds.
        toxic: Securities the data cycle marked as toxic.

    Raises:
        GateFailed: Nobody is left.
    """
    scored = [
        Scored(candidate, float(score), cluster_of[candidate.atom_id])
        for candidate, score in zip(pool.candidates, inference.scores, strict=True)
    ]
    return relax(scored, profile.selection, toxic)


def winner_record(won: Winner) -> dict[str, Any]:
    """A winner as it stands in portfolio_candidates.json."""
    return {
        **candidate_record(won.scored.candidate),
        "alpha_score": won.scored.score,
        "cluster_id": won.scored.cluster_id,
        "relaxation_stage": won.stage,
        "selection_note": won.note,
        "waived_vetoes": [veto.describe() for veto in won.waived],
    }


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """A candidate with its atom's identity and its raw features."""
    return {
        "atom_id": candidate.atom_id,
        "physical_symbol": candidate.symbol,
        "security_id": candidate.security_id,
        "symbol": f"{candidate.exchange}:{candidate.symbol}",
        "market": candidate.exchange,
        "asset_class": candidate.asset_class,
        "sector": candidate.sector,
        "logic": candidate.logic,
        "direction": candidate.direction,
        "timescale": "1d",
        **candidate.execution,
        "features": dict(candidate.features),
    }


def audit(
    result: HtrResult,
    clusters: ClusterResult,
    cluster_of: Mapping[str, int],
    funnel: Mapping[str, int],
    profile: Profile,
) -> dict[str, Any]:
    """The content of selection_audit.json."""
    selected = Counter(won.scored.cluster_id for won in result.winners)
    sizes = Counter(cluster_of.values())
    return {
        "spec_version": SPEC_VERSION,
        "total_raw_symbols": funnel["universe"],
        "total_selected": len(result.winners),
        "target": profile.selection.target,
        "scarcity": result.is_scarce,
        "relaxation_stage": result.stage,
        "relaxation_stage_name": STAGE_NAMES[result.stage],
        "lookbacks_used": list(clusters.lookbacks),
        "clusters": {
            str(number): {"size": sizes[number], "selected": selected[number]}
            for number in sorted(sizes)
        },
        "clusters_are_recut": clusters.is_recut,
        "active_thresholds": result.stages[-1].thresholds.model_dump(),
        "stages": [_stage_record(record) for record in result.stages],
        "hardening": {"applied": result.is_hardened, "mean_entropy": result.mean_entropy},
        "hard_thresholds": profile.selection.hard.model_dump(),
        "vetoes": {
            atom: [
                {"name": veto.name, "hard": veto.is_hard, "value": veto.value, "limit": veto.limit}
                for veto in atom_vetoes
            ]
            for atom, atom_vetoes in result.vetoes.items()
        },
        "metrics": {"veto_counts": veto_counts(result)},
        "funnel": dict(funnel),
    }


def veto_counts(result: HtrResult) -> dict[str, int]:
    """How many candidates each veto applies to, under the thresholds before relaxation."""
    counts = Counter(
        f"{'hard' if veto.is_hard else 'soft'} {veto.name}"
        for atom_vetoes in result.vetoes.values()
        for veto in atom_vetoes
    )
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _stage_record(record: StageRecord) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "name": STAGE_NAMES[record.stage],
        "thresholds": record.thresholds.model_dump(),
        "eligible": record.n_eligible,
        "selected": record.n_selected,
    }
