"""A synthetic published lake: features of which two carry a planted signal."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.support.published_tables import publish_tables
from trademl.lake.versions import Version

HORIZON = 5
FIRST_SESSION = np.datetime64("2015-01-05")
GATED = ("curated/equities_ohlcv_adj", "reference/corp_actions", "reference/delistings")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the synthetic market is."""

    symbols: int = 40
    sessions: int = 1300
    noise_features: int = 4
    signal: float = 0.002
    seed: int = 1


def weekdays(count: int) -> np.ndarray:
    return np.busday_offset(FIRST_SESSION, np.arange(count))


@dataclass(frozen=True, slots=True)
class Market:
    """What a training reads of a lake, and its session dates."""

    features: pa.Table
    labels: pa.Table
    bars: pa.Table
    dates: np.ndarray


def market(size: Size) -> Market:
    """Features known at the close, labels from it on, and bars whose closes give the labels."""
    generator = np.random.default_rng(size.seed)
    shape = (size.sessions, size.symbols)
    dates = weekdays(size.sessions)
    planted = np.empty((2, *shape))
    planted[:, 0] = generator.standard_normal((2, size.symbols))
    for t in range(1, size.sessions):
        planted[:, t] = 0.8 * planted[:, t - 1] + 0.6 * generator.standard_normal((2, size.symbols))
    market_factor = 0.01 * generator.standard_normal((size.sessions, 1))
    drift = size.signal * (planted[0] + np.abs(planted[1]) - np.sqrt(2 / np.pi))
    daily = market_factor + 0.02 * generator.standard_normal(shape)
    daily[1:] += drift[:-1]
    window = np.cumsum(daily, axis=0)
    last = size.sessions - HORIZON
    ret = window[HORIZON:] - window[:-HORIZON]
    ids = np.tile([f"S{i:04d}" for i in range(size.symbols)], size.sessions)
    features: dict[str, Any] = {
        "security_id": ids,
        "symbol": np.char.replace(ids, "S", "SYM"),
        "asset_class": pa.array(["equity"] * ids.size),
        "session_date": np.repeat(dates, size.symbols),
        "is_eligible": np.repeat(np.arange(size.sessions) >= 10, size.symbols),
        "feat_mom_5": _ranks(planted[0]),
        "feat_rv_20": _ranks(planted[1]),
    }
    for i in range(size.noise_features):
        features[f"feat_sector_{i}"] = _ranks(generator.standard_normal(shape))
    features["feat_sector_0"][::7] = np.nan
    features["feat_hurst"] = features["feat_mom_5"]
    labels = {
        "security_id": ids[: ret.size],
        "symbol": features["symbol"][: ret.size],
        "session_date": features["session_date"][: ret.size],
        "horizon": np.full(ret.size, HORIZON),
        "t0": np.repeat(dates[1 : last + 1], size.symbols),
        "t1": np.repeat(dates[HORIZON:], size.symbols),
        "ret": ret.ravel(),
        "ret_rel": (ret - ret.mean(axis=1, keepdims=True)).ravel(),
        "exit_reason": pa.array(["horizon"] * ret.size),
    }
    features["known_at"] = known_at(features["session_date"])
    labels["known_at"] = known_at(labels["t1"])
    bars = _bars(ids, features["session_date"], daily)
    return Market(pa.table(features), pa.table(labels), bars, dates)


def known_at(sessions: np.ndarray) -> pa.Array:
    """A quarter of an hour after each session's close."""
    moments = sessions.astype("datetime64[us]") + np.timedelta64(21 * 60 + 15, "m")
    return pa.array(moments, pa.timestamp("us", "UTC"))


