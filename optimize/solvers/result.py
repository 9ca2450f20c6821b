"""The result of a portfolio solver, and the one error that no fallback may hide."""

from dataclasses import dataclass, replace

from trademl.errors import SolverError
from trademl.quant.arrays import FloatArray


class InvalidCovariance(SolverError):
    """The input is not a covariance matrix or expected-return vector at all.

    Kept apart from the other solver errors because a fallback must not turn broken data into
    equal weights: ``solve_with_fallback`` lets it through.
    """


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """One method or library that was tried and given up, with the reason."""

    method: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class SolverResult:
    """Long-only weights and how they came about.

    Attributes:
        weights: shape (n,), each in [0, cap], summing to 1 within 1e-9; read-only.
        status: ``optimal`` for every result that is handed out.
        method: the portfolio that the weights are (``hrp``, ``min_variance``, ``max_sharpe``,
            ``risk_parity``, ``equal_weight``); differs from the one asked for after a fallback.
        solver: the algorithm that found them (``active_set``, ``clarabel``, ``newton_cg``, ...).
        kappa_before: condition number lambda_max / |lambda_min| of the covariance as given; nan
            where the check was switched off or there is no covariance.
        kappa_after: the same of the matrix that was solved.
        fallback_chain: methods and libraries given up on the way, oldest first.
        shrinkage: share s of the identity in the correlation, (1 - s) R + s I; 0 = untouched.
        cap: the upper bound that was applied, None for none.
        cap_relaxed: the bound asked for was below 1 / n and therefore raised to 1 / n.
        is_projected: the weights were moved onto the cap after the solve, so the portfolio's own
            property (equal risk, inverse variance) holds only approximately.
    """

    weights: FloatArray
    status: str
    solver: str
    kappa_before: float
    kappa_after: float
    fallback_chain: tuple[FallbackStep, ...] = ()
    shrinkage: float = 0.0
    method: str = ""
    cap: float | None = None
    cap_relaxed: bool = False
    is_projected: bool = False

    def __post_init__(self) -> None:
        """Protect the weights from later writes."""
        self.weights.setflags(write=False)

    def after(self, *given_up: FallbackStep) -> "SolverResult":
        """Return the same result with earlier failures put in front of its chain."""
        return replace(self, fallback_chain=(*given_up, *self.fallback_chain))
