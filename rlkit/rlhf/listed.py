"""A whole task listed: every prompt and all its completions, so that where a policy stands is a number, no estimate.

>>> from rlkit import lm
>>> from rlkit.rlhf import listed
>>> task = lm.tasks.style()
>>> model, tokenizer = lm.load("xs-style")
>>> everything = listed.Listed(model, tokenizer, task)
>>> everything.log_prior.shape
torch.Size([6, 66430])
>>> place = everything.place(model)
>>> place["kl"], round(place["gold"], 2)
(0.0, 1.25)
"""

import torch

from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards
from rlkit.rlhf import optimum


class Listed:
    """All prompts of a style task and all completions of each, under the policy that training starts from.

    problems [P]; ids [N, T]; texts [N]; log_prior [P, N] (nats, float64) of `model` as it is now; gold [P, N]. Every
    mean is over prompts, each with the same weight, as the learners draw them. About 0.2 CPU-seconds a prompt and call
    on the XS model. Raises ValueError for a vocabulary or length that cannot be listed.
    """

    def __init__(self, model, tokenizer, task, problems: list | None = None):
        self.task, self.tokenizer = task, tokenizer
        self.problems = sorted(task.problems(6, 0, "all")) if problems is None else list(problems)
        self._policy = policy = exact.NetworkPolicy(model, tokenizer, self.problems[0].prompt, task.max_new_tokens)
        self.ids, self.mask, self.texts = policy.ids, policy.mask, exact.texts(policy, tokenizer)
        self.gold = self.values(task)
        self.log_prior = self.log_probabilities(model).detach()

    def log_probabilities(self, model) -> torch.Tensor:
        """log pi of every completion of every prompt, [P, N] float64; with a gradient where one is asked for."""
        made = [
            exact.NetworkPolicy(model, self.tokenizer, problem.prompt, self.task.max_new_tokens)
            for problem in self.problems
        ]
        return torch.stack([exact.log_probabilities(policy).sum(-1) for policy in made])

    def values(self, task) -> torch.Tensor:
        """What a rubric (the task with any weights) gives every completion, [P, N] float64."""
        ids = self.ids.numpy()
        return torch.stack([torch.from_numpy(rewards(task, problem, ids)) for problem in self.problems])

    def rewards(self, model) -> torch.Tensor:
        """What a reward model gives every completion, [P, N] float64 (`rlkit.rlhf.reward_models`: its `over`)."""
        return torch.stack([model.over(self._policy, problem.prompt) for problem in self.problems])

    def of(self, log_p: torch.Tensor, **rewards: torch.Tensor) -> dict:
        """Where a policy of these log-probabilities [P, N] stands: kl to the prior (nats a completion), gold, entropy,
        and the mean of each reward [P, N] that is passed by name."""
        kl = torch.stack([optimum.kl(p, prior) for p, prior in zip(log_p, self.log_prior, strict=True)])
        found = {"kl": kl.mean(), "entropy": -optimum.kl(log_p, torch.zeros_like(log_p)).mean()}
        for name, reward in ({"gold": self.gold} | rewards).items():
            found[name] = optimum.expected(log_p, reward).mean()
        return {name: value.item() for name, value in found.items()}

    def place(self, model, **rewards: torch.Tensor) -> dict:
        """`of` the model's policy as it is now, without gradient."""
        with torch.no_grad():
            return self.of(self.log_probabilities(model), **rewards)

    def tilt(self, reward: torch.Tensor, beta: float) -> torch.Tensor:
        """The optimum for a reward [P, N] at beta, prompt by prompt: log-probabilities [P, N]."""
        return torch.stack([optimum.tilt(p, r, beta) for p, r in zip(self.log_prior, reward, strict=True)])

    def best_of_n(self, reward: torch.Tensor, n: int) -> torch.Tensor:
        """The law of the best of n by a reward [P, N], prompt by prompt: log-probabilities [P, N]."""
        return torch.stack([optimum.best_of_n(p, r, n) for p, r in zip(self.log_prior, reward, strict=True)])

    def path(self, laws: list, **rewards: torch.Tensor) -> dict:
        """name -> [K] of `of` for K policies, ready for a chart: path([tilt(reward, b) for b in betas])["kl"]."""
        found = [self.of(law, **rewards) for law in laws]
        return {name: [one[name] for one in found] for name in found[0]}
