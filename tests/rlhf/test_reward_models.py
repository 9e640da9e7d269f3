"""Reward models: the last token is the last one sampled, the fit is the optimum, a bag of words is blind to order."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rlkit import lm
from rlkit.lm import exact, models
from rlkit.rlhf import preference_rollouts, preferences, reward_models
from rlkit.rlhf.reward_models import RewardModel, bag_of_words, fit_reward

TASK = lm.tasks.style()
PROBLEMS = TASK.problems(6, seed=0, split="all")
WORDS = TASK.words


@pytest.fixture(scope="module")
def base():
    torch.set_num_threads(1)
    return lm.load("xs-style")


@pytest.fixture(scope="module")
def rollouts(base):
    return lm.sample(*base, PROBLEMS[:3], 8, TASK.max_new_tokens, seed=4)


def drawn(base, seed=0, max_new_tokens=5):
    """A reward model with a head that says something."""
    model = RewardModel(*base, max_new_tokens=max_new_tokens)
    with torch.no_grad():
        model.head.normal_(generator=torch.Generator().manual_seed(seed))
    return model


def naive(model, prompt_ids, completion_ids):
    """The reward of one row by a plain forward without padding or mask."""
    ids = torch.tensor([prompt_ids + completion_ids])
    with torch.no_grad():
        return (model.body(input_ids=ids).last_hidden_state[0, -1] @ model.head).item()


def planted(n, seed, better):
    """n preferences between two random texts of four words; better(text) -> number decides."""
    rng, rows = np.random.default_rng(seed), []
    while len(rows) < n:
        a, b = (" ".join(rng.choice(WORDS, 4)) for _ in range(2))
        if better(a) != better(b):
            chosen, rejected = (a, b) if better(a) > better(b) else (b, a)
            rows.append({"prompt": "cat sings", "chosen": chosen, "rejected": rejected})
    return rows


# ---- which token is the last


def test_a_reward_is_read_at_the_last_sampled_token_whatever_its_id(base, rollouts):
    model, (_, tokenizer) = drawn(base), base
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == 0  # or this test would see nothing
    assert 0 < rollouts.finish.count("stop") < len(rollouts.finish)
    found = model.rewards(rollouts)
    assert found.shape == (3, 8) and found.dtype == torch.float32 and not found.requires_grad
    for row, value in enumerate(found.flatten().tolist()):
        ids = rollouts.ids[row][rollouts.mask[row]].tolist()
        assert (ids[-1] == 0) == (rollouts.finish[row] == "stop")
        prompt = tokenizer(rollouts.prompts[row // 8])["input_ids"]
        assert value == pytest.approx(naive(model, prompt, ids), abs=1e-5)


@pytest.mark.parametrize("kind", ["network", "bag"])
def test_padding_is_never_read(base, rollouts, kind):
    tokenizer = base[1]
    model = drawn(base) if kind == "network" else bag_of_words(tokenizer, max_new_tokens=5)
    if kind == "bag":
        model.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    wide = lm.sample(*base, ["moon", "cat sea sings"], 4, 5, seed=0)  # prompts of different lengths
    for given in (rollouts, wide):
        other = given._replace(
            ids=given.ids.masked_fill(~given.mask, 7), prompt_ids=given.prompt_ids.masked_fill(~given.prompt_mask, 7)
        )
        assert torch.allclose(model.rewards(given), model.rewards(other), atol=1e-5)
    alone = lm.sample(*base, ["moon"], 4, 5, seed=0)
    texts = model.of(["moon"] * 4, alone.text), model.of(["moon", "cat sea sings"] * 2, [alone.text[0]] * 4)
    assert torch.allclose(model.rewards(alone)[0], texts[0], atol=1e-5)
    assert texts[1][0].item() == pytest.approx(texts[0][0].item(), abs=1e-5)


def test_texts_become_the_rollouts_that_they_were(base, rollouts):
    size = rollouts.group_size
    groups = [rollouts.text[i : i + size] for i in range(0, len(rollouts.text), size)]
    again = preference_rollouts.as_rollouts(base[1], rollouts.prompts, groups, 5)
    for name in ("prompt_ids", "prompt_mask", "mask", "ids"):
        assert torch.equal(getattr(again, name), getattr(rollouts, name)), name
    assert again.finish == rollouts.finish and again.text == rollouts.text and again.logp.isnan().all()
    model = drawn(base)
    flat = [prompt for prompt in rollouts.prompts for _ in range(size)]
    assert torch.allclose(model.of(flat, rollouts.text), model.rewards(rollouts).flatten(), atol=1e-5)


def test_a_text_that_was_cut_has_no_end(base):
    cut, ended = drawn(base, max_new_tokens=2), drawn(base, max_new_tokens=None)
    prompt, ids = (base[1](text)["input_ids"] for text in ("cat sings", "the cat"))
    assert cut.of(["cat sings"], ["the cat"]).item() == pytest.approx(naive(cut, prompt, ids), abs=1e-5)
    assert ended.of(["cat sings"], ["the cat"]).item() == pytest.approx(naive(cut, prompt, [*ids, 0]), abs=1e-5)
    assert cut.of(["cat sings"], ["the"]).item() == pytest.approx(naive(cut, prompt, [ids[0], 0]), abs=1e-5)


def test_all_completions_of_an_enumerable_policy(base):
    policy = exact.NetworkPolicy(*base, PROBLEMS[0].prompt, 2)
    for model in (drawn(base, max_new_tokens=2), bag_of_words(base[1], max_new_tokens=2)):
        texts = exact.texts(policy, base[1])
        found = model.over(policy, PROBLEMS[0].prompt)
        assert found.dtype == torch.float64 and found.shape == (len(texts),)
        assert torch.allclose(found, model.of([PROBLEMS[0].prompt] * len(texts), texts).double(), atol=1e-5)


def test_few_tokens_at_a_time(base, rollouts, monkeypatch):
    model, seen = drawn(base), []
    whole = model.rewards(rollouts)
    model.body.register_forward_pre_hook(
        lambda m, args, given: seen.append(given["input_ids"].numel()), with_kwargs=True
    )
    monkeypatch.setattr(reward_models, "TOKENS", 40)
    assert torch.allclose(model.rewards(rollouts), whole, atol=1e-6)
    assert len(seen) == 5 and max(seen) <= 40  # 24 rows of 7 tokens, 5 rows at once


# ---- the fit


def test_the_loss_starts_at_log_2_and_the_model_that_lent_its_body_stays(base):
    before = {name: p.clone() for name, p in base[0].named_parameters()}
    model = RewardModel(*base, max_new_tokens=5)
    steps = list(fit_reward(model, planted(64, 0, lambda t: "old" in t), steps=3, learning_rate=1e-2))
    first = steps[0].metrics
    assert [step.step for step in steps] == [1, 2, 3]
    assert first["loss"] == pytest.approx(np.log(2)) and first["accuracy"] == 0.5 and first["margin"] == 0
    assert steps[-1].metrics["loss"] < first["loss"]
    assert all(torch.equal(before[name], p) for name, p in base[0].named_parameters())
    assert not torch.equal(model.body.embed_tokens.weight, base[0].get_input_embeddings().weight)


def test_a_bag_of_words_reaches_the_optimum_of_logistic_regression(base):
    """Preferences by a noisy count of words: the reference is scikit-learn's on differences of counts."""
    tokenizer, rng, rows = base[1], np.random.default_rng(0), []
    worth = rng.normal(size=len(WORDS))
    for _ in range(400):
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(2)]
        utility = [sum(worth[WORDS.index(word)] for word in text.split()) for text in texts]
        first = bool(rng.random() < 1 / (1 + np.exp(utility[1] - utility[0])))
        rows.append({"prompt": "cat sings", "chosen": texts[not first], "rejected": texts[first]})

    def counts(text):
        return np.array([text.split().count(word) for word in WORDS], dtype=float)

    x = np.array([counts(row["chosen"]) - counts(row["rejected"]) for row in rows])
    both, labels = np.concatenate([x, -x]), np.repeat([1, 0], len(x))
    optimum = LogisticRegression(C=1e6, fit_intercept=False, tol=1e-10, max_iter=1000).fit(both, labels).coef_[0]
    model = bag_of_words(tokenizer, max_new_tokens=5)
    for rate in (0.1, 0.01):
        *_, last = fit_reward(model, rows, steps=150, batch=len(rows), learning_rate=rate)
    found = model.weight.detach().sum(0).numpy()  # a word is in the prompt or is not: the other weight stays 0
    assert last.metrics["loss"] == pytest.approx(np.log1p(np.exp(-x @ optimum)).mean(), abs=1e-5)
    assert np.abs(found[1:] - optimum).max() < 0.02  # <eos> is in every text here


