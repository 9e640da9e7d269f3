"""What the chapter's notebook measures with: a script that labels, the aim of IPO, a climb with a brake."""

import math
from types import SimpleNamespace

import pytest
import torch

from rlkit import lm, rlhf
from rlkit.rlhf import hacking, losses, optimum
from rlkit.rlhf.listed import Listed
from rlkit.runs import Step


@pytest.fixture(scope="module")
def xs():
    torch.set_num_threads(1)
    task = lm.tasks.style()
    return task, *lm.load("xs-style"), sorted(task.problems(6, 0, "all"))


def test_a_script_without_noise_chooses_what_its_rubric_likes(xs):
    task, _, _, problems = xs
    answer = hacking.scripted(task.with_weights(length=-1.0), problems, noise=0, seed=0)
    prompt = problems[0].prompt
    assert answer(prompt, "the", "very very very the the") == "a" and answer(prompt, "very very very", "the") == "b"
    with pytest.raises(ValueError, match="prompt='nothing': must be one of"):
        answer("nothing", "the", "old")


def test_a_noisy_script_chooses_as_often_as_its_chance_says_and_again_with_its_seed(xs):
    task, _, _, problems = xs
    liking = task.with_weights(length=0.1)  # one word more or less: 0.1 in utility
    asked = [(problems[0].prompt, "the the", "the the the")] * 2000
    first, again = (hacking.scripted(liking, problems, noise=0.1, seed=3) for _ in range(2))
    answers = [first(*one) for one in asked]
    assert answers == [again(*one) for one in asked]
    u = [liking.reward(liking.verify(problems[0], text)) for text in asked[0][1:]]
    chance = 1 / (1 + math.exp(-(u[0] - u[1]) / 0.1))
    assert answers.count("a") / 2000 == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 2000))


def test_win_rate_is_the_sum_over_pairs_and_a_half_on_average():
    generator = torch.Generator().manual_seed(0)
    log_prior = torch.randn(30, generator=generator).double().log_softmax(0)
    utility = torch.randint(0, 4, (30,), generator=generator).double() / 2
    wins = hacking.win_rate(log_prior, utility, 0.5)
    by_hand = (((utility[:, None] - utility) / 0.5).sigmoid() * log_prior.exp()).sum(1)
    torch.testing.assert_close(wins, by_hand)
    assert (log_prior.exp() @ wins).item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"utility of shape \(3,\): must be \(30,\)"):
        hacking.win_rate(log_prior, utility[:3], 0.5)


def test_the_tilt_by_the_win_rate_is_where_the_population_loss_of_ipo_is_flat():
    """d/d log pi of the expected loss over pairs of the prior, at the tilt, is the same for every completion: 0."""
    generator = torch.Generator().manual_seed(1)
    log_prior = torch.randn(8, generator=generator).double().log_softmax(0)
    utility, tau = torch.randn(8, generator=generator).double(), 0.3
    log_p = optimum.tilt(log_prior, hacking.win_rate(log_prior, utility, 0.5), tau).requires_grad_()
    weight = log_prior.exp()[:, None] * log_prior.exp() * ((utility[:, None] - utility) / 0.5).sigmoid()
    each = [x.expand(8, 8) for x in (log_p[:, None], log_p, log_prior[:, None], log_prior)]
    (weight * losses.ipo(*each, tau)).sum().backward()
    assert log_p.grad.abs().max() < 1e-9


def test_apart_is_the_mean_divergence_over_prompts():
    p, q = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).double().log(), torch.tensor([[0.5, 0.5], [0.5, 0.5]]).double().log()
    expected = (0.9 * math.log(1.8) + 0.1 * math.log(0.2)) / 2
    assert hacking.apart(p, q) == pytest.approx(expected) and hacking.apart(p, p) == 0


def test_the_commonest_text_is_that_of_the_greatest_mean_probability():
    everything = SimpleNamespace(texts=["a", "b", "c"])
    log_p = torch.tensor([[0.6, 0.4, 0.0], [0.1, 0.5, 0.4]]).double().log()
    found = hacking.commonest(everything, log_p)
    assert found["text"] == "b" and found["share"] == pytest.approx(0.45)


def test_a_climb_stops_at_its_budget_and_goes_on_to_its_end(xs):
    task, model, tokenizer, problems = xs
    everything = Listed(model, tokenizer, task, problems[:1])
    model, _ = lm.load("xs-style")
    how = {"beta": 0.05, "learning_rate": 1e-3, "prompts_per_step": 1, "group_size": 32, "problems": problems[:1]}
    kls = []

    def watched():
        for step in rlhf.reinforce(model, tokenizer, task, rlhf.gold(task), steps=16, seed=0, **how):
            kls.append(step.metrics.get("kl", 0.0))
            yield step

    found = hacking.climb(watched(), model, everything, 0.2, again=everything.gold)
    top = hacking.commonest(everything, everything.log_probabilities(model).detach())
    assert found["end"] == everything.place(model, again=everything.gold) | top | {"step": 16}
    assert found["stopped"]["step"] == next(i for i, kl in enumerate(kls) if kl >= 0.2) < 16
    assert found["end"]["kl"] > found["stopped"]["kl"] > 0.02 and found["end"]["again"] == found["end"]["gold"]


def test_a_climb_that_never_spends_its_budget_stops_at_its_end(xs):
    task, model, tokenizer, problems = xs
    everything = Listed(model, tokenizer, task, problems[:1])
    found = hacking.climb(iter([Step(0, {}), Step(1, {"kl": 0.1})]), model, everything, 1.0)
    assert found["stopped"] == found["end"] and found["end"]["step"] == 1 and found["end"]["kl"] == 0
    with pytest.raises(ValueError, match="it yielded no step"):
        hacking.climb(iter([]), model, everything, 1.0)
