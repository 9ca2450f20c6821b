"""A small synthetic lake for tests of the alpha cycle: equities in blocks, coins, calendars."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from optimize.profiles import SELECTION_FEATURES
from tests.support.published_tables import publish_tables
from trademl.clock import iso
from trademl.files import sha256_of_file
from trademl.lake import versions as lake

LAST_SESSION = date(2020, 12, 30)
CLOCK = datetime(2020, 12, 31, 13, tzinfo=UTC)
TRAINED_AS_OF = datetime(2020, 12, 23, 13, tzinfo=UTC)
N_SESSIONS = 600
N_EQUITIES = 60
N_COINS = 16
N_BLOCKS = 6

MODEL_FEATURES = ("feat_mom_20", "feat_rv_20")


def exchange_sessions(n_sessions: int = N_SESSIONS, last: date = LAST_SESSION) -> list[date]:
    """Monday to Friday, which stands in for an exchange's calendar in these tests."""
    days: list[date] = []
    day = last
    while len(days) < n_sessions:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]


def every_day(n_days: int = N_SESSIONS, last: date = LAST_SESSION) -> list[date]:
    return [last - timedelta(days=back) for back in range(n_days)][::-1]


def block_returns(n_days: int, n_names: int, seed: int, drift: float = 0.0006) -> np.ndarray:
    """Names in blocks that share a factor, half of them with the opposite drift."""
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0, 0.006, n_days)
    blocks = rng.normal(0.0, 0.012, (n_days, N_BLOCKS))
    own = rng.normal(0.0, 0.008, (n_days, n_names))
    signs = np.where(np.arange(n_names) % 2 == 0, 1.0, -1.0)
    returns = market[:, None] + blocks[:, np.arange(n_names) % N_BLOCKS] + own + drift * signs
    return np.clip(returns, -0.5, 0.5)


@dataclass(slots=True)
class AlphaLake:
    """Column data of the lake's tables, to be changed by a test before it is published."""

    tables: dict[str, pa.Table] = field(default_factory=dict)

    def publish(self, data_dir: Path, as_of: datetime = CLOCK) -> lake.Version:
        return publish_tables(data_dir, self.tables, iso(as_of))

    def replace(self, name: str, column: str, values: pa.Array) -> None:
        table = self.tables[name]
        self.tables[name] = table.set_column(table.column_names.index(column), column, values)

    def edit(self, name: str, column: str, changes: dict[int, object]) -> None:
        """Sets single cells by row number."""
        values = self.tables[name][column].to_pylist()
        for row, value in changes.items():
            values[row] = value
        self.replace(name, column, pa.array(values, self.tables[name][column].type))

    def rows(self, name: str, **equal: object) -> list[int]:
        """Numbers of the rows in which all given columns have the given values."""
        columns = {key: self.tables[name][key].to_pylist() for key in equal}
        count = self.tables[name].num_rows
        return [
            row for row in range(count) if all(columns[key][row] == equal[key] for key in equal)
        ]

    def drop_rows(self, name: str, rows: list[int]) -> None:
        gone = set(rows)
        keep = [row for row in range(self.tables[name].num_rows) if row not in gone]
        self.tables[name] = self.tables[name].take(keep)


def make_lake(
    n_equities: int = N_EQUITIES, n_coins: int = N_COINS, n_sessions: int = N_SESSIONS
) -> AlphaLake:
    """A healthy lake on which all three profiles run."""
    sessions, days = exchange_sessions(n_sessions), every_day(n_sessions)
    equities = [f"EQ{number:02d}" for number in range(n_equities)]
    coins = [f"COIN{number:02d}USDT" for number in range(n_coins)]
    stock = block_returns(len(sessions), n_equities, seed=7)
    coin = 2.5 * block_returns(len(days), n_coins, seed=11)
    built = AlphaLake()
    built.tables["matrices.returns_matrix"] = pa.concat_tables(
        [
            _returns_table(equities, "equity", "XNYS", sessions, stock),
            _returns_table(coins, "crypto", "BINANCE", days, coin),
        ]
    )
    built.tables["matrices.features_matrix"] = pa.concat_tables(
        [
            _features_table(equities, "equity", "XNYS", sessions[-3:], stock, 252),
            _features_table(coins, "crypto", "BINANCE", days[-3:], coin, 365),
        ]
    )
    built.tables["reference.calendars"] = _calendar_table([*sessions, date(2020, 12, 31)])
    built.tables["quality.quarantine_bars"] = pa.table(
        {
            "security_id": pa.array(["id-EQ59"]),
            "symbol": pa.array(["EQ59"]),
            "asset_class": pa.array(["equity"]),
            "session_date": pa.array([sessions[-50]], pa.date32()),
            "reason": pa.array(["TOXIC_RETURN"]),
            "verdict": pa.array(["rejected"]),
        }
    )
    built.tables["quality.lakehouse_catalog"] = _catalog_table(equities, coins)
    built.tables["quality.coverage"] = _coverage_table()
    built.tables["quality.survivorship"] = pa.table(
        {
            "index_name": ["SP500", "SP500"],
            "session_date": pa.array([sessions[0], sessions[-1]], pa.date32()),
            "members": pa.array([500, 505], pa.int64()),
            "covered": pa.array([380, 498], pa.int64()),
        }
    )
    return built


