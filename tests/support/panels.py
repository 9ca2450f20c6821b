"""Small panels for tests that need no lake."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
        next_open_ret=np.full(count, np.nan),
        next_close_ret=np.full(count, np.nan),
        known_at=known_after(sessions, horizon)[session],
        ending=np.zeros(count, dtype=np.int32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """A panel with the prices that it was made from.

    Attributes:
        opens: (sessions + horizon + 1, names).
        closes: Of the same shape; labels run from the close after a row's session.
    """

    panel: Panel
    opens: NDArray[np.float64]
    closes: NDArray[np.float64]


def make_market(
    names: int = 40,
    sessions: int = 300,
    horizon: int = 5,
    signal: float = 0.002,
    persistence: float = 0.95,
    seed: int = 3,
) -> Market:
    """Prices that drift with a persistent feature 0, half of each move overnight."""
    generator = np.random.default_rng(seed)
    days = sessions + horizon + 1
    score = np.empty((days, names))
    score[0] = generator.standard_normal(names)
    for day in range(1, days):
        fresh = np.sqrt(1 - persistence**2) * generator.standard_normal(names)
        score[day] = persistence * score[day - 1] + fresh
    overnight, intraday = 0.014 * generator.standard_normal((2, days, names))
    intraday[1:] += signal * score[:-1]
    closes = 50 * np.exp(np.cumsum(overnight + intraday, axis=0))
    opens = closes * np.exp(-intraday)
    features = generator.standard_normal((sessions * names, 3)).astype(np.float32)
    features[:, 0] = score[:sessions].ravel()
    ret = (closes[horizon + 1 :] / closes[1:-horizon] - 1)[:sessions]
    panel = replace(
        make_panel(names, sessions, horizon),
        features=features,
        ret=ret.ravel(),
        ret_rel=(ret - ret.mean(axis=1, keepdims=True)).ravel(),
        next_open_ret=(opens[1 : sessions + 1] / closes[:sessions] - 1).ravel(),
        next_close_ret=(closes[1 : sessions + 1] / closes[:sessions] - 1).ravel(),
    )
    last = (panel.session + np.int32(horizon + 1)).astype(np.int32)
    panel = replace(
        panel, label_end=last, known_at=known_after(sessions, horizon + 1)[panel.session]
    )
    return Market(panel, opens, closes)


def known_after(sessions: int, horizon: int) -> NDArray[np.datetime64]:
    """(sessions,) when a label of each session was known: 22:00 of the horizon's last session."""
    last = np.busday_offset("2016-01-04", np.arange(sessions) + horizon)
    return np.asarray(last.astype("datetime64[us]") + np.timedelta64(22, "h"))
