"""What a wrong model costs: the exact gap of a policy's return, the simulation lemma, and how errors add up in time."""

from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.mdps.solve import chain, policy_value


class Gap(NamedTuple):
    """What `simulation_gap` returns: gap <= bound <= worst_case, in units of return, and the errors eps_r and eps_p."""

    gap: float
    bound: float
    worst_case: float
    reward_error: float
    transition_error: float


def _errors(mdp, model):
    """(eps_r, eps_p): the largest |r - rhat| and the largest L1 distance of next-state chances, over all (s, a)."""
    if model.rewards.shape != mdp.rewards.shape:
        raise ValueError(f"model of shape {model.rewards.shape}: must be {mdp.rewards.shape}, states by actions")
    if model.discount != mdp.discount:
        checks.fail("discount of the model", model.discount, f"{mdp.discount}, as in the world")
    if np.abs(model.start - mdp.start).max() > 1e-9:
        checks.fail("start of the model", model.start.tolist(), "that of the world")
    reward = np.abs(model.rewards - mdp.rewards).max()
    return float(reward), float(np.abs(model.transitions - mdp.transitions).sum(axis=2).max())


def simulation_gap(mdp, model, policy):
    """How far the model's opinion of a policy is from the truth, beside what the simulation lemma allows.

        gap        = |J - Jhat|,  J = start . V of the policy in the world, Jhat the same in the model
        bound      = eps_r / (1 - gamma) + gamma eps_p span(V) / (2 (1 - gamma))
        worst_case = eps_r / (1 - gamma) + gamma eps_p span(r) / (2 (1 - gamma)^2)

    eps_r = max |r - rhat| and eps_p = max of sum over s' of |P(s'|s,a) - Phat(s'|s,a)|, both over all (s, a): the L1
    norm, twice the total variation. span(x) = max x - min x. Why: subtract the two Bellman equations and solve,

        V - Vhat = (I - gamma Phat_pi)^-1 [r_pi - rhat_pi + gamma (P_pi - Phat_pi) V]

    The rows of (I - gamma Phat_pi)^-1 are not negative and sum to 1 / (1 - gamma), so the largest entry of the bracket
    counts that often. Rows of P - Phat sum to 0, so V may be shifted to lie around 0, which leaves |.| <= span(V) / 2
    times the L1 norm. World and model may change places, so span(V) is the smaller of the two values' spans. Without
    looking at values: V lies in [min r, max r] / (1 - gamma), which gives worst_case, r being the world's or the
    model's, whichever spans less. With rewards in [0, R] and no centring it is the lemma as usually written,
    gamma eps_p R / (1 - gamma)^2, twice as large. Kearns and Singh (2002), lemma 4; Kakade (2003).

    Args: mdp, model: FiniteMDPs that differ in transitions and rewards alone; policy [N, A]. Returns: Gap.
    Raises: ValueError for a model of another size, discount or start, or a wrong policy.
    """
    reward, transition = _errors(mdp, model)
    values, dreamt = policy_value(mdp, policy), policy_value(model, policy)
    left = 1 - mdp.discount
    # The exact span obeys span(V) <= span(r) / (1 - gamma); rounding must not say otherwise.
    widest = min(np.ptp(mdp.rewards), np.ptp(model.rewards)) / left
    span = min(np.ptp(values), np.ptp(dreamt), widest)
    bound, worst = (reward / left + mdp.discount * transition * width / (2 * left) for width in (span, widest))
    return Gap(abs(float(mdp.start @ (values - dreamt))), float(bound), float(worst), reward, transition)


def compounding(mdp, model, policy, steps):
    """How the states of the world and those of its model drift apart while a policy acts in both

        distance[t] = 1/2 sum over s of |Pr(s_t = s) - Prhat(s_t = s)|  <=  t eps_tv,   t = 1 ... steps

    with eps_tv = max over (s, a) of 1/2 ||P - Phat||_1: a total variation, so never above 1, though the bound is not
    cut there. Why: coupled as well as can be, the two part in a step with a chance of at most eps_tv, so they are
    together after t steps with at least (1 - eps_tv)^t >= 1 - t eps_tv. Janner et al. (2019), lemma B.2. Weighted with
    gamma^t span(r) and summed over t, the bound is worst_case of simulation_gap for a model with the right rewards.

    Args: mdp, model: as in simulation_gap; policy [N, A]; steps: a positive integer.
    Returns: (distance [steps], bound [steps]).
    Raises: ValueError for a model of another size, discount or start, a wrong policy, or steps.
    """
    epsilon = _errors(mdp, model)[1] / 2
    count = checks.positive_int("steps", steps)
    here, there = mdp.start, model.start
    true, dreamt = chain(mdp, policy)[0], chain(model, policy)[0]
    distance = np.empty(count)
    for t in range(count):
        here, there = here @ true, there @ dreamt
        distance[t] = np.abs(here - there).sum() / 2
    return distance, epsilon * np.arange(1, count + 1)