def test_a_network_sees_order_and_a_bag_of_words_does_not(base):
    orders = list(itertools.permutations(["the", "old", "moon", "sings"]))
    rng, rows = np.random.default_rng(0), []
    while len(rows) < 300:
        a, b = (orders[i] for i in rng.integers(len(orders), size=2))
        if a[0] == "the" != b[0]:
            rows.append({"prompt": "cat sings", "chosen": " ".join(a), "rejected": " ".join(b)})
    network, bag = RewardModel(*base, max_new_tokens=5), bag_of_words(base[1], max_new_tokens=5)
    options = {"steps": 60, "batch": 32, "held_out": rows[200:], "learning_rate": 3e-3}
    *_, seen = fit_reward(network, rows[:200], **options)
    *_, blind = fit_reward(bag, rows[:200], **options)
    assert seen.metrics["validation_accuracy"] > 0.99
    assert blind.metrics["validation_accuracy"] == 0.5 and blind.metrics["validation_loss"] == pytest.approx(np.log(2))


def test_a_bag_of_words_knows_what_the_prompt_asks_for(base):
    texts = ["cat", "moon", "sea"]
    rows = [
        {"prompt": f"{topic} sings", "chosen": topic, "rejected": other}
        for topic in texts
        for other in texts
        if topic != other
    ]
    bag = bag_of_words(base[1], max_new_tokens=5)
    *_, last = fit_reward(bag, rows, steps=60, learning_rate=0.05)
    assert last.metrics["accuracy"] == 1.0  # no weight of a word alone could do this
    once, twice, none = bag.of(["cat sings"] * 3, ["cat the", "cat cat", "moon the"]).tolist()
    assert twice > once > none  # a second mention pays again: what a policy will exploit


