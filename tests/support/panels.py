"""Small panels for tests that need no lake."""

import numpy as np

from models_ml.data.panel import Panel


def make_panel(
    names: int = 20, sessions: int = 200, horizon: int = 5, signal: float = 0.5, seed: int = 3
) -> Panel:
    """A full panel: feature 0 carries the signal, the others nothing."""
    generator = np.random.default_rng(seed)
    count = names * sessions
    features = generator.standard_normal((count, 3)).astype(np.float32)
    relative = 0.02 * (signal * features[:, 0] + generator.standard_normal(count))
    session = np.repeat(np.arange(sessions, dtype=np.int32), names)
    security = np.tile(np.arange(names, dtype=np.int32), sessions)
    labels = np.array([f"N{i:03d}" for i in range(names)], dtype=object)
    return Panel(
        features=features,
        feature_names=("feat_a", "feat_b", "feat_c"),
        absent_features=(),
        securities=labels,
        symbols=labels,
        sessions=np.busday_offset("2016-01-04", np.arange(sessions + horizon + 1)),
        security=security,
        symbol=security,
        session=session,
        label_start=session + np.int32(1),
        label_end=session + np.int32(horizon),
        ret=relative + 0.001,
        ret_rel=relative,
    )
