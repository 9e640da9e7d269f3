"""How steep a value function is, and two ways to make it flatter: a robust penalty and bounded spectral norms.

    ||grad_s V(s)||, V(s) = min_m Q_m(s, pi(s)): the local Lipschitz constant at s

Departures from Zheng, Wang, Xu and Huang 2023 (2302.01244):
1. The constant is the slope at a state, the limit of a small ball, instead of a maximum over a ball.
2. The penalty perturbs states of the whole batch, real and dreamt, by one step of FGSM in each critic.
3. Spectral norms are bounded by projection after each step of Adam, not by a layer that divides by them.
4. The single model is fitted by likelihood as the ensemble is, and its mean is followed; theirs is fitted to the mean.
"""

import collections

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.exact import Exact
from rlkit.model_based.penalties import per_seed
from rlkit.offline.networks import through


def slopes(learner, observations: torch.Tensor) -> torch.Tensor:
    """||d/ds min_m Q_m(s, pi(s))||, through the policy without noise as well: observations [S, N, O] -> [S, N].

    learner: a SoftActorCritic. In units of return for one unit of observation, the Euclidean norm.
    """
    states = observations.detach().requires_grad_()
    value = learner.q(states, learner.prefer(states)).amin(1)
    return torch.autograd.grad(value.sum(), states)[0].norm(dim=-1)


def robust(weight, epsilon: float):
    """A regulariser for SoftActorCritic.update and mbpo: (learner, batch) -> [S], differentiable by the critics.

        weight sum_m mean_b |Q_m(s, a) - Q_m(s + delta_m, a)|,  delta_m = epsilon sign(grad_s Q_m(s, a))

    delta_m is the worst perturbation of at most epsilon in each number of s, to first order (Goodfellow et al. 2015,
    1412.6572); minus delta_m is as bad. No gradient flows through it. weight: a number of at least 0, or one for each
    seed. Raises ValueError for other weights, and an epsilon that is not above 0.
    """
    checks.positive("epsilon", epsilon)

    def penalty(learner, batch):
        critic, size = learner.critic, batch.observations.shape[-1]
        pairs = torch.cat((batch.observations, batch.actions), -1).repeat_interleave(critic.members, 0)  # [S*M, B, O+A]
        pairs.requires_grad_()
        q = through(critic.weights, critic.biases, pairs)  # [S*M, B, 1]
        slope = torch.autograd.grad(q.sum(), pairs, retain_graph=True)[0][..., :size]
        moved = torch.cat((pairs[..., :size] + epsilon * slope.sign(), pairs[..., size:]), -1).detach()
        change = (through(critic.weights, critic.biases, moved) - q).abs()
        return per_seed("weight", weight, critic.seeds)[:, 0] * change.mean((1, 2)).view(critic.seeds, -1).sum(1)

    return penalty


class SpectralBound:
    """Keeps every weight matrix of a Network at a spectral norm of at most `bound`: W <- W min(1, bound / sigma(W)).

    sigma, the largest singular value, by power iteration: 100 rounds to begin with, then one for each `project`, from
    the vector of the last one. So sigma is estimated from below, and a norm may exceed the bound by a little. With L
    layers the network's Lipschitz constant is at most bound^L. bound: a number above 0, or one for each seed. Raises
    ValueError for others.
    """

    def __init__(self, network, bound):
        bound = per_seed("bound", bound, network.seeds).expand(network.seeds, 1)
        if (bound == 0).any():
            checks.fail("bound", 0, "above 0")
        self.network, self.bound = network, bound.repeat_interleave(network.members, 0)[..., None]  # [S*M, 1, 1]
        self._right = [torch.ones(len(w), w.shape[2], 1) for w in network.weights]
        for _ in range(100):
            self.norms()

    def norms(self) -> list[torch.Tensor]:
        """sigma of each layer after one more round, [S*M, 1, 1] each; of two networks neither sees the other."""
        found = []
        with torch.no_grad():
            for layer, weight in enumerate(self.network.weights):  # [S*M, in, out]
                left = torch.bmm(weight, self._right[layer])
                right = torch.bmm(weight.mT, left / (left.norm(dim=1, keepdim=True) + 1e-12))
                found.append(right.norm(dim=1, keepdim=True))
                self._right[layer] = right / (found[-1] + 1e-12)
        return found

    def project(self) -> None:
        """Shrink every matrix whose norm is above the bound."""
        with torch.no_grad():
            for weight, sigma in zip(self.network.weights, self.norms(), strict=True):
                weight.mul_((self.bound / (sigma + 1e-12)).clamp(max=1))


