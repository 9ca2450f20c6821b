"""A model that learned the planted signal against one that learned shuffled labels.

Both are trained and turned into weights by the real code, on the simulator's returns; only the
lake between them is left out. What counts is what the weights earn over the sessions that follow.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from models_ml.data.panel import Panel
from models_ml.profile import load_profile as load_training
from models_ml.registry.writer import hashes, write_model
from models_ml.validation.negative_controls import shuffled
from models_ml.validation.out_of_fold import binned, make_fit, target_of, train_one
from optimize.inputs.pinned_model import PinnedModel, pin_model, score
from optimize.inputs.pool import Pool
from optimize.inputs.returns import ReturnsMatrix
from optimize.portfolio.preopt import synthetic_clusters
from optimize.portfolio.two_layer import build_portfolios
from optimize.profiles import Profile
from optimize.selection.attribution import select_without_model
from optimize.selection.funnel import cluster_candidates, select
from optimize.selection.inference import infer
from optimize.selection.relaxation import HtrResult
from optimize.synthesis.streams import synthesize
from simulator.market.equities import stream
from simulator.market.returns import DAILY_DRIFT, equity_paths
from tests.support.candidates import changed, make_candidate
from tests.support.panels import known_after, make_panel
from trademl.runs.artifacts import encode_json

NAMES, SESSIONS, HORIZON = 64, 1500, 5
FIRST, CUT = 252, 1000
"""The first session with all features; training ends where the books begin."""
SYMBOLS = tuple(f"N{number:02d}" for number in range(NAMES))
LAGS = {"feat_mom_20": 20, "feat_mom_60": 60, "feat_reversal_1": 1, "feat_reversal_5": 5}
DRIFT = 3.0 * DAILY_DRIFT
"""Three times the shipped signal: at that one 99 books tell the models apart by one standard error,
and it would take ten minutes of books to tell them apart by three."""
EVERY = 8
PROFILES = {
    side: changed(f"us_equities_{side.lower()}_demo", optimizer={"profiles": ["hrp"]})
    for side in ("LONG", "SHORT")
}


@dataclass(frozen=True, slots=True)
class Market:
    """Log total returns, and features known at each close, both (sessions, names)."""

    levels: np.ndarray
    features: dict[str, np.ndarray]

    @property
    def returns(self) -> np.ndarray:
        return np.expm1(np.diff(self.levels, axis=0, prepend=0.0))

    def ahead(self, session: int | slice) -> np.ndarray:
        """Returns from the next close over the horizon."""
        first, last = self.levels[1:-HORIZON], self.levels[1 + HORIZON :]
        return np.expm1(last - first)[session]


@dataclass(frozen=True, slots=True)
class Book:
    """One sleeve of one day."""

    names: frozenset[str]
    differs_without_model: bool
    pool_per_winner: float
    earned: float


@pytest.fixture(scope="module")
def market() -> Market:
    quiet = np.zeros((SESSIONS, NAMES), dtype=np.bool_)
    paths = equity_paths(stream(7, 3), np.arange(NAMES) % 11, quiet, DRIFT)
    levels = np.cumsum(paths.log_returns, axis=0)
    features = {}
    for name, lag in LAGS.items():
        features[name] = np.full(levels.shape, np.nan)
        features[name][lag:] = levels[lag:] - levels[:-lag]
    features["feat_rv_20"] = np.full(levels.shape, np.nan)
    features["feat_rv_20"][19:] = sliding_window_view(paths.log_returns, 20, axis=0).std(axis=-1)
    noise = np.random.default_rng(1)
    features |= {f"feat_noise_{one}": noise.standard_normal(levels.shape) for one in range(3)}
    return Market(levels, features)


@pytest.fixture(scope="module")
def models(market: Market, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PinnedModel]:
    """One model of the planted signal, one of the same rows with labels that hold none."""
    panel = training_panel(market)
    folder = tmp_path_factory.mktemp("models")
    return {
        name: trained(rows, folder / name)
        for name, rows in (("planted", panel), ("shuffled", shuffled(panel, 11)))
    }


def training_panel(market: Market) -> Panel:
    """Rows whose labels have ended before the first book."""
    sessions = CUT - HORIZON - 1 - FIRST
    rows = slice(FIRST, FIRST + sessions)
    ret = market.ahead(rows)
    blank = make_panel(NAMES, sessions, HORIZON)
    columns = [values[rows].ravel() for values in market.features.values()]
    return replace(
        blank,
        features=np.column_stack(columns).astype(np.float32),
        feature_names=tuple(market.features),
        label_end=(blank.session + np.int32(HORIZON + 1)).astype(np.int32),
        ret=ret.ravel(),
        ret_rel=(ret - ret.mean(axis=1, keepdims=True)).ravel(),
        known_at=known_after(sessions, HORIZON + 1)[blank.session],
    )


def trained(panel: Panel, folder: Path) -> PinnedModel:
    """The demo's full budget on all rows, pinned as a run would."""
    profile = load_training("equities_xs_demo")
    chosen = next(trial for trial in profile.trials.grid if trial.name == "slow_ridge")
    fit = make_fit(profile, chosen.params, profile.trees)
    target = target_of(panel, profile.label)
    booster = train_one(binned(panel, profile, target, np.arange(len(panel)), fit), fit)
    folder.mkdir()
    write_model(folder, booster, panel.feature_names)
    record = {"as_of": "2020-01-01T00:00:00Z", "files": hashes(folder)}
    (folder / "report.json").write_text(encode_json(record))
    return pin_model(folder)


