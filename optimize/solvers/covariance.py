"""Covariance matrices: estimation, validation, conditioning."""

from dataclasses import dataclass

import numpy as np

from optimize.solvers.result import InvalidCovariance
from trademl.quant.arrays import FloatArray

KAPPA_MAX = 5000.0
"""Largest accepted condition number (other systems take 15000 or 1e6)."""

SHRINKAGE_STEPS = (0.01, 0.15, 0.50, 0.95)
"""Shares of the identity that are tried in turn on an ill-conditioned correlation matrix."""

_SYMMETRY_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class CovarianceEstimate:
    """A covariance (n, n) per period and the share of the target that was mixed into it."""

    covariance: FloatArray
    shrinkage: float


@dataclass(frozen=True, slots=True, eq=False)
class Conditioned:
    """A covariance fit for solving, with its condition number before and after."""

    covariance: FloatArray
    kappa_before: float
    kappa_after: float
    shrinkage: float


def validate_covariance(cov: FloatArray) -> FloatArray:
    """Return the covariance as a float64 array after checking that it can be one.

    Args:
        cov: shape (n, n), any unit.

    Raises:
        InvalidCovariance: not square, empty, not finite, not symmetric within 1e-10 of its
            largest entry, or a diagonal entry that is not positive.
    """
    matrix = np.asarray(cov, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise InvalidCovariance(f"cov must be square and not empty, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        row, col = np.argwhere(~np.isfinite(matrix))[0]
        raise InvalidCovariance(
            f"cov[{row},{col}] is {matrix[row, col]}: drop or repair the asset's returns first"
        )
    _check_symmetry(matrix)
    _check_diagonal(matrix)
    return matrix


def _check_symmetry(matrix: FloatArray) -> None:
    gap = np.abs(matrix - matrix.T)
    if gap.max() > _SYMMETRY_TOLERANCE * np.abs(matrix).max():
        row, col = np.unravel_index(int(gap.argmax()), gap.shape)
        raise InvalidCovariance(
            f"cov is not symmetric: cov[{row},{col}] = {matrix[row, col]!r} but "
            f"cov[{col},{row}] = {matrix[col, row]!r}"
        )


def _check_diagonal(matrix: FloatArray) -> None:
    variances = np.diagonal(matrix)
    if variances.min() <= 0.0:
        worst = int(variances.argmin())
        raise InvalidCovariance(
            f"variance of asset {worst} is {variances[worst]}, must be positive: "
            "drop assets that do not move"
        )


def validate_mean(mu: FloatArray, n_assets: int) -> FloatArray:
    """Return expected returns as float64, shape (n_assets,).

    Raises:
        InvalidCovariance: another shape, or a value that is not finite.
    """
    mean = np.asarray(mu, dtype=np.float64)
    if mean.shape != (n_assets,):
        raise InvalidCovariance(f"mu must have shape ({n_assets},), got {mean.shape}")
    if not np.isfinite(mean).all():
        worst = int(np.argmin(np.isfinite(mean)))
        raise InvalidCovariance(f"mu[{worst}] is {mean[worst]}: drop the asset first")
    return mean


def correlation(cov: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the correlation matrix (n, n) with an exact unit diagonal, and the deviations (n,)."""
    deviations = np.sqrt(np.diagonal(cov))
    corr = cov / np.outer(deviations, deviations)
    np.fill_diagonal(corr, 1.0)
    return corr, deviations


def condition_number(matrix: FloatArray) -> float:
    """Return lambda_max / |lambda_min| of a symmetric matrix.

    An eigenvalue below 2.2e-16 of the largest is rounding noise: the number saturates at 4.5e15,
    so that it stays finite (and can be written as JSON) for a singular matrix.
    """
    return _spectrum(matrix)[0]


def _spectrum(matrix: FloatArray) -> tuple[float, bool]:
    """Condition number, and whether the matrix is positive definite.

    The quotient alone would pass a matrix with a clearly negative eigenvalue.
    """
    eigenvalues = np.linalg.eigvalsh(matrix)
    smallest, largest = float(eigenvalues[0]), float(np.abs(eigenvalues).max())
    kappa = largest / max(abs(smallest), np.finfo(np.float64).eps * largest)
    return kappa, smallest > 0.0


def condition(cov: FloatArray, kappa_max: float | None = KAPPA_MAX) -> Conditioned:
    """Shrink the correlation towards the identity until the condition number is acceptable.

    A matrix within the bound is returned untouched. Otherwise s = .01, .15, .50, .95 are tried
    in turn on (1 - s) R + s I with the variances kept, and the first that meets the bound wins.
    Variances alone may span more than the bound (a stablecoin beside a small coin): no shrinkage
    of the correlation reaches it then, and the bound is put to the correlation matrix instead,
    since different scales are not collinearity.

    Args:
        cov: a validated covariance, shape (n, n).
        kappa_max: the bound; None skips the check (both numbers are nan then).
    """
    if kappa_max is None:
        return Conditioned(cov, float("nan"), float("nan"), 0.0)
    kappa_before, is_definite = _spectrum(cov)
    if is_definite and kappa_before <= kappa_max:
        return Conditioned(cov, kappa_before, kappa_before, 0.0)
    return _shrink(cov, kappa_before, kappa_max)


def _shrink(cov: FloatArray, kappa_before: float, kappa_max: float) -> Conditioned:
    corr, deviations = correlation(cov)
    scale = np.outer(deviations, deviations)
    is_reachable = condition_number(_mix(corr, SHRINKAGE_STEPS[-1]) * scale) <= kappa_max
    for share in SHRINKAGE_STEPS if is_reachable else (0.0, *SHRINKAGE_STEPS):
        mixed = _mix(corr, share)
        judged, is_definite = _spectrum(mixed * scale if is_reachable else mixed)
        if is_definite and judged <= kappa_max:
            break
    solved = mixed * scale if share > 0.0 else cov
    return Conditioned(solved, kappa_before, condition_number(solved), share)


def _mix(corr: FloatArray, share: float) -> FloatArray:
    mixed = (1.0 - share) * corr
    np.fill_diagonal(mixed, 1.0)
    return mixed


def ledoit_wolf(returns: FloatArray) -> CovarianceEstimate:
    """Estimate a covariance shrunk towards a scaled identity.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    J. Multivariate Analysis 88 (2004), with the population covariance (divisor T) as in
    scikit-learn's ``ledoit_wolf``.

    Args:
        returns: shape (T, n), one row per period, no gaps.

    Returns:
        The covariance per period (multiply by periods per year to annualize) and the share of
        the target in [0, 1].

    Raises:
        InvalidCovariance: fewer than two rows, no column, or a value that is not finite.
    """
    data = np.asarray(returns, dtype=np.float64)
    if data.ndim != 2 or data.shape[0] < 2 or data.shape[1] < 1:
        raise InvalidCovariance(f"returns must be (T >= 2, n >= 1), got shape {data.shape}")
    if not np.isfinite(data).all():
        raise InvalidCovariance("returns hold a value that is not finite: trim or drop, never fill")
    n_rows, n_assets = data.shape
    centered = data - data.mean(axis=0)
    sample = centered.T @ centered / n_rows
    target = float(np.trace(sample)) / n_assets
    sum_of_squares = float(np.sum(sample**2))
    distance = sum_of_squares - n_assets * target**2
    fourth = float(np.sum(np.sum(centered**2, axis=1) ** 2))
    error = (fourth / n_rows - sum_of_squares) / n_rows
    share = 0.0 if distance <= 0.0 or error <= 0.0 else min(error / distance, 1.0)
    shrunk = (1.0 - share) * sample
    shrunk.flat[:: n_assets + 1] += share * target
    return CovarianceEstimate(shrunk, share)
