"""A judge of texts, the posterior that he leaves of a small model's texts, and where a policy stands beside it.

The reward is log P(ok | text) of a classifier, so the KL-regularised optimum at beta = 1 / k is the law of the texts
that k judges in a row let pass: Bayes' rule with the model as prior. Source: Korbak, Perez and Buckley 2022 (arXiv
2205.11275). What `rl_kl_bayes` measures.

>>> from rlkit.rlhf import posteriors
>>> world = posteriors.world(seed=0)
>>> len(world.texts), world.prompt
(7381, 'cat sings')
>>> found = posteriors.place(world.star(beta=1.0), world, beta=1.0)
>>> found["reverse"], found["identity"] < 1e-12
(0.0, True)
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from rlkit import checks, lm
from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards
from rlkit.rlhf import optimum

BASE = "xs-style"
LABELS = 2000  # texts that a judge has seen, with the annotator's verdicts
HALFWAY, NOISE = 1.5, 0.25  # the annotator accepts a text with chance sigmoid((gold - HALFWAY) / NOISE)


class World(NamedTuple):
    """The N texts of one prompt, their log-probabilities under the start model and their rewards, [N] float64.

    points: the annotator's rubric, [N]; seen, accepted: how often a text is among the judge's labels, and how often
    the annotator accepted it there, [N] int.
    """

    prompt: str
    texts: tuple
    log_prior: torch.Tensor
    reward: torch.Tensor
    points: np.ndarray
    seen: np.ndarray
    accepted: np.ndarray

    def star(self, beta: float) -> torch.Tensor:
        """log pi*, [N]: see `optimum.tilt`."""
        return optimum.tilt(self.log_prior, self.reward, beta)


def policy(seed: int, length: int = 4) -> exact.NetworkPolicy:
    """The start model's texts of at most `length` words for prompt number `seed` mod 6, with weights of its own."""
    (model, tokenizer), problems = lm.load(BASE), _problems(length)
    return exact.NetworkPolicy(model, tokenizer, problems[checks.seed(seed) % len(problems)].prompt, length)


def sequences(policy) -> torch.Tensor:
    """log pi of each of the N texts, [N] float64; differentiable."""
    return exact.log_probabilities(policy).sum(-1)


@functools.lru_cache(maxsize=64)
def world(seed: int, length: int = 4) -> World:
    """A prompt (number seed mod 6) and a judge: `LABELS` texts drawn from the start model, labelled by a noisy
    annotator of the gold rubric, then logistic regression (C = 1) on counts of words and of pairs of neighbours, ends
    included.

    Raises ValueError if all labels came out alike.
    """
    start, problems, rng = policy(seed, length), _problems(length), np.random.default_rng(checks.seed(seed))
    with torch.no_grad():
        log_prior = sequences(start)
    _, tokenizer = lm.load(BASE)
    texts, problem = tuple(exact.texts(start, tokenizer)), problems[seed % len(problems)]
    rows = rng.choice(len(texts), LABELS, p=log_prior.softmax(0).numpy())
    points = rewards(lm.tasks.style(length=length), problem, start.ids.numpy())
    label = rng.random(LABELS) < 1 / (1 + np.exp(-(points[rows] - HALFWAY) / NOISE))
    words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+").fit_transform([f"^ {text} $" for text in texts])
    judge = LogisticRegression(max_iter=1000).fit(words[rows], label)
    reward = torch.from_numpy(judge.predict_log_proba(words)[:, 1])
    seen, accepted = (np.bincount(those, minlength=len(texts)) for those in (rows, rows[label]))
    return World(problem.prompt, texts, log_prior, reward, points, seen, accepted)


def held_by(log_p: torch.Tensor, share: float = 0.9) -> int:
    """The least number of texts that hold `share` of the mass: the likeliest first. [N] -> a count."""
    checks.probability("share", share)
    return 1 + int((log_p.exp().sort(descending=True).values.cumsum(0) < share).sum())


def place(log_pi: torch.Tensor, world: World, beta: float) -> dict:
    """Where a policy [N] stands, all exact: reward = E r, kl = KL(pi || pi_0), entropy (nats), texts = `held_by`.

    With beta > 0 also reverse = KL(pi || pi*), forward = KL(pi* || pi), and identity = |E r - beta KL(pi || pi_0)
    - beta log Z + beta KL(pi || pi*)|, which is 0 but for rounding.
    """
    reward, kl = optimum.expected(log_pi, world.reward), optimum.kl(log_pi, world.log_prior)
    found = {"reward": reward, "kl": kl, "entropy": -optimum.expected(log_pi, log_pi), "texts": held_by(log_pi)}
    if beta:
        star, log_z = world.star(beta), optimum.log_partition(world.log_prior, world.reward, beta)
        found |= {"reverse": optimum.kl(log_pi, star), "forward": optimum.kl(star, log_pi)}
        found["identity"] = (reward - beta * kl - beta * log_z + beta * found["reverse"]).abs()
    return {name: float(value) for name, value in found.items()}


def best_at(world: World, divergence: float) -> float:
    """The most reward that a policy of KL(pi || pi_0) = divergence (nats, above 0) can have: that of the tilt there."""
    star = world.star(optimum.beta_at(world.log_prior, world.reward, divergence))
    return float(optimum.expected(star, world.reward))


def _problems(length: int) -> list:
    return sorted(lm.tasks.style(length=length).problems(6, 0, "all"))