def _stamps(days: list[date]) -> pa.Array:
    return pa.array(
        [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in days], pa.timestamp("us", "UTC")
    )


def _known(days: list[date]) -> pa.Array:
    late = [datetime(d.year, d.month, d.day, tzinfo=UTC) + timedelta(hours=26) for d in days]
    return pa.array(late, pa.timestamp("us", "UTC"))


def _returns_table(
    names: list[str], asset_class: str, exchange: str, days: list[date], values: np.ndarray
) -> pa.Table:
    flat_days = [day for _ in names for day in days]
    flat_names = [name for name in names for _ in days]
    return pa.table(
        {
            "security_id": [f"id-{name}" for name in flat_names],
            "symbol": flat_names,
            "exchange": [exchange] * len(flat_days),
            "asset_class": [asset_class] * len(flat_days),
            "session_date": pa.array(flat_days, pa.date32()),
            "timestamp": _stamps(flat_days),
            "ret": pa.array(values.T.ravel()),
            "known_at": _known(flat_days),
        }
    )


def _features_table(
    names: list[str],
    asset_class: str,
    exchange: str,
    days: list[date],
    values: np.ndarray,
    periods: int,
) -> pa.Table:
    """Plausible features: momentum and volatility from the returns, the rest made up to be fit."""
    sectors = ["Technology", "Energy", "Utilities"]
    order = [(name, day) for name in names for day in days]
    number = {name: position for position, name in enumerate(names)}
    spread = np.array([number[name] for name, _ in order]) / max(len(names) - 1, 1)
    momentum = np.array([values[:, number[name]].mean() * periods for name, _ in order])
    volatility = np.array([values[:, number[name]].std() * np.sqrt(periods) for name, _ in order])
    raw = {
        "momentum": momentum,
        "volatility_ann": volatility,
        "stability": 1.0 / volatility,
        "entropy": 0.93 + 0.05 * spread,
        "efficiency": 0.06 + 0.1 * spread[::-1],
        "hurst": 0.55 + 0.1 * spread,
        "hurst_clean": 0.1 + 0.2 * spread,
        "adx": 15.0 + 20.0 * spread,
        "liquidity": 0.5 + 0.5 * spread,
        "antifragility": 0.3 + 0.6 * spread[::-1],
        "survival": 0.8 + 0.2 * spread,
        "skew": 0.5 * spread,
        "kurtosis": 1.0 + 3.0 * spread,
        "cvar": -0.04 - 0.01 * spread,
        "roc": 0.05 + 0.1 * spread,
        "adv_usd": 1e8 + 1e9 * spread,
        "eci": 0.001 + 0.002 * spread,
        "fragility": 0.5 + spread,
        "n_obs": np.full(len(order), float(values.shape[0])),
        "gap_ratio": np.zeros(len(order)),
    }
    assert set(raw) == set(SELECTION_FEATURES)
    is_equity = asset_class == "equity"
    return pa.table(
        {
            "security_id": [f"id-{name}" for name, _ in order],
            "symbol": [name for name, _ in order],
            "exchange": [exchange] * len(order),
            "asset_class": [asset_class] * len(order),
            "session_date": pa.array([day for _, day in order], pa.date32()),
            "timestamp": _stamps([day for _, day in order]),
            "sector": pa.array(
                [sectors[number[name] % 3] if is_equity else None for name, _ in order], pa.string()
            ),
            "is_eligible": pa.array([True if is_equity else None] * len(order), pa.bool_()),
            "known_at": _known([day for _, day in order]),
            "feat_mom_20": pa.array(spread, pa.float32()),
            "feat_rv_20": pa.array(1.0 - spread, pa.float32()),
            **{f"feat_{name}": pa.array(column, pa.float32()) for name, column in raw.items()},
        }
    )


