"""Supervised training: the loss by hand, what is trained on, the schedule, the same bits again, a task learned."""

import copy

import numpy as np
import pytest
import torch

from rlkit.lm import models, supervised

PAIRS = [("mod 23 : 7 + 15 :", "direct answer 22"), ("countdown 1 2 :", "1 + 2"), ("graph A :", "yes")]


@pytest.fixture(scope="module")
def tiny():
    torch.set_num_threads(1)
    return models.fresh("xs", 3)


def weights(model):
    return torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])


def by_hand(model, tokenizer, pairs):
    """-mean log p(token | before) over completions and <eos>, one row and one token at a time, nothing padded."""
    terms = []
    for prompt, completion in pairs:
        row = tokenizer(prompt)["input_ids"]
        for token in tokenizer(completion)["input_ids"] + [tokenizer.eos_token_id]:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([row])).logits[0, -1].double()
            terms.append(float(logits.logsumexp(0) - logits[token]))
            row = row + [token]
    return float(np.mean(terms)), len(terms)


def test_the_loss_is_the_cross_entropy_of_completions_and_end_computed_by_hand(tiny):
    model, tokenizer = tiny
    expected, tokens = by_hand(model, tokenizer, PAIRS)
    ids, mask, shortest = supervised.encode(tokenizer, PAIRS)
    assert tokens == int(mask.sum()) == 4 + 4 + 2 and shortest == 3
    assert supervised.loss(model, ids, mask, shortest).item() == pytest.approx(expected, abs=1e-6)
    assert supervised.loss(model, ids, mask).item() == pytest.approx(expected, abs=1e-6)  # nothing cut away


def test_a_step_reports_the_loss_before_its_update_and_counts_the_tokens(tiny):
    model, tokenizer = copy.deepcopy(tiny[0]), tiny[1]
    expected, tokens = by_hand(model, tokenizer, PAIRS)
    steps = list(supervised.fit(model, tokenizer, lambda rng, n: PAIRS, steps=2, learning_rate=1e-3, seed=0))
    assert [step.step for step in steps] == [1, 2]
    assert steps[0].metrics["loss"] == pytest.approx(expected, abs=1e-6)
    assert [step.metrics["tokens"] for step in steps] == [tokens, 2 * tokens]
    after, _ = by_hand(tiny[0], tokenizer, PAIRS)
    assert after == expected, "a copy was trained, not the model of the other tests"


def test_the_end_is_trained_even_where_padding_has_its_id(tiny):
    tokenizer = copy.deepcopy(tiny[1])
    ids, mask, _ = supervised.encode(tiny[1], PAIRS)
    tokenizer.pad_token = tokenizer.eos_token
    same, alike, _ = supervised.encode(tokenizer, PAIRS)
    assert torch.equal(mask, alike) and (same == tokenizer.eos_token_id).sum() > len(PAIRS)
    loss = supervised.loss(tiny[0], ids, mask).item()
    assert supervised.loss(tiny[0], same, alike).item() == pytest.approx(loss, abs=1e-6)  # padding is never seen


def test_only_the_completion_has_a_gradient(tiny):
    model, tokenizer = tiny
    ids, mask, shortest = supervised.encode(tokenizer, PAIRS)
    logits = model(input_ids=ids, use_cache=False).logits.detach().requires_grad_()

    class Recorded(torch.nn.Module):
        def forward(self, input_ids, logits_to_keep, use_cache):
            return type("Out", (), {"logits": logits[:, -logits_to_keep:]})

    supervised.loss(Recorded(), ids, mask, shortest).backward()
    touched = logits.grad.abs().sum(-1) > 0  # position t predicts token t + 1
    assert torch.equal(touched[:, :-1], mask[:, 1:]) and not touched[:, -1].any()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tiny):
    found = []
    for seed in (5, 5, 6):
        model, tokenizer = models.fresh("xs", 3)

        def draw(rng, n):
            return [PAIRS[i] for i in rng.integers(len(PAIRS), size=n)]

        losses = [
            s.metrics for s in supervised.fit(model, tokenizer, draw, steps=6, batch=4, learning_rate=1e-2, seed=seed)
        ]
        found.append((losses, weights(model)))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])
    assert found[0][0] != found[2][0] and not torch.equal(found[0][1], found[2][1])


