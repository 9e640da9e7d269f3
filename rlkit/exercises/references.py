"""Answers to exercises in NumPy, where the library's own function takes more than a learner should have to write.

tests/exercises/test_references.py holds each of them against the library.
"""

import numpy as np


def clipped_gain(ratio, advantage, epsilon):
    """min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon) A), what PPO and GRPO maximise; arrays of one shape.

    Source: Schulman et al. 2017 (arXiv 1707.06347), equation 7; `rlkit.rlvr.losses.clip_surrogate` is its negative.
    """
    return np.minimum(ratio * advantage, np.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)


def k3(logp, reference):
    """exp(d) - 1 - d with d = log pi_ref - log pi, for tokens that pi sampled; arrays of one shape.

    Source: DeepSeekMath (arXiv 2402.03300), equation 4; `rlkit.rlvr.losses.kl_estimate`.
    """
    d = reference - logp
    return np.expm1(d) - d


def token_log_probability(logits, token, temperature):
    """log of softmax(logits / temperature) at `token`: logits [T, V], token [T] integers -> [T].

    What `rlkit.lm.score_tokens` computes from a model's logits.
    """
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)  # exp does not overflow
    log_softmax = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return np.take_along_axis(log_softmax, token[:, None], axis=-1)[:, 0]


def token_weights(mask, longest):
    """The weight of each token in Dr. GRPO's mean: mask [N, T] divided by N times the longest length allowed.

    Source: Liu et al. 2025 (arXiv 2503.20783), figure 1; aggregation "constant" of rlkit.rlvr.objectives.
    """
    return mask / (len(mask) * longest)


def nft_credit(ratio, correct, accuracy):
    """-d loss / d log ratio of NFT's tokens, before the weight w(q): ratio [T], correct [T] (1 or 0), accuracy q.

    1 for a token of a right answer. For a wrong one the loss is -log max((1 - q ratio) / (1 - q), 1), straight-through:
    the slope of the fraction over the floored value. `rlkit.rlvr.nft(normalize=0)`, floor eps=1.
    Source: Chen et al. 2025 (arXiv 2505.18116), section 3, and the authors' code.
    """
    implied = (1 - accuracy * ratio) / (1 - accuracy)
    return np.where(correct == 1, 1.0, -accuracy * ratio / (1 - accuracy) / np.maximum(implied, 1.0))


def huber_slope(error, threshold):
    """The derivative of the Huber loss, x^2 / 2 up to the threshold and a straight line beyond: errors of any shape.

    It is the error, clipped: no target pulls with more than the threshold. Source: Huber 1964, Ann. Math. Stat. 35.
    """
    return np.clip(error, -threshold, threshold)


def lagged_action(before, now, after, lag, dt, motor, drag):
    """The action a between `now` and `after`, three velocities in a row, of a point with a slow motor; arrays alike.

    Each step pushes with u' = lag u + (1 - lag) a and moves by v' = v + dt (motor u' - drag v), `rlkit.envs.PointMaze`
    away from walls, so the push of a step is ((v' - v) / dt + drag v) / motor, and a = (u' - lag u) / (1 - lag).
    """
    old = ((now - before) / dt + drag * before) / motor
    new = ((after - now) / dt + drag * now) / motor
    return (new - lag * old) / (1 - lag)


def expectile_loss(difference, tau):
    """mean |tau - 1(u < 0)| u^2 of differences u = Q - V [B]: what IQL's V descends; a number.

    Source: Kostrikov et al. 2021 (arXiv 2110.06169), equation 5; `rlkit.offline.algorithms.iql.expectile_loss`.
    """
    return float(np.mean(np.where(difference < 0, 1 - tau, tau) * difference**2))


def score_spread(returns, low, high):
    """(mean, standard deviation over S - 1) of the scores (return - low) / (high - low); returns [S] -> two numbers.

    A spread has no origin: it is divided by the span, never shifted.
    """
    return float((np.mean(returns) - low) / (high - low)), float(np.std(returns, ddof=1) / (high - low))


def second_critic(first, other):
    """The number of the second critic of a pair without replacement; arrays of one shape.

    first: number of the first, 0 to M - 1. other: the place among the M - 1 that remain, in order, 0 to M - 2.
    """
    return other + (other >= first)


def after_swap(seen):
    """seen or seen x seen, the Boolean product: the pairs of places that one swap of goals teaches, bool [k, k].

    Source: Ghugare et al. 2024 (arXiv 2401.11237), on places; `rlkit.offline.goals.after_swap`.
    """
    return seen | (seen.astype(int) @ seen.astype(int) > 0)