def pool_at(market: Market, session: int, direction: str) -> Pool:
    """The names with what selection knows at a close; what is not computed is the same for all."""
    moves = np.diff(market.levels[session - 252 : session + 1], axis=0)
    volatility = moves.std(axis=0) * np.sqrt(252)
    worst = np.sort(moves, axis=0)[:13].mean(axis=0)
    candidates = tuple(
        make_candidate(
            symbol,
            direction,
            changes={
                "momentum": float(moves[:, place].mean() * 252),
                "volatility_ann": float(volatility[place]),
                "stability": float(1.0 / volatility[place]),
                "efficiency": float(abs(moves[:, place].sum()) / np.abs(moves[:, place]).sum()),
                "cvar": float(worst[place]),
            },
        )
        for place, symbol in enumerate(SYMBOLS)
    )
    columns = {name: pa.array(values[session]) for name, values in market.features.items()}
    return Pool(candidates, pa.table(columns), {})


def raw_returns(market: Market, session: int) -> ReturnsMatrix:
    past = market.returns[session - 499 : session + 1]
    days = tuple(np.busday_offset("2016-01-04", np.arange(len(past))).astype(object))
    return ReturnsMatrix(days, SYMBOLS, past)


def book(
    market: Market,
    session: int,
    pool: Pool,
    labels: list[int],
    profile: Profile,
    model: PinnedModel,
) -> Book:
    """Weights at a close, and what they earn from the next one on."""
    cluster_of = {item.atom_id: label for item, label in zip(pool.candidates, labels, strict=True)}
    inference = infer(pool, profile, score(model, pool))
    result = select(pool, inference, cluster_of, profile, frozenset())
    without = select_without_model(pool, inference, cluster_of, profile, frozenset(), result)
    assert without is not None
    weights = weights_of(result, raw_returns(market, session), profile)
    ahead = dict(zip(SYMBOLS, market.ahead(session), strict=True))
    sign = -1.0 if profile.direction == "SHORT" else 1.0
    return Book(
        names=frozenset(weights),
        differs_without_model=bool(without.entered),
        pool_per_winner=result.stages[-1].n_eligible / len(result.winners),
        earned=sign * sum(weight * ahead[name] for name, weight in weights.items()),
    )


def weights_of(result: HtrResult, raw: ReturnsMatrix, profile: Profile) -> dict[str, float]:
    chosen = sorted((won.scored.candidate for won in result.winners), key=lambda item: item.atom_id)
    columns = raw.select(tuple(item.symbol for item in chosen))
    streams = synthesize(columns.values, [item.direction for item in chosen])
    synthetic = ReturnsMatrix(raw.dates, tuple(item.atom_id for item in chosen), streams)
    clusters = synthetic_clusters(synthetic, profile)
    cap = profile.risk.cluster_cap
    (solved,) = build_portfolios(synthetic, clusters, profile, cap, len(chosen))
    symbol_of = {item.atom_id: item.symbol for item in chosen}
    return {
        symbol_of[atom]: float(weight)
        for atom, weight in zip(solved.atoms, solved.weights, strict=True)
    }


@pytest.fixture(scope="module")
def books(market: Market, models: dict[str, PinnedModel]) -> Callable[[str, str], list[Book]]:
    """A model's books of a direction; their horizons do not overlap."""
    made: dict[tuple[str, str], list[Book]] = defaultdict(list)
    for session in range(CUT, SESSIONS - HORIZON - 1, EVERY):
        raw = raw_returns(market, session)
        labels = cluster_candidates(raw, PROFILES["LONG"]).labels.tolist()
        for side, profile in PROFILES.items():
            pool = pool_at(market, session, side)
            for name, model in models.items():
                made[name, side].append(book(market, session, pool, labels, profile, model))
    return lambda name, side: made[name, side]


def test_a_model_of_the_planted_signal_earns_more_than_one_of_shuffled_labels(
    books: Callable[[str, str], list[Book]],
) -> None:
    earned = {
        name: np.sum([[one.earned for one in books(name, side)] for side in PROFILES], axis=0)
        for name in ("planted", "shuffled")
    }
    lead = earned["planted"] - earned["shuffled"]
    assert lead.mean() / lead.std() * np.sqrt(len(lead)) > 2.5
    assert earned["planted"].mean() > 0.0


@pytest.mark.parametrize("direction", PROFILES)
def test_another_model_chooses_other_names_from_a_large_pool(
    books: Callable[[str, str], list[Book]], direction: str
) -> None:
    planted, mixed = books("planted", direction), books("shuffled", direction)
    assert np.median([one.pool_per_winner for one in planted]) >= 4.0
    shared = [len(one.names & other.names) for one, other in zip(planted, mixed, strict=True)]
    # By the standard profiles the two models share 80 % and 90 % of the names.
    assert np.mean(shared) / PROFILES[direction].selection.max_winners < 0.5
    assert np.mean([one.differs_without_model for one in planted]) > 0.9
