"""Weights of training rows."""

import numpy as np
from numpy.typing import NDArray

DAYS_PER_MONTH = 30.4375


def time_decay(
    dates: NDArray[np.datetime64], train_end: np.datetime64, half_life_months: float, floor: float
) -> NDArray[np.float32]:
    """Halves a row's weight with every half-life of age: .5 ** (age in months / half-life).

    Args:
        dates: datetime64[D], when the features of each row were known; none after ``train_end``.
        train_end: The last date of the rows trained on, so that no fold knows a later one.
        half_life_months: Months of 30.4375 days.
        floor: Smallest weight.

    Returns:
        float32 weights in [floor, 1].
    """
    days = (train_end - dates).astype("timedelta64[D]").astype(np.float64)
    weights = 0.5 ** (days / DAYS_PER_MONTH / half_life_months)
    return np.maximum(weights, floor).astype(np.float32)