def episode_weights(returns, alpha):
    """softmax(m / alpha) over episodes, with m = (G - min G) / (max G - min G): returns [E] -> weights [E], sum 1.

    Equal returns give equal weights. Source: Hong et al. 2023 (arXiv 2306.13085), section 4;
    `rlkit.offline.transforms.weight`, up to a factor.
    """
    spread = returns.max() - returns.min()
    scaled = (returns - returns.max()) / (spread if spread > 0 else 1.0)  # at most 0: exp does not overflow
    weights = np.exp(scaled / alpha)
    return weights / weights.sum()


def chi_square_conjugate(y):
    """sup over w >= 0 of w y - (w - 1)^2, elementwise: y + y^2 / 4 from -2 on, and -1 below, where w is 0.

    Source: Sikchi et al. 2024 (arXiv 2302.08560), section 4; `rlkit.offline.algorithms.f_dvl.conjugate`.
    """
    y = np.maximum(y, -2.0)
    return y + y**2 / 4


def smith_action(level, target, under_way):
    """clip((target - level - 0.1 sum of actions under way) / 0.1, -1, 1): level, target [B], under_way [B, 5] -> [B].

    What brings the tank of `rlkit.envs.delay_pipe` to its target in the step in which the action arrives. Source:
    Smith 1957, Closer control of loops with dead time, Chem. Eng. Prog. 53.
    """
    return np.clip((target - level - 0.1 * under_way.sum(axis=-1)) / 0.1, -1, 1)


def two_hot(place, nodes):
    """Weights [N, nodes] of places [N] in [0, nodes - 1] on nodes at 0, 1, ...: linear interpolation.

    The soft bins of one direction of one grid; `rlkit.model_based.sparse_features.SparseFeatures` has them in several.
    """
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(nodes)))


def filtered_error(chances, errors):
    """Expected error of MOREC's choice: chances [n, C] of n discriminators, errors [C] of C candidates -> a number.

    r = -log(1 - mean_i min(chances_i, 0.999)), chosen with chances softmax(r / 0.1). Source: Luo et al. 2023
    (2310.05422) and the authors' code; `rlkit.model_based.reward_consistent` filters so.
    """
    reward = -np.log(1 - np.minimum(chances, 0.999).mean(axis=0))
    weights = np.exp((reward - reward.max()) / 0.1)
    return float(weights @ errors / weights.sum())


def edge_cells(dreams):
    """Cells that end dreams and begin no step: dreams [B, k + 1] of cell numbers -> sorted, each once.

    Source: Sims et al. 2024 (arXiv 2402.12527), definition of edge-of-reach states, on cells;
    `rlkit.model_based.edge_of_reach.Counted` keeps the same count while a learner trains.
    """
    return np.setdiff1d(dreams[:, -1], dreams[:, :-1])


def counted_model(states, actions, next_states, sizes):
    """Chances [N, A, N] from counts: of the visits to (s, a), the share that went to s'; 0 where there was no visit.

    states, actions, next_states [B]; sizes = (N, A). `rlkit.mdps.model_of`, where pairs without data stay in place.
    """
    counts = np.zeros((*sizes, sizes[0]))
    np.add.at(counts, (states, actions, next_states), 1)
    return counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)


def dream_return(rewards, continues, discount):
    """sum over t of discount^t r_t (c_0 c_1 ... c_(t-1)): rewards [B, T], continues [B, T] -> [B].

    continues: 1, or 0 at a terminal step; what comes later means nothing. A terminal step is still paid.
    `rlkit.model_based.algorithms.value_expansion.discounted`.
    """
    before = np.hstack([np.ones((len(rewards), 1)), continues[:, :-1]]).cumprod(axis=1)
    return (discount ** np.arange(rewards.shape[1]) * before * rewards).sum(axis=1)


def largest_doubt(deviation):
    """MOPO's penalty: the largest norm of a member's deviations: [M, B, O + 1] -> [B], over all M members.

    Source: Yu et al. 2020 (arXiv 2005.13239), section 5; `rlkit.model_based.penalties.largest_deviation`.
    """
    return np.sqrt((deviation**2).sum(axis=2)).max(axis=0)


def spectral_norm(weight, rounds):
    """|W^T u| after `rounds` of v -> u = W v / |W v| -> W^T u, each time scaled to length 1, from ones: W [in, out].

    Power iteration: it rises to the largest singular value, unless ones are at right angles to its vector.
    `rlkit.model_based.lipschitz.SpectralBound` does so for many matrices at once.
    """
    right = np.ones(weight.shape[1])
    for _ in range(rounds):
        left = weight @ right
        right = weight.T @ (left / np.linalg.norm(left))
        sigma = np.linalg.norm(right)
        right = right / sigma
    return float(sigma)