def spectral(bound):
    """A regulariser that adds nothing to the loss and holds the critics' spectral norms at `bound` from then on.

    It meets the critics at its first call and projects them after each step of their optimiser (SpectralBound); the
    first step starts from the weights as they were drawn. Make one for each learner.
    """
    held = {}

    def hold(learner, batch):
        if learner not in held:
            held[learner] = SpectralBound(learner.critic, bound)
            learner.critic.optimiser.register_step_post_hook(lambda *_: held[learner].project())
        return torch.zeros(len(learner.seeds))

    return hold


class MeanDynamics(Dynamics):
    """Dynamics whose step follows the mean of one member, without noise: a deterministic single model.

    It is fitted as Dynamics is. Takes what Dynamics takes, but for members and elites, which are 1.
    """

    def __init__(self, seeds, observation_size, action_size, **options):
        super().__init__(seeds, observation_size, action_size, members=1, elites=1, **options)

    def step(self, observations, actions, generators, order=None):
        """One imagined step: -> next observations [S, B, O], rewards [S, B], continues [S, B]."""
        after, rewards, _ = self.predict(observations, actions)
        return self.landed(observations, actions, after[:, 0], rewards[:, 0])


class Watch:
    """A regulariser that remembers the learner that it was called with, and the states of its last batches.

    regulariser: (learner, batch) -> [S]; None for none. keep: batches. Attributes: learner, and `states`, [S, N, O].
    """

    def __init__(self, regulariser=None, keep: int = 16):
        self.regulariser, self.learner = regulariser, None
        self._batches = collections.deque(maxlen=checks.positive_int("keep", keep))

    def __call__(self, learner, batch):
        self.learner = learner
        self._batches.append(batch.observations)
        return torch.zeros(len(learner.seeds)) if self.regulariser is None else self.regulariser(learner, batch)

    @property
    def states(self) -> torch.Tensor:
        return torch.cat(tuple(self._batches), 1)


def errors(learner, model, simulator, states: torch.Tensor, generators) -> tuple[torch.Tensor, torch.Tensor]:
    """What one step of a model gets wrong under the policy, and what that does to the value: two of [S].

        mean ||s_model - s_true||  and  mean |V(s_model) - V(s_true)|, the value-aware model error

    learner: a SoftActorCritic, V as in `slopes`; it acts without noise. states [S, N, O] are first put where
    `simulator.place` sees them. generators: one np.random.Generator for each seed, for the model and the truth. Raises
    ValueError for a simulator without `place`.
    """
    exact = Exact(simulator)
    flat = simulator.observe(simulator.place(states.flatten(0, 1).numpy()))
    seen = torch.from_numpy(flat).view(states.shape)
    with torch.no_grad():
        actions = learner.prefer(seen)
        dreamt, true = model.step(seen, actions, generators)[0], exact.step(seen, actions, generators)[0]
        values = [learner.q(after, learner.prefer(after)).amin(1) for after in (dreamt, true)]
    return (dreamt - true).norm(dim=-1).mean(1), (values[0] - values[1]).abs().mean(1)


def followed(simulator, policy, observations, discount: float) -> np.ndarray:
    """What a policy earns in a world without noise: sum_t discount^t r_t over one horizon, from observations [N, O].

    policy: observations [N, O] -> actions [N, A]. discount in [0, 1). simulator: with `place`; an end is not looked
    for. Returns [N]. Raises ValueError for another discount, and for a simulator with noise.
    """
    if not 0 <= checks.finite("discount", discount) < 1:
        checks.fail("discount", discount, "in [0, 1)")
    if simulator.noise_size:
        checks.fail("simulator", simulator.name, "a world without noise")
    states, total = simulator.place(np.asarray(observations)), np.zeros(len(observations))
    for t in range(simulator.horizon):
        states, rewards, _ = simulator.step(states, policy(simulator.observe(states)), np.zeros((len(states), 0)))
        total += discount**t * rewards
    return total
