"""Hierarchical threshold relaxation: loosened in four stages until enough winners pass.

1. Strict: the profile's thresholds. 2. Spectral: entropy and efficiency loosened by fixed factors.
3. Cluster floor: every cluster sends its best member that no hard veto bars. 4. Alpha fallback: the
best remaining scores, first those without any veto, then those whose soft vetoes are waived by
name. Scores and clusters are computed once; a hard veto is never waived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.inputs.pool import Candidate
from optimize.profiles import SelectionSection, SoftThresholds
from optimize.selection.vetoes import Veto, hard_vetoes, soft_vetoes
from trademl.errors import GateFailed
from trademl.symbology import DOLLARS, split_pair

STAGE_NAMES = {1: "strict", 2: "spectral", 3: "cluster floor", 4: "alpha fallback"}


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its Log-MPS score and its cluster."""

    candidate: Candidate
    score: float
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Winner:
    """A chosen candidate, the stage that let it in, and what was waived for it."""

    scored: Scored
    stage: int
    note: str
    waived: tuple[Veto, ...] = ()


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What one stage applied and found."""

    stage: int
    thresholds: SoftThresholds
    n_eligible: int
    n_selected: int


@dataclass(frozen=True, slots=True)
class HtrResult:
    """The outcome of the loop.

    Attributes:
        winners: By falling score.
        stage: The last stage that ran, 1 to 4.
        is_scarce: The pool without hard vetoes was smaller than the target.
        vetoes: Every veto under the profile's own thresholds, by atom.
        stages: One record per stage that ran.
        mean_entropy: Of the pool, None where it is unknown.
        is_hardened: Whether the thresholds were tightened before the first stage.
    """

    winners: tuple[Winner, ...]
    stage: int
    is_scarce: bool
    vetoes: Mapping[str, tuple[Veto, ...]]
    stages: tuple[StageRecord, ...]
    mean_entropy: float | None
    is_hardened: bool


def identity(candidate: Candidate) -> str:
    """What is economically the same: a security, or a coin whatever dollar it is quoted in."""
    if candidate.asset_class == "crypto":
        base, quote = split_pair(candidate.symbol)
        if quote in DOLLARS:
            return base
    return candidate.security_id


def relax(
    pool: Sequence[Scored], rules: SelectionSection, toxic: frozenset[str] = frozenset()
) -> HtrResult:
    """Runs the stages until ``rules.target`` winners are found.

    Raises:
        GateFailed: Hard vetoes bar every candidate.
    """
    ranked = _one_per_identity(sorted(pool, key=_rank))
    is_listed = any(item.candidate.exchange for item in ranked)
    hard = {
        item.candidate.atom_id: hard_vetoes(
            item.candidate, rules.hard, toxic, is_metadata_known=is_listed
        )
        for item in ranked
    }
    admissible = [item for item in ranked if not hard[item.candidate.atom_id]]
    if not admissible:
        raise GateFailed(
            f"NO_WINNERS: hard vetoes bar all {len(ranked)} candidates: {_sample(hard)}"
        )
    mean_entropy = _mean_entropy(ranked)
    base, is_hardened = _harden(rules, mean_entropy)
    vetoes = {
        item.candidate.atom_id: (
            *hard[item.candidate.atom_id],
            *soft_vetoes(item.candidate, base),
        )
        for item in ranked
    }
    winners, records = _run_stages(admissible, rules, base)
    return HtrResult(
        winners=tuple(sorted(winners, key=lambda won: _rank(won.scored))[: rules.max_winners]),
        stage=records[-1].stage,
        is_scarce=len(admissible) < rules.target,
        vetoes={atom: atom_vetoes for atom, atom_vetoes in sorted(vetoes.items()) if atom_vetoes},
        stages=tuple(records),
        mean_entropy=mean_entropy,
        is_hardened=is_hardened,
    )


def _run_stages(
    admissible: list[Scored], rules: SelectionSection, base: SoftThresholds
) -> tuple[list[Winner], list[StageRecord]]:
    """Stops at the first stage that reaches the target, or after the last."""
    loose = _loosen(base, rules)
    goal = min(rules.target, len(admissible))
    records: list[StageRecord] = []
    winners: list[Winner] = []
    for stage, limits in ((1, base), (2, loose), (3, loose), (4, loose)):
        clean = [item for item in admissible if not soft_vetoes(item.candidate, limits)]
        if stage <= 2:
            winners = _policy(clean, rules.top_n, stage)
        elif stage == 3:
            winners = [*winners, *_cluster_floor(admissible, winners, limits)]
        else:
            winners = [*winners, *_fallback(admissible, winners, limits, goal)]
        records.append(StageRecord(stage, limits, len(clean), len(winners)))
        if len(winners) >= rules.target:
            break
    return winners, records


def _policy(clean: list[Scored], top_n: int, stage: int) -> list[Winner]:
    """The best ``top_n`` of each cluster and direction; ``clean`` is already ranked."""
    counts: dict[tuple[int, str], int] = {}
    winners = []
    for item in clean:
        group = (item.cluster_id, item.candidate.direction)
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= top_n:
            note = f"rank {counts[group]} of cluster {item.cluster_id}"
            winners.append(Winner(item, stage, note))
    return winners


def _cluster_floor(
    admissible: list[Scored], winners: list[Winner], limits: SoftThresholds
) -> list[Winner]:
    """The best member of every cluster that has no winner yet, its soft vetoes waived."""
    covered = {won.scored.cluster_id for won in winners}
    forced = []
    for item in admissible:
        if item.cluster_id not in covered:
            covered.add(item.cluster_id)
            waived = soft_vetoes(item.candidate, limits)
            forced.append(Winner(item, 3, f"floor of cluster {item.cluster_id}", waived))
    return forced


def _fallback(
    admissible: list[Scored], winners: list[Winner], limits: SoftThresholds, goal: int
) -> list[Winner]:
    """The best remaining scores, those without a veto before those with a soft one."""
    chosen = {won.scored.candidate.atom_id for won in winners}
    remaining = [
        (item, soft_vetoes(item.candidate, limits))
        for item in admissible
        if item.candidate.atom_id not in chosen
    ]
    ordered = sorted(remaining, key=lambda pair: (bool(pair[1]), *_rank(pair[0])))
    return [
        Winner(item, 4, "soft vetoes waived" if waived else "next best score", waived)
        for item, waived in ordered[: max(goal - len(winners), 0)]
    ]


def _harden(rules: SelectionSection, mean_entropy: float | None) -> tuple[SoftThresholds, bool]:
    """Tightens the entropy threshold once when the whole pool looks like noise."""
    if mean_entropy is None or mean_entropy <= rules.hardening.mean_entropy:
        return rules.soft, False
    entropy_max = rules.soft.entropy_max * rules.hardening.factor
    return _with(rules.soft, entropy_max=entropy_max), True


def _loosen(base: SoftThresholds, rules: SelectionSection) -> SoftThresholds:
    return _with(
        base,
        entropy_max=min(1.0, rules.relaxation.entropy_factor * base.entropy_max),
        efficiency_min=rules.relaxation.efficiency_factor * base.efficiency_min,
    )


def _with(limits: SoftThresholds, **changes: float) -> SoftThresholds:
    return limits.model_copy(update=changes)


def _mean_entropy(pool: Sequence[Scored]) -> float | None:
    known = [
        item.candidate.features["entropy"]
        for item in pool
        if item.candidate.features["entropy"] is not None
    ]
    return float(np.mean(np.array(known, dtype=np.float64))) if known else None


def _one_per_identity(ranked: list[Scored]) -> list[Scored]:
    """The best score of each economic identity, logic and direction."""
    identities: set[tuple[str, str, str]] = set()
    kept = []
    for item in ranked:
        key = (identity(item.candidate), item.candidate.logic, item.candidate.direction)
        if key not in identities:
            identities.add(key)
            kept.append(item)
    return kept


def _rank(item: Scored) -> tuple[float, str]:
    return (-item.score, item.candidate.atom_id)


def _sample(hard: Mapping[str, tuple[Veto, ...]]) -> str:
    atom = next(iter(hard))
    return f"{atom} by {hard[atom][0].describe()}"