@pytest.mark.slow
def test_more_preferences_of_the_rubric_make_a_better_reward_model(base):
    problems, a, b = preferences.pairs(*base, TASK, 2000, seed=1)
    rows = preferences.label(TASK, problems, a, b, noise=0.25, seed=1)
    found = {}
    for name, n in (("few", 64), ("many", 1500)):
        model = RewardModel(*base, max_new_tokens=5)
        options = {"steps": 200, "learning_rate": 3e-3, "held_out": rows[1500:]}
        found[name] = [step.metrics for step in fit_reward(model, rows[:n], **options)][-1]
    chance = preferences.chance(TASK, problems[1500:], a[1500:], b[1500:], 0.25)
    best = np.maximum(chance, 1 - chance).mean()
    assert 0.5 < found["few"]["validation_accuracy"] < found["many"]["validation_accuracy"] < best
    assert found["many"]["validation_accuracy"] > 0.68 and found["few"]["accuracy"] > 0.9  # few are learnt by heart


# ---- steps, bits, adapters


def test_held_out_rows_are_judged_after_the_updates_and_stopping_is_not_asking(base):
    model, rows = RewardModel(*base, max_new_tokens=5), planted(96, 0, lambda t: "very" in t)
    learner = fit_reward(model, rows[:64], steps=100, learning_rate=3e-3, held_out=rows[64:], evaluate_every=2)
    taken = list(itertools.islice(learner, 6))
    assert [(step.step, "validation_loss" in step.metrics) for step in taken] == [
        (0, True), (1, False), (2, True), (3, False), (4, True), (5, False)
    ]  # fmt: skip
    assert taken[0].metrics["validation_loss"] == pytest.approx(np.log(2))
    *_, last = fit_reward(model, rows[:64], steps=1, learning_rate=3e-3, held_out=rows[64:])
    texts = [[row[name] for row in rows[64:]] for name in ("chosen", "rejected")]
    chosen, rejected = (model.of(["cat sings"] * 32, some) for some in texts)
    assert last.metrics["validation_accuracy"] == (chosen > rejected).double().mean()
    assert last.metrics["validation_margin"] == pytest.approx((chosen - rejected).mean().item(), abs=1e-5)
    assert last.metrics["validation_loss"] == pytest.approx(
        -(chosen - rejected).sigmoid().log().mean().item(), abs=1e-5
    )


