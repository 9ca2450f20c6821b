import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from optimize.selection.clustering import cluster, pairwise_correlation
from trademl.errors import ConfigError, DataError


def blocks(sizes: list[int], rows: int = 250, seed: int = 0) -> np.ndarray:
    """Groups of assets that share a factor, groups independent of each other."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.standard_normal((rows, 1)) + 0.3 * rng.standard_normal((rows, size)) for size in sizes
    ]
    return np.hstack(parts) * 0.01


def test_groups_that_move_together_are_found_and_numbered_by_appearance():
    result = cluster(blocks([3, 4, 2]), threshold=0.7)
    assert result.labels.tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 3]
    assert (result.n_clusters, result.lookbacks, result.is_recut) == (3, (60, 120, 200), False)


def test_correlation_over_common_rows_by_definition():
    rng = np.random.default_rng(1)
    data = rng.standard_normal((60, 4)) * 0.01 + 0.5
    data[rng.random(data.shape) < 0.2] = 0.0
    data[rng.random(data.shape) < 0.1] = np.nan
    data[25:, 3] = np.nan
    result = pairwise_correlation(data)
    for i in range(4):
        for j in range(4):
            both = (data[:, [i, j]] != 0).all(axis=1) & ~np.isnan(data[:, [i, j]]).any(axis=1)
            if i == j:
                expected = 1.0
            elif both.sum() < 20:
                expected = 0.0
            else:
                expected = np.corrcoef(data[both, i], data[both, j])[0, 1]
            assert result[i, j] == pytest.approx(expected, abs=1e-9)
    assert (result[3, :3] == 0).any()


def test_an_asset_that_stands_still_is_correlated_with_nothing():
    data = np.column_stack([blocks([2]), np.full(250, 0.01), np.zeros(250)])
    assert pairwise_correlation(data)[2:, :2].tolist() == [[0, 0], [0, 0]]
    assert cluster(data).labels.tolist() == [1, 1, 2, 3]


def test_distance_is_the_mean_over_the_lookbacks_after_shrinking():
    data = blocks([2, 2], seed=3)
    result = cluster(data, lookbacks=(60, 120), shrinkage=0.1)
    expected = np.mean(
        [np.sqrt(0.5 * (1 - 0.9 * np.corrcoef(data[-days:].T))) for days in (60, 120)], axis=0
    )
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(result.distance[off], expected[off], atol=1e-12)
    assert (np.diag(result.distance) == 0).all()


def test_lookbacks_longer_than_the_history_are_left_out():
    assert cluster(blocks([2, 2], rows=130)).lookbacks == (60, 120)
    assert cluster(blocks([2, 2], rows=40)).lookbacks == (40,)


def test_the_cut_is_wards_at_the_threshold():
    data = blocks([2] * 6, seed=5) + 0.005 * np.random.default_rng(0).standard_normal((250, 1))
    for threshold in (0.2, 0.6, 0.8, 1.5):
        result = cluster(data, threshold=threshold)
        tree = linkage(squareform(result.distance, checks=False), "ward")
        raw = fcluster(tree, threshold, "distance")
        same = raw[:, None] == raw[None, :]
        np.testing.assert_array_equal(result.labels[:, None] == result.labels[None, :], same)


def test_more_than_the_maximum_is_cut_again():
    data = np.random.default_rng(2).standard_normal((250, 60)) * 0.01
    result = cluster(data, threshold=0.3)
    assert result.is_recut
    assert result.n_clusters <= 25
    assert not cluster(data, threshold=0.3, max_clusters=60).is_recut


def test_one_asset_is_one_cluster():
    result = cluster(blocks([1]))
    assert (result.labels.tolist(), result.n_clusters) == ([1], 1)


def test_the_same_input_gives_the_same_clusters_and_the_order_of_columns_only_renames():
    data = blocks([3, 4, 2, 5], seed=8)
    first, second = cluster(data), cluster(data.copy(order="F"))
    np.testing.assert_array_equal(first.labels, second.labels)
    order = np.random.default_rng(0).permutation(14)
    turned = cluster(data[:, order]).labels
    same = first.labels[order][:, None] == first.labels[order][None, :]
    np.testing.assert_array_equal(turned[:, None] == turned[None, :], same)


@pytest.mark.parametrize(
    "data", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3), np.full((3, 3), np.inf)]
)
def test_what_is_no_matrix_of_returns_is_refused(data):
    with pytest.raises(DataError):
        cluster(data)


@pytest.mark.parametrize(
    "arguments",
    [
        {"threshold": 0.0},
        {"lookbacks": ()},
        {"lookbacks": (0,)},
        {"max_clusters": 0},
        {"shrinkage": 2.0},
    ],
)
def test_parameters_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError):
        cluster(blocks([2]), **arguments)