def best_of_n_law(prior, reward, n):
    """Chance that each completion is the best of n by reward, ties shared in proportion to `prior`: [N] -> [N].

    Source: Beirami et al. 2024 (arXiv 2401.01879), lemma 1, with ties; `rlkit.rlhf.optimum.best_of_n` in logarithms.
    """
    no_better = (prior * (reward <= reward[:, None])).sum(axis=1)
    worse = (prior * (reward < reward[:, None])).sum(axis=1)
    return prior * (no_better**n - worse**n) / (no_better - worse)


def two_divergences(log_pi, log_prior, reward, beta):
    """[KL(pi || pi*), KL(pi* || pi)] in nats, pi* = pi_0 exp(reward / beta) / Z; log_pi, log_prior, reward [N] -> [2].

    Source: Korbak, Perez and Buckley 2022 (arXiv 2205.11275), equations 5 to 7; `rlkit.rlhf.optimum` in torch.
    """
    log_star = log_prior + reward / beta
    log_star = log_star - log_star.max()
    log_star = log_star - np.log(np.exp(log_star).sum())
    return np.array([np.exp(log_pi) @ (log_pi - log_star), np.exp(log_star) @ (log_star - log_pi)])


def text_credit(reward, value, ratio, clip, beta):
    """max(R - V, 0) clip(ratio, 1 - clip, 1 + clip) - beta: what the gradient of log pi(y | x) is multiplied with when
    one descends the losses of A-LoL (beta 0) and A-LoL KL (clip 0); arrays [B], clip and beta numbers.

    Source: Baheti et al. 2023 (arXiv 2305.14718) and the authors' code.
    """
    return np.maximum(reward - value, 0) * np.clip(ratio, 1 - clip, 1 + clip) - beta


def reset_push(chances, fraction):
    """The gradient by each logit of the chance that a rollout gets all its words right, [H]: word i is right with
    chance p_i = chances[i], the sigmoid of its logit; with probability `fraction` a rollout is given the first h words,
    h drawn alike from 0 to H - 1, else none. J = sum_h share_h prod_{i >= h} p_i, dJ/dlogit_i = (1 - p_i)
    sum_{h <= i} share_h prod_{j >= h} p_j.

    Source: the chance that dataset resets make of it (Chang et al. 2024, arXiv 2404.08495), in an independent world.
    """
    share = np.full(len(chances), fraction / len(chances))
    share[0] += 1 - fraction
    tail = np.cumprod(chances[::-1])[::-1]  # the chance of success from word h on
    return (1 - chances) * np.cumsum(share * tail)


def tilt(log_prior, reward, beta):
    """log pi*(y) = log pi_0(y) + r(y) / beta - log Z, log Z that of the sum of the rest: log_prior, reward [N] -> [N].

    Source: Korbak, Perez and Buckley 2022 (arXiv 2205.11275), equation 5; `rlkit.rlhf.optimum.tilt` in torch.
    """
    tilted = log_prior + reward / beta
    largest = tilted.max()
    return tilted - largest - np.log(np.exp(tilted - largest).sum())


def gae(rewards, values, discount, trace_decay):
    """A_t = d_t + discount trace_decay A_{t+1}, d_t = r_t + discount V(s_{t+1}) - V(s_t): one episode, [T] -> [T].

    After the last token nothing comes: V and A are 0 there. Source: Schulman et al. 2016 (arXiv 1506.02438), equation
    16; `rlkit.rlhf.ppo_losses.gae` in torch, for many episodes.
    """
    advantages, ahead, next_value = np.zeros(len(rewards)), 0.0, 0.0
    for t in reversed(range(len(rewards))):
        ahead = rewards[t] + discount * next_value - values[t] + discount * trace_decay * ahead
        advantages[t], next_value = ahead, values[t]
    return advantages


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    """-log sigmoid(beta h), h = (log pi - log pi_ref)(chosen) - (log pi - log pi_ref)(rejected): each [B] -> [B].

    Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7; `rlkit.rlhf.losses.dpo` in torch.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return np.logaddexp(0, -beta * margin)


def penalised_reward(reward, logp, reference, mask, beta):
    """r - beta sum over tokens of (log pi - log pi_ref): reward [B]; logp, reference, mask [B, T] -> [B].

    Its mean under pi is E[r] - beta KL(pi || pi_ref). What stands outside mask is not read. Source: Ziegler et al. 2019
    (arXiv 1909.08593), equation 2; `rlkit.rlhf.kl_reinforce.penalised` in torch.
    """
    return reward - beta * np.where(mask, logp - reference, 0.0).sum(axis=1)
