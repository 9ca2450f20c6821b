"""Array types that numerics share."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
"""Values of float64, any shape."""