def test_the_same_seed_gives_the_same_bits_and_touches_no_global_state(base):
    rows, state = planted(50, 0, lambda t: t.count("o")), torch.get_rng_state()

    def run(seed=0):
        model = RewardModel(*base, max_new_tokens=5)
        steps = list(fit_reward(model, rows, steps=4, batch=16, learning_rate=3e-3, seed=seed, held_out=rows))
        return steps, model.state_dict()

    (first, weights), (second, others) = run(), run()
    assert first == second and all(torch.equal(weights[name], others[name]) for name in weights)
    assert run(seed=1)[0] != first and torch.equal(state, torch.get_rng_state())


def test_an_adapter_is_copied_and_its_base_is_shared():
    model, tokenizer = lm.load("xs-style", lora=4)
    reward = RewardModel(model, tokenizer, max_new_tokens=5)
    before = {name: p.clone() for name, p in model.named_parameters()}
    *_, last = fit_reward(reward, planted(64, 0, lambda t: "old" in t), steps=20, learning_rate=1e-2)
    assert last.metrics["accuracy"] > 0.9
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    places = {p.data_ptr() for p in model.parameters()}
    assert all((p.data_ptr() in places) == (not p.requires_grad) for p in reward.body.parameters())
    assert {name.split(".")[-3] for name, p in reward.body.named_parameters() if p.requires_grad} == {
        "lora_A",
        "lora_B",
    }


def test_a_diverged_model_is_refused_before_the_update(base):
    model = RewardModel(*base, max_new_tokens=5)
    model.head.data.fill_(torch.nan)
    before = model.body.embed_tokens.weight.clone()
    with pytest.raises(FloatingPointError, match="step 1: loss=nan"):
        next(fit_reward(model, planted(4, 0, lambda t: "old" in t), steps=1, learning_rate=1e-3))
    assert torch.equal(before, model.body.embed_tokens.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": []}, r"rows=\[\]: must be at least one preference"),
        ({"rows": [{"prompt": "cat sings", "chosen": "the"}]}, r"rows\[0\]=.*: must be a dictionary with the texts"),
        ({"rows": [{"prompt": "cat", "chosen": "the " * 6, "rejected": ""}]}, "must be of at most max_new_tokens=5"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"batch": 0}, "batch=0: must be a positive integer"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: must be a finite number above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0: must be a finite number of at least 0"),
        ({"clip_gradient": 0}, "clip_gradient=0: must be a finite number above 0"),
        ({"seed": -1}, "seed=-1: must be an integer of at least 0"),
        ({"evaluate_every": 3}, "evaluate_every=3: must be None where held_out=None"),
        ({"held_out": []}, r"rows=\[\]: must be at least one preference"),
    ],
)
def test_bad_arguments_are_named_in_one_line_at_the_call(base, options, message):
    rows = [{"prompt": "cat sings", "chosen": "the cat", "rejected": "the"}]
    given = {"rows": rows, "steps": 1, "learning_rate": 1e-3} | options
    with pytest.raises(ValueError, match=message) as error:
        fit_reward(bag_of_words(base[1], max_new_tokens=5), **given)
    assert "\n" not in str(error.value)


def test_other_bad_input(base):
    model = bag_of_words(base[1], max_new_tokens=5)
    with pytest.raises(ValueError, match=r"len\(completions\)=1: must be 2, one for each"):
        model.of(["cat", "sea"], ["the"])
    with pytest.raises(ValueError, match="max_new_tokens=0: must be a positive integer"):
        RewardModel(*base, max_new_tokens=0)
    model.weight.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        fit_reward(model, planted(2, 0, lambda t: "old" in t), steps=1, learning_rate=1e-3)


def test_a_body_may_be_fresh():
    model, tokenizer = models.fresh("xs", 0, words=WORDS)
    reward = RewardModel(model, tokenizer, max_new_tokens=5)
    *_, last = fit_reward(reward, planted(64, 0, lambda t: "old" in t), steps=30, learning_rate=1e-2)
    assert last.metrics["accuracy"] > 0.9
