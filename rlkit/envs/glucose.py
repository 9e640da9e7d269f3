"""A day with an insulin pump: meals come, and nobody tells the pump.

Of the four properties that NeoRL-2 (Gao et al. 2025, arXiv 2503.19267) asks of a near-real benchmark, this one has the
external factor that nobody controls. A teaching model, far from anything medical.
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, proportional_integral, wander

BASE, BASE_INSULIN = 110.0, 15.0  # mg/dL, mU/L
P1, P2, P3 = 0.01, 0.025, 1.3e-5  # 1/min, 1/min, L/mU/min^2
CLEARANCE, PLASMA = 5 / 54, 12.0  # 1/min, L
BASAL, MOST = CLEARANCE * BASE_INSULIN * PLASMA, 100.0  # mU/min: what keeps the base, and what the pump can do
SKIN, GUT = 50.0, 40.0  # min: insulin on its way to the blood, and each of two compartments of a meal
CARBS = 0.8 * 1000 / 112  # mg/dL for each gram: 80 % of it arrives, in 112 dL
MINUTES = 10  # of a step
NOISE = 2.0  # mg/dL in one step


class Glucose:
    """Keep blood glucose G between 70 and 180 mg/dL over 24 hours with three meals, by the rate u of an insulin pump.

        G' = -P1 (G - base) - X G + meal,   X' = -P2 X + P3 (I - base insulin),   I' = -n I + S / (50 min * 12 L)

    with u into the skin, S' = u - S / (50 min), and each meal through two compartments of 40 minutes. Ten Euler steps
    of a minute, then 2 mg/dL of noise. Action 0 is the basal rate (17 mU/min), -1 stops the pump, 1 is 100 mU/min.
    Three meals of 20 to 120 g come within 3-hour windows. Reward: max(-3, 1 - risk(G) / 7.75), with risk(G) =
    10 (1.509 (ln(G)^1.084 - 5.381))^2: 1 at 112.5 mg/dL, 0 at 70 and at 180. A return is at most 144. States: G, X
    (1/min), I (mU/L), S (mU), two of gut (g), last G, clock (steps), three meal times (steps), three sizes (g).
    Sources: Bergman et al. 1979 and, for parameters, Fisher 1991 (IEEE Trans. Biomed. Eng. 38); P1, base and skin are
    our choice; risk: Kovatchev et al. 1997 (Diabetes Care 20).

    What makes it hard for offline RL: meals are no consequence of any action, and a dose that follows a meal stands
    in the data beside high glucose: what helps looks like what harms. Insulin acts an hour late and cannot be undone.
    """

    name = "glucose"
    observation_size, action_size, actions = 3, 1, None
    horizon, noise_size = 144, 1
    labels = ("glucose - 110 (100 mg/dL)", "change in the last step (10 mg/dL)", "insulin above basal on its way (U)")

    def start(self, rng, count):
        states = np.zeros((count, 14))
        states[:, 0] = states[:, 6] = BASE + 20 * np.clip(rng.standard_normal(count), -2, 2)
        states[:, 2], states[:, 3] = BASE_INSULIN, BASAL * SKIN
        states[:, 8:11] = rng.integers(0, 18, (count, 3)) + (3, 33, 69)
        states[:, 11:] = np.clip((45, 70, 80) + 15 * rng.standard_normal((count, 3)), 20, 120)
        return states

    def observe(self, states):
        glucose, insulin, skin, last = states[:, 0], states[:, 2], states[:, 3], states[:, 6]
        coming = (skin - BASAL * SKIN + PLASMA * (insulin - BASE_INSULIN)) / 1000  # U
        return np.stack([(glucose - BASE) / 100, (glucose - last) / 10, coming], axis=1).astype(np.float32)

    def step(self, states, actions, noise):
        glucose, effect, insulin, skin, stomach, gut, _, clock = np.ascontiguousarray(states[:, :8].T)
        before, action = glucose, np.clip(actions[:, 0], -1, 1)
        rate = BASAL + action * np.where(action < 0, BASAL, MOST - BASAL)  # mU/min
        stomach = stomach + (states[:, 11:] * (states[:, 8:11] == clock[:, None])).sum(axis=1)
        for _ in range(MINUTES):
            change = -P1 * (glucose - BASE) - effect * glucose + CARBS * gut / GUT
            glucose = np.maximum(glucose + change, 10.0)
            effect = effect - P2 * effect + P3 * (insulin - BASE_INSULIN)
            insulin = insulin - CLEARANCE * insulin + skin / (SKIN * PLASMA)
            skin = skin + rate - skin / SKIN
            gut = gut + (stomach - gut) / GUT
            stomach = stomach - stomach / GUT
        glucose = np.clip(glucose + NOISE * noise[:, 0], 10.0, 600.0)
        first = np.stack([glucose, effect, insulin, skin, stomach, gut, before, clock + 1], axis=1)
        reward = np.maximum(-3, 1 - risk(glucose) / 7.75)
        return np.concatenate([first, states[:, 8:]], axis=1), reward, np.zeros(len(states), dtype=bool)


def risk(glucose):
    """How bad a blood glucose (mg/dL) is: 10 (1.509 (ln(G)^1.084 - 5.381))^2; 0 at 112.5. Kovatchev et al. 1997."""
    return 10 * (1.509 * (np.log(glucose) ** 1.084 - 5.381)) ** 2


def behaviour(quality):
    """A controller as a factory `make(count, rng) -> act(observations [B, 3]) -> actions [B, 1]`.

    "random": `wander`. "medium": what a plant would run, a careful PI controller. "expert": doses by level and
    rise, less what is on its way, its gains found by cross-entropy search.
    Mean returns: -88, 5, 89.

    Raises: ValueError for another quality.
    """
    checks.one_of("quality", quality, QUALITIES)
    medium = proportional_integral(lambda seen: seen[:, 0] - 0.2, gain=0.2, integral=0.005)
    return {"random": wander(1, memory=0.9, spread=0.5), "medium": medium, "expert": _bolus}[quality]


def _bolus(count, rng, target=-0.09, gain=1.5, rise=1.1, coming=0.26):
    def act(observations):
        glucose, change, insulin = observations.astype(float).T
        return np.clip(gain * (glucose - target) + rise * change - coming * insulin, -1, 1)[:, None]

    return act