def test_it_does_not_touch_the_global_random_state(tiny):
    before = torch.get_rng_state()
    model, tokenizer = models.fresh("xs", 0)
    for _ in supervised.fit(model, tokenizer, lambda rng, n: PAIRS, steps=1, learning_rate=1e-3, seed=0):
        pass
    assert torch.equal(before, torch.get_rng_state())


def test_it_learns_a_tiny_task_to_the_entropy_of_the_data():
    """`A :` means yes, `B :` yes or no at even odds: the least loss is 2 ln 2 over the 8 tokens of four pairs."""
    model, tokenizer = models.fresh("xs", 0)

    def draw(rng, n):
        return [("A :", "yes"), ("B :", "yes"), ("A :", "yes"), ("B :", "no")] * (n // 4)

    *_, last = supervised.fit(model, tokenizer, draw, steps=150, batch=8, learning_rate=5e-3, seed=0)
    assert last.metrics["loss"] == pytest.approx(0.25 * np.log(2), abs=0.02)
    logits = model(input_ids=torch.tensor([tokenizer("B :")["input_ids"]])).logits[0, -1]
    yes, no = (logits.softmax(-1)[tokenizer.convert_tokens_to_ids(word)].item() for word in ("yes", "no"))
    assert yes == pytest.approx(0.5, abs=0.05) and no == pytest.approx(0.5, abs=0.05)


def test_the_learning_rate_rises_then_falls_to_zero_or_stays():
    shares = [supervised.share(step, 10, 2, "cosine") for step in range(1, 11)]
    assert shares[:2] == [0.5, 1.0] and shares[1:] == sorted(shares[1:], reverse=True)
    assert 0 < shares[-1] < 0.05 and supervised.share(11, 10, 2, "cosine") == pytest.approx(0)
    assert [supervised.share(step, 4, 0, "constant") for step in range(1, 5)] == [1.0] * 4


def test_the_gradient_is_cut_at_its_norm(tiny):
    model, tokenizer = copy.deepcopy(tiny[0]), tiny[1]
    options = {"steps": 1, "learning_rate": 1e-3, "seed": 0, "clip_gradient": 1e-3}
    (step,) = supervised.fit(model, tokenizer, lambda rng, n: PAIRS, **options)
    assert step.metrics["gradient_norm"] > 1e-3  # before the cut
    cut = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm().item()
    assert cut == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"batch": 0}, "batch=0: must be a positive integer"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: must be a finite number above 0"),
        ({"seed": -1}, "seed=-1: must be an integer of at least 0"),
        ({"schedule": "linear"}, "schedule='linear': must be one of 'cosine', 'constant'"),
        ({"warmup": -1}, "warmup=-1: must be an integer of at least 0"),
        ({"clip_gradient": 0}, "clip_gradient=0: must be a finite number above 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: must be a finite number of at least 0"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(tiny, options, message):
    good = {"steps": 1, "learning_rate": 1e-3, "seed": 0}
    with pytest.raises(ValueError) as caught:
        supervised.fit(*tiny, lambda rng, n: PAIRS, **good | options)
    assert str(caught.value) == message


def test_a_loss_that_is_no_number_stops_with_its_step():
    model, tokenizer = models.fresh("xs", 0)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    before = weights(model)
    with pytest.raises(FloatingPointError, match="loss=nan at step 1: lower learning_rate"):
        next(supervised.fit(model, tokenizer, lambda rng, n: PAIRS, steps=1, learning_rate=1e-3, seed=0))
    assert torch.equal(before.nan_to_num(), weights(model).nan_to_num())
