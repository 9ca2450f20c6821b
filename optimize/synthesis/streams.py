"""Synthetic-long streams: returns with the sign of shorts inverted, long for every solver."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trademl.errors import DataError
from trademl.quant.arrays import FloatArray

LONG = "LONG"
SHORT = "SHORT"


def synthesize(returns: ArrayLike, directions: str | Sequence[str]) -> FloatArray:
    """Turn raw returns into streams whose gain is the position's gain.

    LONG: R. SHORT: -clip(R, upper=1) = max(-R, -1): a raw gain above +100 % would lose more than
    the collateral, so the stream is floored at -100 %. Exact: negation and comparison round
    nothing. nan stays nan. The short is rebalanced every period, which a short that is sold once
    and held is not; borrow costs belong to the simulation
    (docs/specification/selection-synthesis-solvers.md#atoms-and-synthesis).

    Args:
        returns: raw simple returns, shape (T,) with one direction, or (T, N) with N directions.
        directions: ``LONG`` or ``SHORT``; never missing.

    Returns:
        The same shape.

    Raises:
        DataError: another direction, or a count that does not match the columns.
    """
    raw = np.asarray(returns, dtype=np.float64)
    is_short = short_mask(directions)
    fitting = ((), (1,)) if raw.ndim == 1 else (raw.shape[1:],)
    if raw.ndim not in (1, 2) or is_short.shape not in fitting:
        raise DataError(f"returns of shape {raw.shape} do not fit {is_short.size} direction(s)")
    return np.where(is_short, np.maximum(-raw, -1.0), raw)


def short_mask(directions: str | Sequence[str]) -> NDArray[np.bool_]:
    """Return which directions are short: shape () for one name, (N,) for a sequence.

    Raises:
        DataError: a direction other than ``LONG`` and ``SHORT``; a missing one is not long.
    """
    names = [directions] if isinstance(directions, str) else list(directions)
    for position, name in enumerate(names):
        if name not in (LONG, SHORT):
            raise DataError(f"direction {position} is {name!r}: must be LONG or SHORT")
    mask = np.array([name == SHORT for name in names], dtype=np.bool_)
    return mask.reshape(()) if isinstance(directions, str) else mask
