"""Sparse features and the leader's block update against closed forms."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from rlkit.model_based.sparse_features import FollowTheLeader, SparseFeatures, leader, overlap


def features(observations=2, grids=6, bins=8, axes=2, seed=0):
    return SparseFeatures(observations, grids, bins, axes, np.random.default_rng(seed))


def dense(encoder, x):
    """phi(x) as whole rows [N, D]."""
    index, weight = encoder(x)
    rows = np.zeros((len(x), encoder.size))
    np.add.at(rows, (np.arange(len(x))[:, None], index), weight)
    return rows


def fitted(encoder, x, y, ridge=1e-3):
    leader = FollowTheLeader(encoder.size, y.shape[1], ridge)
    work = [leader.update(*row, target) for *row, target in zip(*encoder(x), y, strict=True)]
    return leader, np.array(work)


# The features


@pytest.mark.parametrize(("observations", "axes"), [(1, 1), (2, 1), (2, 2), (4, 2), (3, 3)])
def test_weights_sum_to_one_and_few_are_active(observations, axes):
    encoder, x = features(observations, axes=axes), np.random.default_rng(1).uniform(-1, 1, (500, observations))
    x[:4] = np.vstack([np.ones(observations), -np.ones(observations), 0 * x[0], np.sign(x[0])])
    index, weight = encoder(x)
    assert index.shape == weight.shape == (500, encoder.active) and encoder.active == 6 * 2**axes
    assert encoder.size == 6 * 10**axes and index.min() >= 0 and index.max() < encoder.size
    assert (weight >= 0).all() and weight.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert all(len(set(row)) == encoder.active for row in index.tolist()), "all different"
    assert (index // 10**axes == np.repeat(np.arange(6), 2**axes)).all(), "each grid has its own features"


def test_one_axis_is_two_hot_and_linear_between_nodes():
    encoder = features(1, grids=1, bins=4, axes=1)
    index, weight = encoder(np.linspace(-1, 1, 81)[:, None])
    place = (index * weight).sum(axis=1)  # the weights put the point back where it was
    sign = encoder.projection[0, 0, 0]
    expected = (sign * np.linspace(-1, 1, 81) + 1) / 2 * 4 + encoder.shift[0, 0]
    assert abs(sign) == 1 and place == pytest.approx(expected, abs=1e-12)
    assert (index[:, 1] == index[:, 0] + 1).all()


@pytest.mark.parametrize(("observations", "axes"), [(1, 1), (2, 2), (3, 3)])
def test_near_inputs_share_features_and_far_ones_do_not(observations, axes):
    encoder, rng = features(observations, bins=20, axes=axes), np.random.default_rng(2)
    x = rng.uniform(-0.8, 0.8, (80, observations))
    step = rng.normal(size=x.shape)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    same = dense(encoder, x)
    share = [(dense(encoder, x + distance * step) > 0)[same > 0].mean() for distance in (0.0, 0.005, 0.1)]
    assert share[0] == 1 and share[1] > 0.8 and share[1] > share[2], "the nearer, the more in common"
    z = np.einsum("no,goa->nga", x, encoder.projection) * 10  # in cells
    apart = np.abs(z[:, None] - z[None]).max(axis=3).min(axis=2) > 2  # two cells in every grid
    common = (same > 0).astype(float) @ (same > 0).T
    assert apart.any() and (common[apart] == 0).all()
    assert (common[~apart] > 0).any()


def test_a_continuous_function_of_the_input():
    encoder = features(3, axes=2)
    x = np.linspace(-1, 1, 20_001)[:, None] * np.array([0.7, -0.4, 0.9])
    jumps = np.abs(np.diff(dense(encoder, x), axis=0)).max()
    assert jumps < 3e-4


def test_overlap_falls_from_one_to_nothing_in_one_dimension():
    shares = np.linspace(0, 1, 21)
    found = overlap(features(1, grids=12, bins=16, axes=1), shares, np.random.default_rng(0))
    assert found[0] == pytest.approx(1) and (found[shares > 0.25] == 0).all() and (np.diff(found) <= 1e-12).all()
    encoder, zero = features(3), np.zeros((1, 3))
    way = np.random.default_rng(5).normal(size=3)
    at = dense(encoder, np.vstack([zero, 0.3 * way / np.abs(way).max()]))
    one = overlap(encoder, [0.3], np.random.default_rng(5), directions=1)
    assert one == pytest.approx(at[0] @ at[1] / (at[0] @ at[0]))


def test_the_whole_way_ends_at_the_edge_of_the_space():
    encoder, way = features(5), np.random.default_rng(5).normal(size=5)
    end = way / np.abs(way).max()
    at = dense(encoder, np.vstack([np.zeros(5), end]))
    assert np.abs(end).max() == 1
    one = overlap(encoder, [1.0], np.random.default_rng(5), directions=1)
    assert one == pytest.approx(at[0] @ at[1] / (at[0] @ at[0]))


# The leader


def test_the_exact_leader_is_ridge_regression_on_the_features():
    rng, encoder = np.random.default_rng(6), features()
    x, y, asked = rng.uniform(-1, 1, (40, 2)), rng.normal(size=(40, 2)), rng.uniform(-1, 1, (9, 2))
    known = Ridge(0.1, fit_intercept=False).fit(dense(encoder, x), y)
    np.testing.assert_allclose(leader(encoder, x, y, asked, 0.1), known.predict(dense(encoder, asked)), atol=1e-8)
    with pytest.raises(ValueError, match="ridge=0: must be"):
        leader(encoder, x, y, asked, 0)


def test_all_active_at_once_is_ridge_regression():
    """Every row has all features: the block is everything, so each update gives the exact leader."""
    rng = np.random.default_rng(3)
    phi, y = rng.normal(size=(60, 12)), rng.normal(size=(60, 2))
    leader = FollowTheLeader(12, 2, 0.5)
    for row in range(60):
        leader.update(np.arange(12), phi[row], y[row])
        known = Ridge(0.5, fit_intercept=False).fit(phi[: row + 1], y[: row + 1]).coef_.T
        assert leader.W == pytest.approx(known, abs=1e-8)
    assert leader.A == pytest.approx(phi.T @ phi + 0.5 * np.eye(12), abs=1e-10)


def test_one_update_solves_the_equations_of_its_block():
    """After an update A_S W = B_S holds for the active features S; all others keep their weights."""
    encoder, rng = features(2), np.random.default_rng(4)
    x = rng.uniform(-1, 1, (300, 2))
    y = np.sin(3 * x)
    leader, _ = fitted(encoder, x[:-1], y[:-1])
    old, (index, weight) = leader.W.copy(), encoder(x[-1:])
    leader.update(index[0], weight[0], y[-1])
    phi = dense(encoder, x)
    assert leader.A == pytest.approx(phi.T @ phi + 1e-3 * np.eye(encoder.size), abs=1e-12)
    assert leader.B == pytest.approx(phi.T @ y, abs=1e-12)
    assert (leader.A @ leader.W)[index[0]] == pytest.approx(leader.B[index[0]], abs=1e-9)
    kept = np.delete(np.arange(encoder.size), index[0])
    assert (leader.W[kept] == old[kept]).all() and np.abs(leader.W - old).max() > 0


def test_blocks_solved_again_and_again_reach_the_leader():
    """Without new rows, repeated updates of the old blocks (weight 0, so nothing is added) converge to W = A^-1 B."""
    encoder, rng = features(1, grids=3, bins=5, axes=1), np.random.default_rng(5)
    x = rng.uniform(-1, 1, (100, 1))
    leader, _ = fitted(encoder, x, np.cos(4 * x), ridge=0.1)
    exact = np.linalg.solve(leader.A, leader.B)
    before = np.abs(leader.W - exact).max()
    index, weight = encoder(x)
    for _ in range(60):
        for row in index:
            leader.update(row, 0 * weight[0], np.zeros(1))
    assert before > 1e-4 and np.abs(leader.W - exact).max() < 1e-8


def test_old_regions_are_kept():
    """What was learnt on the left is the same, to the bit, after 2,000 rows on the right."""
    encoder, rng = features(1, grids=4, bins=20, axes=1), np.random.default_rng(6)
    left, right = rng.uniform(-1, -0.3, (500, 1)), rng.uniform(0.3, 1, (2_000, 1))
    leader, _ = fitted(encoder, left, np.sin(5 * left))
    before = leader.predict(*encoder(left))
    assert np.abs(before - np.sin(5 * left)).max() < 0.1
    for *row, target in zip(*encoder(right), np.sin(5 * right), strict=True):
        leader.update(*row, target)
    assert (leader.predict(*encoder(left)) == before).all()
    assert np.abs(leader.predict(*encoder(right)) - np.sin(5 * right)).max() < 0.1


def test_work_is_flat_in_time_and_in_the_number_of_features():
    rng = np.random.default_rng(7)
    x, work = rng.uniform(-1, 1, (3_000, 1)), {}
    for bins in (10, 40, 160):
        encoder = features(1, grids=8, bins=bins, axes=1)
        _, work[bins] = fitted(encoder, x, np.sin(9 * x))
    assert features(1, grids=8, bins=160, axes=1).size / features(1, grids=8, bins=10, axes=1).size > 13
    ends = {bins: counted[-300:].mean() for bins, counted in work.items()}
    assert ends[160] < 1.1 * ends[10], "D grows 13 times"
    assert work[10][-300:].mean() < 1.05 * work[10][300:600].mean()
    assert work[10].min() >= 16**3 // 3


def test_the_same_bits_again():
    x = np.random.default_rng(8).uniform(-1, 1, (400, 4))
    runs = [fitted(features(4), x, x[:, :1] ** 2)[0] for _ in range(2)]
    assert (runs[0].W == runs[1].W).all() and (runs[0].near == runs[1].near).all()
    assert (features(4).projection != features(4, seed=1).projection).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: features(0), "observations=0: must be a positive integer"),
        (lambda: features(grids=0), "grids=0: must be a positive integer"),
        (lambda: features(bins=2.5), "bins=2.5: must be a positive integer"),
        (lambda: features(1, axes=2), "axes=2: must be at most the 1 observations"),
        (lambda: features()(np.zeros((3, 5))), "x.shape=(3, 5): must be [N, 2]"),
        (lambda: features()([[0.5, np.nan]]), "x[0, 1]=nan: must be finite"),
        (lambda: features()([[0.5, -1.5]]), "x=-1.5: must be in [-1, 1]"),
        (lambda: FollowTheLeader(4, 1, 0.0), "ridge=0.0: must be a finite number above 0"),
        (lambda: FollowTheLeader(4, 0, 1.0), "outputs=0: must be a positive integer"),
        (lambda: FollowTheLeader(4, 1, 1.0).update([0, 1], [1.0], [1.0]), "index.shape=(2,): must be [K], as the weig"),
        (lambda: FollowTheLeader(4, 1, 1.0).update([0], [1.0], [1.0, 2.0]), "target.shape=(2,): must be (1,)"),
        (lambda: FollowTheLeader(4, 1, 1.0).update([0], [np.inf], [1.0]), "weight[0]=inf: must be finite"),
    ],
)
def test_bad_input_is_one_line(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value) and "\n" not in str(caught.value)
