import json
from pathlib import Path

import numpy as np
import pytest

from optimize.portfolio.preopt import (
    ANTIFRAGILITY_FILE,
    CLUSTERS_FILE,
    REGIME_FILE,
    antifragility_stats,
    correlations,
    load_preopt,
    synthetic_clusters,
)
from tests.support.candidates import changed, make_candidate, make_matrix
from trademl.errors import GateFailed


def blocks(n_rows: int = 300) -> np.ndarray:
    rng = np.random.default_rng(8)
    factors = rng.normal(0.0, 0.01, (n_rows, 2))
    return factors[:, [0, 0, 0, 1, 1, 1]] + rng.normal(0.0, 0.002, (n_rows, 6))


def write_preopt(folder: Path) -> None:
    content = {
        CLUSTERS_FILE: {"clusters": {"C01": ["A"]}},
        ANTIFRAGILITY_FILE: {"records": []},
        REGIME_FILE: {"cluster_cap": 0.2, "decision_regime": {"name": "NORMAL"}},
    }
    for name, document in content.items():
        (folder / name).write_text(json.dumps(document))


def test_planted_blocks_separate() -> None:
    found = synthetic_clusters(make_matrix(blocks()), changed("us_equities_long"))
    assert found == {"C01": ["S00", "S01", "S02"], "C02": ["S03", "S04", "S05"]}


def test_clusters_see_the_inverted_short() -> None:
    """A short of one block moves with nobody long of it."""
    values = blocks()
    values[:, 2] = -values[:, 2]
    found = synthetic_clusters(make_matrix(values), changed("us_equities_long"))
    assert ["S00", "S01"] in found.values()


def test_strong_pairs_are_listed() -> None:
    found = correlations(make_matrix(blocks()))
    assert {(pair["left"], pair["right"]) for pair in found["strong_pairs"]} == {
        ("S00", "S01"), ("S00", "S02"), ("S01", "S02"),
        ("S03", "S04"), ("S03", "S05"), ("S04", "S05"),
    }  # fmt: skip
    assert set(found["average_correlation"]) == {"20", "60", "180"}


def test_antifragile_streams_score_higher() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.0, 0.005, (300, 2))
    base[::30, 0] += 0.05
    base[::30, 1] -= 0.05
    matrix = make_matrix(base, ("UP", "DOWN"))
    candidates = {name: make_candidate(name) for name in matrix.names}
    up, down = antifragility_stats(matrix, candidates, 252)
    assert up["Antifragility_Score"] > down["Antifragility_Score"]
    assert down["Fragility_Score"] > up["Fragility_Score"]
    assert down["CVaR_95"] < up["CVaR_95"] < 0.0
    assert up["Regime_Survival_Score"] == 0.9


def test_optimize_reads_what_preopt_wrote(tmp_path: Path) -> None:
    write_preopt(tmp_path)
    found = load_preopt(tmp_path)
    assert found.clusters == {"C01": ["A"]}
    assert found.cluster_cap == 0.2


@pytest.mark.parametrize("name", [CLUSTERS_FILE, ANTIFRAGILITY_FILE, REGIME_FILE])
def test_optimize_refuses_without_any_of_the_files(tmp_path: Path, name: str) -> None:
    write_preopt(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(GateFailed, match=f"PREOPT_MISSING.*{name}"):
        load_preopt(tmp_path)