def _calendar_table(sessions: list[date]) -> pa.Table:
    opens = [datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC) for d in sessions]
    return pa.table(
        {
            "exchange": ["XNYS"] * len(sessions),
            "session_date": pa.array(sessions, pa.date32()),
            "open_at": pa.array(opens, pa.timestamp("us", "UTC")),
            "close_at": pa.array(
                [moment + timedelta(hours=6, minutes=30) for moment in opens],
                pa.timestamp("us", "UTC"),
            ),
            "is_early_close": [False] * len(sessions),
        }
    )


def _catalog_table(equities: list[str], coins: list[str]) -> pa.Table:
    names = [*equities, *coins]
    return pa.table(
        {
            "security_id": [f"id-{name}" for name in names],
            "symbol": names,
            "asset_class": ["equity"] * len(equities) + ["crypto"] * len(coins),
            "tick_size": [0.01] * len(names),
            "lot_size": [1.0] * len(equities) + [0.001] * len(coins),
            "price_precision": pa.array([2] * len(names), pa.int64()),
        }
    )


def _coverage_table() -> pa.Table:
    years = [2018, 2019, 2020] * 2
    expected = [1000, 15120, 15120, 900, 5840, 5856]
    red = [12, 3, 0, 0, 40, 1]
    green = [total - bad for total, bad in zip(expected, red, strict=True)]
    return pa.table(
        {
            "table_name": ["curated/equities_ohlcv_adj"] * 3 + ["curated/crypto_ohlcv"] * 3,
            "year": pa.array(years, pa.int32()),
            "expected": pa.array(expected, pa.int64()),
            "green": pa.array(green, pa.int64()),
            "amber": pa.array([0] * 6, pa.int64()),
            "red": pa.array(red, pa.int64()),
            "green_fraction": [good / total for good, total in zip(green, expected, strict=True)],
        }
    )


def make_model(
    folder: Path, features: tuple[str, ...] = MODEL_FEATURES, as_of: datetime = TRAINED_AS_OF
) -> Path:
    """A tiny LightGBM model over two features of the lake, with its feature list and a report."""
    import lightgbm

    rng = np.random.default_rng(3)
    inputs = rng.random((400, len(features))).astype(np.float32)
    target = inputs[:, 0] - 0.5 * inputs[:, 1]
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "deterministic": True}
    settings |= {"force_row_wise": True, "seed": 1, "num_leaves": 7}
    data = lightgbm.Dataset(inputs, target, feature_name=list(features))
    booster = lightgbm.train(settings, data, num_boost_round=10)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.txt")
    (folder / "feature_list.json").write_text(json.dumps(list(features)))
    report = {
        "model_id": folder.name,
        "version": "v000001",
        "as_of": iso(as_of),
        "score": {
            "ic": 0.031,
            "ic_t": 3.2,
            "sharpe_ann": 1.21,
            "path_sharpe_ann": [0.4, 1.2, 1.3],
            "max_drawdown": -0.12,
        },
        "overfitting": {
            "dsr": 0.98,
            "excess_sharpe": 0.02,
            "pbo": 0.04,
            "n_trials": 8,
            "effective_periods": 201.0,
        },
        "controls": [{"name": "shuffled_labels", "ic": 0.001, "passed": True}],
        "disclosures": ["trials trained on every fifth session"],
    }
    (folder / "report.json").write_text(json.dumps(report))
    record_files(folder)
    return folder


def record_files(folder: Path) -> None:
    """Writes the hashes of a model's files, as they are now, into its report."""
    report = json.loads((folder / "report.json").read_text())
    report["files"] = {
        name: sha256_of_file(folder / name) for name in ("model.txt", "feature_list.json")
    }
    (folder / "report.json").write_text(json.dumps(report))