def _bars(ids: np.ndarray, sessions: np.ndarray, daily: np.ndarray) -> pa.Table:
    """curated.equities_ohlcv_adj as far as a training reads it; a third of a move is overnight."""
    close = 50 * np.cumprod(1 + daily, axis=0)
    previous = np.vstack([np.full((1, daily.shape[1]), 50.0), close[:-1]])
    columns = {
        "security_id": ids,
        "session_date": sessions,
        "open": (previous * (1 + daily / 3)).ravel(),
        "close": close.ravel(),
        "split_ratio": np.ones(daily.size),
        "ret": daily.ravel(),
    }
    return pa.table(columns)


def _ranks(values: np.ndarray) -> np.ndarray:
    order = values.argsort(axis=1).argsort(axis=1)
    return (2 * order / (values.shape[1] - 1) - 1).astype(np.float32).ravel()


def calendar(dates: np.ndarray) -> pa.Table:
    """reference.calendars of the exchange."""
    closes = dates.astype("datetime64[us]") + np.timedelta64(21, "h")
    columns = {
        "exchange": pa.array(["XNYS"] * len(dates)),
        "session_date": dates,
        "close_at": pa.array(closes, pa.timestamp("us", "UTC")),
    }
    return pa.table(columns)


def ledger(dates: np.ndarray, green: dict[str, float] | None = None) -> pa.Table:
    """quality.partition_status: one partition per gated table and session, a share GREEN.

    None of them is of a name, see ``by_name`` for that.
    """
    names, days, statuses = [], [], []
    for name in GATED:
        count = round((green or {}).get(name, 1.0) * len(dates))
        names += [name] * len(dates)
        days.append(dates)
        statuses += ["GREEN"] * count + ["RED"] * (len(dates) - count)
    columns = {
        "table_name": pa.array(names),
        "symbol": pa.array([""] * len(names)),
        "dt": np.concatenate(days),
        "status": pa.array(statuses),
        "qc_code": pa.array(["OK" if status == "GREEN" else "NO_DATA" for status in statuses]),
    }
    return pa.table(columns)


def by_name(
    dates: np.ndarray, missing: dict[str, int], since: dict[str, int] | None = None
) -> pa.Table:
    """The ledger with bars of each name.

    Args:
        dates: The sessions.
        missing: Per name, how many of its newest partitions are RED.
        since: Per name, the position of its first session; 0 where it is not given.
    """
    events = ledger(dates)
    tables = [events.filter(pc.not_equal(events["table_name"], GATED[0]))]
    for name, count in missing.items():
        own = dates[(since or {}).get(name, 0) :]
        statuses = ["GREEN"] * (len(own) - count) + ["RED"] * count
        columns = {
            "table_name": pa.array([GATED[0]] * len(own)),
            "symbol": pa.array([name] * len(own)),
            "dt": own,
            "status": pa.array(statuses),
            "qc_code": pa.array(["OK" if status == "GREEN" else "NO_DATA" for status in statuses]),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def gates(years: float = 4.0) -> pa.Table:
    """seeds.model_gates with the shipped thresholds and a window that fits."""
    return pa.table(
        {
            "model": ["equities_xs"] * 3,
            "table_name": list(GATED),
            "window_years": [years] * 3,
            "min_green_fraction": [0.98, 0.99, 0.99],
        }
    )


def as_of(dates: np.ndarray) -> str:
    return f"{dates[-1] + np.timedelta64(1, 'D')}T13:00:00Z"


def publish(data_dir: Path, size: Size, **replaced: pa.Table) -> Version:
    """Publishes the synthetic market; any of its tables may be replaced by its short name."""
    made = market(size)
    dates = made.dates
    tables = {
        "matrices.features_matrix": replaced.get("features", made.features),
        "labels.label_horizon": replaced.get("labels", made.labels),
        "curated.equities_ohlcv_adj": made.bars,
        "quality.partition_status": replaced.get("ledger", ledger(dates)),
        "reference.calendars": calendar(dates),
        "seeds.model_gates": replaced.get("gates", gates()),
    }
    return publish_tables(data_dir, tables, as_of(dates))
