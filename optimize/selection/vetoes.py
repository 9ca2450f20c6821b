"""Vetoes: why a candidate may not be chosen, by name, with the raw value that caused it.

Hard vetoes are never waived. Soft ones are loosened or waived by the stages of relaxation.
They read raw feature values, not the probabilities of the score: a filter on
probabilities would silently pass or refuse everybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from optimize.inputs.pool import EXECUTION, Candidate
from optimize.profiles import HardThresholds, SoftThresholds


@dataclass(frozen=True, slots=True)
class Veto:
    """One reason against a candidate.

    Attributes:
        name: E.g. ``entropy``; the same name for every candidate.
        is_hard: Whether no stage may waive it.
        value: The raw value that was judged, None where the feature is missing.
        limit: What it was judged against.
    """

    name: str
    is_hard: bool
    value: float | None
    limit: str

    def describe(self) -> str:
        """One line such as ``hard kurtosis 31.2 (at most 20)``."""
        kind = "hard" if self.is_hard else "soft"
        got = "missing" if self.value is None else repr(self.value)
        return f"{kind} {self.name} {got} ({self.limit})"


def hard_vetoes(
    candidate: Candidate,
    limits: HardThresholds,
    toxic: frozenset[str],
    *,
    is_metadata_known: bool = True,
) -> tuple[Veto, ...]:
    """The reasons that exclude a candidate for good.

    A missing feature is not a hard veto: a market without that data would have no candidates.

    Args:
        candidate: With its raw features.
        limits: The profile's hard thresholds.
        toxic: Securities that the data cycle marked as toxic.
        is_metadata_known: Whether the market lists its securities at all; where it does, one
            that is not listed cannot be traded. Nor can one without tick, lot or precision.
    """
    vetoes = []
    if candidate.security_id in toxic:
        vetoes.append(Veto("toxic", True, None, "no quarantined toxic bar in the window"))
    absent = [name for name in EXECUTION if candidate.execution[name] is None]
    if is_metadata_known and not candidate.exchange:
        absent.append("exchange")
    if absent:
        vetoes.append(Veto("missing_metadata", True, None, f"a known {' and '.join(absent)}"))
    vetoes.extend(_beyond(candidate, _hard_bounds(limits), is_hard=True))
    return tuple(vetoes)


def soft_vetoes(candidate: Candidate, limits: SoftThresholds) -> tuple[Veto, ...]:
    """The reasons that exclude a candidate until a stage of relaxation waives them.

    A missing feature is a soft veto of its own: nothing shows that the candidate is fit.
    """
    bounds = (
        ("entropy", None, limits.entropy_max),
        ("efficiency", limits.efficiency_min, None),
    )
    vetoes = list(_missing(candidate, ("entropy", "efficiency", "hurst", "momentum", "eci")))
    vetoes.extend(_beyond(candidate, bounds, is_hard=False))
    low, high = limits.random_walk_zone
    memory = candidate.features["hurst"]
    if memory is not None and low <= memory <= high:
        vetoes.append(Veto("random_walk", False, memory, f"outside {low:g} to {high:g}"))
    vetoes.extend(_momentum_vetoes(candidate, limits))
    return tuple(vetoes)


def signed_momentum(candidate: Candidate) -> float | None:
    """Momentum as the direction wants it: positive is good for longs and for shorts."""
    momentum = candidate.features["momentum"]
    if momentum is None:
        return None
    return -momentum if candidate.direction == "SHORT" else momentum


def _momentum_vetoes(candidate: Candidate, limits: SoftThresholds) -> Iterator[Veto]:
    momentum, cost = signed_momentum(candidate), candidate.features["eci"]
    if momentum is None:
        return
    if momentum < limits.min_momentum:
        yield Veto("momentum", False, momentum, f"at least {limits.min_momentum:g}")
    if cost is None:
        return
    net = momentum - cost
    # Strong trends may pay for friction: 1.25 of the hurdle is enough beyond 100 % a year.
    is_strong = momentum > 1.0 and net >= 1.25 * limits.eci_hurdle
    if net < limits.eci_hurdle and not is_strong:
        yield Veto("friction", False, net, f"at least {limits.eci_hurdle:g}")


def _hard_bounds(
    limits: HardThresholds,
) -> tuple[tuple[str, float | None, float | None], ...]:
    return (
        ("survival", limits.survival_min, None),
        ("kurtosis", None, limits.kurtosis_max),
        ("volatility_ann", limits.volatility_min, limits.volatility_max),
        ("roc", limits.roc_min, limits.roc_max),
        ("entropy", None, limits.entropy_max),
    )


def _beyond(
    candidate: Candidate,
    bounds: tuple[tuple[str, float | None, float | None], ...],
    *,
    is_hard: bool,
) -> Iterator[Veto]:
    for name, low, high in bounds:
        value = candidate.features[name]
        if value is None:
            continue
        if low is not None and value < low:
            yield Veto(name, is_hard, value, f"at least {low:g}")
        elif high is not None and value > high:
            yield Veto(name, is_hard, value, f"at most {high:g}")


def _missing(candidate: Candidate, names: tuple[str, ...]) -> Iterator[Veto]:
    for name in names:
        if candidate.features[name] is None:
            yield Veto(f"missing_{name}", False, None, "a value")
