"""Gaussian ensembles: the likelihood in closed form, calibrated intervals, members that differ, seeds apart."""

import numpy as np
import pytest
import torch

from rlkit.model_based.ensemble import LOG_VARIANCE, Ensemble, bounded, gaussian_loss


def noisy_line(seeds, count=2_000):
    """y = (2 x, -x) + noise of deviation (0.1 + 0.3 |x|, 0.2): x [S, N, 1], y [S, N, 2]."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 99])
        x = rng.uniform(-1, 1, (count, 1))
        scale = np.concatenate([0.1 + 0.3 * np.abs(x), np.full_like(x, 0.2)], 1)
        found.append((x, np.concatenate([2 * x, -x], 1) + scale * rng.standard_normal((count, 2))))
    return (torch.tensor(np.stack(column), dtype=torch.float32) for column in zip(*found, strict=True))


def generators(seeds, key=5):
    return [np.random.default_rng([seed, key]) for seed in seeds]


def fitted(seeds, steps=400, **options):
    ensemble = Ensemble(seeds, 1, 2, members=4, elites=3, hidden=(32, 32), **options)
    steps = list(ensemble.fit(*noisy_line(seeds), steps=steps))
    return ensemble, steps


@pytest.fixture(scope="module")
def good():
    return fitted([0, 1, 2], steps=1_500)


def test_the_loss_is_the_gaussian_likelihood_in_value_and_gradient():
    g = torch.Generator().manual_seed(0)
    mean, log_variance, y = (torch.randn(3, 7, 2, generator=g, dtype=torch.float64) for _ in range(3))
    mean.requires_grad_(), log_variance.requires_grad_()
    ours = gaussian_loss(mean, log_variance, y)
    theirs = -torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(y).sum(-1).mean(-1)
    torch.testing.assert_close(ours, theirs - np.log(2 * np.pi))  # two outputs, half of log 2 pi each
    gradients = [torch.autograd.grad(loss.sum(), (mean, log_variance), retain_graph=True) for loss in (ours, theirs)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    # at the optimum of a constant model: the mean of y and the log of its mean square deviation
    best_mean, best_log = y[0].mean(0), y[0].var(0, unbiased=False).log()
    at = [best_mean.expand(7, 2).clone().requires_grad_(), best_log.expand(7, 2).clone().requires_grad_()]
    for slope in torch.autograd.grad(gaussian_loss(*at, y[0]), at):
        assert slope.sum(0).abs().max() < 1e-12


def test_log_variances_stay_inside_their_bounds_and_keep_a_slope():
    x = torch.tensor([-50.0, -11.0, -3.0, 0.0, 3.0, 50.0], requires_grad=True)
    y = bounded(x)
    assert y.min() >= LOG_VARIANCE[0] and y.max() <= LOG_VARIANCE[1] + 1e-4  # rounding of the upper end
    assert abs(y.tolist()[2] + 3) < 0.04 and (torch.autograd.grad(y.sum(), x)[0][1:5] > 0.04).all()


def test_intervals_of_the_fit_cover_what_they_say(good):
    ensemble, _ = good
    x, y = noisy_line([10, 11, 12], 4_000)
    mean, deviation = ensemble.predict(x)
    inside = ((y[:, None] - mean).abs() <= 1.6449 * deviation).float().mean(2)  # [S, M, out]
    assert (inside.mean(1) - 0.9).abs().max() < 0.03 and (inside - 0.9).abs().max() < 0.1, inside
    at = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1).expand(3, 3, 1)
    found = ensemble.predict(at)[1].mean((0, 1))  # [3, out]
    truth = torch.tensor([[0.16, 0.2], [0.25, 0.2], [0.37, 0.2]])
    assert ((found / truth).log().abs() < 0.3).all(), found  # noise that grows with |x|, and noise that does not


def test_draws_have_the_moments_of_the_elites(good):
    ensemble, _ = good
    x = torch.full((3, 30_000, 1), 0.7)
    y = ensemble.draw(x, generators(range(3)))
    mean, deviation = (a[:, :, 0] for a in ensemble.predict(x[:, :1]))  # [S, M, out]
    chosen = ensemble.elites[..., None].expand(-1, -1, 2)
    mean, deviation = mean.gather(1, chosen), deviation.gather(1, chosen)
    spread = (deviation.square() + mean.square()).mean(1) - mean.mean(1).square()
    np.testing.assert_allclose(y.mean(1), mean.mean(1).detach(), atol=0.01)
    np.testing.assert_allclose(y.std(1), spread.sqrt().detach(), rtol=0.03)


@pytest.mark.parametrize("rows", [1, 2, 4, 7])
def test_each_row_asks_one_elite_each_equally_often(good, rows):
    ensemble, _ = good
    x = torch.linspace(-1, 1, rows).view(1, rows, 1).expand(3, rows, 1)
    mean, deviation = ensemble.predict(x)  # [S, M, rows, out]
    asked = np.zeros((3, 4))
    rngs = generators(range(3))
    for _ in range(300):
        order = ensemble.deal(rows, rngs)
        same = [np.random.default_rng(0) for _ in range(3)]
        y = ensemble.draw(x, same, order)
        noise = np.random.default_rng(0).standard_normal((rows, 2), dtype=np.float32)
        possible = mean + deviation * torch.from_numpy(noise)
        off = (possible - y[:, None]).abs().amax(-1)  # [S, M, rows]
        assert off.amin(1).max() < 1e-5
        asked += torch.nn.functional.one_hot(off.argmin(1), 4).sum(1).numpy()
    for seed in range(3):
        elites = set(ensemble.elites[seed].tolist())
        share = asked[seed] / asked[seed].sum()
        assert all((abs(share[m] - 1 / 3) < 0.08) if m in elites else share[m] == 0 for m in range(4)), share


def test_a_kept_order_asks_the_same_elites_and_a_draw_has_a_gradient(good):
    ensemble, _ = good
    x = torch.zeros(3, 6, 1, requires_grad=True)
    order = ensemble.deal(6, generators(range(3)))
    first, second = (ensemble.draw(x, generators(range(3), 1), order) for _ in range(2))
    assert torch.equal(first, second)
    slope = torch.autograd.grad(first.sum(), x)[0]
    ahead, back = (ensemble.draw(x.detach() + h, generators(range(3), 1), order) for h in (1e-2, -1e-2))
    np.testing.assert_allclose((ahead - back).sum().detach() / 2e-2, slope.sum(), rtol=0.05)


def test_an_order_of_rows_alone_gives_neighbours_to_one_elite(good):
    ensemble, _ = good
    x, same = torch.zeros(3, 7, 1), [np.random.default_rng(0) for _ in range(3)]
    y = ensemble.draw(x, same, torch.arange(7).expand(3, -1))
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((7, 2), dtype=np.float32))
    mean, deviation = (a[:, :, 0] for a in ensemble.predict(x[:, :1]))  # [S, M, out]
    for seed in range(3):
        asked = ensemble.elites[seed][[0, 0, 0, 1, 1, 1, 2]]
        torch.testing.assert_close(y[seed], mean[seed, asked] + deviation[seed, asked] * noise)


def test_members_and_seeds_differ_and_the_elites_are_the_best(good):
    ensemble, _ = good
    weights = ensemble.network.weights[0].detach()
    assert len(torch.unique(weights.flatten(1), dim=0)) == 12
    assert ensemble.elites.shape == (3, 3) and all(len(set(row)) == 3 for row in ensemble.elites.tolist())


def test_what_is_kept_never_gets_worse(good):
    _, steps = good
    losses = np.stack([step.metrics["holdout_loss"] for step in steps])
    assert len(steps) == 10 and (np.diff(losses, axis=0) <= 1e-7).all() and (losses[-1] < losses[0] - 0.1).all()


def test_seed_3_of_5_is_seed_3_alone():
    many, _ = fitted(range(5), steps=100)
    alone, _ = fitted([3], steps=100)
    x = torch.linspace(-1, 1, 9).view(1, 9, 1)
    for a, b in zip(many.predict(x.expand(5, 9, 1)), alone.predict(x), strict=True):
        np.testing.assert_allclose(a[3].detach(), b[0].detach(), atol=1e-6)
    drawn = many.draw(x.expand(5, 9, 1), generators(range(5))), alone.draw(x, generators([3]))
    np.testing.assert_allclose(drawn[0][3], drawn[1][0], atol=1e-6)


def test_a_second_run_gives_the_same_bits_and_a_second_fit_goes_on():
    first, second = (fitted([0, 1], steps=60)[0] for _ in range(2))
    assert torch.equal(first.network.flat, second.network.flat)
    before = first.network.flat.clone()
    list(first.fit(*noisy_line([0, 1]), steps=60))
    assert not torch.equal(before, first.network.flat)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e, x, y: e.predict(x[..., [0, 0]]), r"x of shape \(2, 50, 2\): must be \[2, B, 1\]"),
        (lambda e, x, y: e.draw(x[:1], generators([0])), r"x of shape \(1, 50, 1\): must be \[2, B, 1\]"),
        (lambda e, x, y: e.draw(x, generators([0, 1]), torch.zeros(2, 3, dtype=int)), r"must be \[2, 50\], as deal"),
        (lambda e, x, y: list(e.fit(x, y[..., :1])), r"y of shape \(2, 50, 1\): must be \[2, N, 2\]"),
        (lambda e, x, y: list(e.fit(x[:, :1], y[:, :1])), r"x of shape \(2, 1, 1\): must be \[2, N, 1\] with N of 2"),
        (lambda e, x, y: list(e.fit(x, y * float("nan"))), "y holds NaN or infinity: must be finite"),
        (lambda e, x, y: list(e.fit(x, y, steps=0)), "steps=0: must be a positive integer"),
        (lambda e, x, y: Ensemble([0], 1, 1, members=2, elites=3), "elites=3: must be at most members=2"),
        (lambda e, x, y: Ensemble([-1], 1, 1), "seed=-1: must be an integer of at least 0"),
    ],
)
def test_bad_input_is_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(Ensemble([0, 1], 1, 2, members=2, elites=1), *noisy_line([0, 1], 50))
    assert "\n" not in str(caught.value)
