"""PPO on tokens: where it ends, which part of the gap is whose, the critic, given beginnings, bits."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from rlkit import paths, rlhf
from rlkit.lm.rollouts import sample, score_tokens
from rlkit.rlhf import draws, optimum, ppo_losses
from rlkit.rlhf.critic import Critic, fit
from tests.rlhf import listed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What a failing step saves goes to a folder of the test."""
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def train(steps, reward=None, model=None, task=None, **options):
    """(steps, model) of a training of the listed task."""
    model, tokenizer = model or listed.fresh()
    given = {"beta": listed.BETA, "learning_rate": 1e-3, "problems": [listed.PROBLEM]} | options
    given = {"prompts_per_step": 4, "group_size": 8, "updates_per_batch": 2} | given
    task = task or listed.task()
    return list(rlhf.ppo(model, tokenizer, task, reward or rlhf.gold(task), steps=steps, **given)), model


def weights(model) -> list:
    return [p.detach().clone() for p in model.parameters()]


# ---- where it ends


def gaps(steps=30, tail=5, **options) -> tuple:
    """(mean of KL(pi || pi*) after each of the last `tail` steps, that at the start)."""
    model, tokenizer = listed.fresh()
    policy, _, _, best = listed.optimal(model, tokenizer)
    given = {"beta": listed.BETA, "learning_rate": 1e-3, "problems": [listed.PROBLEM]} | options
    found = []
    for _ in rlhf.ppo(model, tokenizer, listed.task(), rlhf.gold(listed.task()), steps=steps, **given):
        found.append(optimum.kl(listed.log_policy(policy), best).item())
    return float(np.mean(found[-tail:])), found[0]


@pytest.mark.slow
def test_it_ends_near_the_closed_form_and_the_gap_is_explained():
    """The same run with one part changed at a time, printed: ppo as it is comes within 0.03 nats, from 2.6.

    trace_decay 1: no error of the critic reaches the mean of a gradient; the gap hardly moves, so the value function's
    part is small here. clip 50: no ratio is cut; the gap is larger, so the clip does not cause it. On-policy
    with trace_decay 1 both are gone, and what is left is noise of 256 completions at a constant learning rate.
    """
    whole, start = gaps()
    parts = {"trace_decay=1 (without the critic's bias)": {"trace_decay": 1.0}}
    parts |= {"clip=50 (without the clip)": {"clip": 50.0}, "whitened advantages": {"whiten": True}}
    parts |= {"on-policy, trace_decay=1 (noise and steps alone)": {"updates_per_batch": 1, "trace_decay": 1.0}}
    found = {name: gaps(**options)[0] for name, options in parts.items()}
    print(f"KL(pi || pi*) in nats, {start:.2f} at the start; ppo {whole:.4f}")
    for name, value in found.items():
        print(f"  {name}: {value:.4f}")
    assert start > 1 and whole < 0.03 and all(value < 0.1 for value in found.values())


def test_it_says_the_truth_about_itself():
    model, tokenizer = listed.fresh()
    policy, prior, rewards, _ = listed.optimal(model, tokenizer)
    steps, _ = train(12, model=(model, tokenizer), prompts_per_step=16, group_size=16)
    now, last = listed.log_policy(policy), steps[-1].metrics
    assert last["reward"] == pytest.approx(optimum.expected(now, rewards).item(), abs=0.15)
    assert last["kl"] == pytest.approx(optimum.kl(now, prior).item(), abs=0.4)
    assert last["objective"] == pytest.approx(last["reward"] - listed.BETA * last["kl"], abs=1e-5)
    assert last["gold"] == pytest.approx(last["reward"], abs=1e-6) and last["updates"] == 24
    assert last["explained_variance"] > 0.5 > steps[1].metrics["explained_variance"]
    assert steps[1].metrics["kl"] == pytest.approx(0, abs=1e-4)


# ---- the critic


def test_what_the_head_reads_makes_the_log_probabilities():
    model, tokenizer = listed.fresh()
    rollouts = sample(model, tokenizer, ["red grey", "blue"], 6, 3, seed=1)
    logp, entropy, read = score_tokens(model, rollouts, [7, 0, 3], entropy=True, hidden=True)
    logits = model.get_output_embeddings()(read).log_softmax(-1)
    again = logits.gather(2, rollouts.ids[[7, 0, 3], :, None])[..., 0]
    mask = rollouts.mask[[7, 0, 3]]
    assert not mask.all() and torch.allclose(again[mask], logp[mask], atol=1e-5) and not read[~mask].any()
    assert torch.allclose(logp, score_tokens(model, rollouts, [7, 0, 3]), atol=1e-6)
    assert torch.allclose(-(logits.exp() * logits).sum(-1)[mask], entropy[mask], atol=1e-5)


def test_the_critic_sees_no_later_token_and_starts_at_zero():
    critic = Critic(8, 5, seed=0)
    read = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    assert not critic(critic.features(read)).any()
    with torch.no_grad():
        critic.last.weight.fill_(1.0)
    values, later = critic(critic.features(read)), read.clone()
    later[:, 3:] *= torch.tensor([-1.0, 1.0]).repeat(4)
    changed = critic(critic.features(later))
    assert torch.equal(values[:, :3], changed[:, :3]) and (values[:, 3:] != changed[:, 3:]).all()
    other = Critic(8, 5, seed=0)
    assert torch.equal(critic.first.weight, other.first.weight) and values[0].unique().numel() == 5


def test_the_critic_learns_the_value_of_a_state():
    """Fitted to the rewards of a policy that stands still, V of the first state is E[r], and later ones explain r."""
    model, tokenizer = listed.fresh()
    _, prior, rewards, _ = listed.optimal(model, tokenizer)
    critic = Critic(32, listed.LENGTH, seed=0)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for seed in range(25):
        batch = draws.draw(
            model, tokenizer, listed.task(), rlhf.gold(listed.task()), [listed.PROBLEM] * 4, [""] * 4, 32, seed
        )
        rollouts = batch.rollouts
        mask, features = rollouts.mask, critic.features(score_tokens(model, rollouts, hidden=True)[1].detach())
        with torch.no_grad():
            values = critic(features)
        paid = ppo_losses.token_rewards(batch.rewards.flatten(), rollouts.logp, rollouts.logp, mask, 0.0)
        _, returns = ppo_losses.gae(paid, values, mask, 1.0, 1.0)
        if seed < 24:
            fit(critic, optimizer, features, values, returns, mask, 0.5)
    assert values[:, 0].std() < 1e-5  # one prompt, one first state
    assert values[0, 0].item() == pytest.approx(optimum.expected(prior, rewards).item(), abs=0.15)
    last = mask & ~torch.nn.functional.pad(mask[:, 1:], (0, 1))
    assert ppo_losses.explained(values, returns, last) > 0.6  # before the last token; no value knows that one


# ---- given beginnings (dataset reset)


def test_a_beginning_is_part_of_the_prompt_and_counts_towards_the_length():
    model, tokenizer = listed.fresh()
    seen = []

    def reward(rollouts, problems):
        seen.append((rollouts, problems))
        return torch.zeros(2, 16)

    starts = ["", "red red"]
    batch = draws.draw(model, tokenizer, listed.task(), reward, [listed.PROBLEM] * 2, starts, 16, seed=4)
    sampled, whole = batch.rollouts, seen[0][0]
    assert sampled.prompts == ["red grey", "red grey red red"] and whole.prompts == ["red grey"] * 2
    lengths = sampled.mask.sum(1)
    assert lengths[:16].max() == 3 and (lengths[16:] == 1).all()  # two of three words are given
    assert all(text.split()[:2] == ["red", "red"] for text in whole.text[16:])
    for row in (3, 16, 20):
        n = int(whole.mask[row].sum())
        words = tokenizer.decode(whole.ids[row, :n].tolist()).replace("<eos>", "").split()
        assert words == whole.text[row].split() and n == lengths[row] + 2 * (row >= 16)
        assert whole.logp[row, :n].sum().item() == pytest.approx(sampled.logp[row].sum().item())
    assert batch.tokens == int(lengths.sum()) and sampled.finish[16:].count("length") == sum(
        "red red " in text for text in whole.text[16:]
    )
    assert torch.allclose(score_tokens(model, sampled), sampled.logp, atol=1e-5)  # sampler = scorer
    worth = listed.task().reward(listed.parts(listed.PROBLEM, whole.text[20]))
    assert batch.judged[1, 4].item() == pytest.approx(worth, abs=1e-6)  # the whole completion is judged


def test_what_is_beyond_the_task_is_cut_before_anyone_looks():
    model, tokenizer = listed.fresh()
    rollouts = sample(model, tokenizer, ["red grey", "blue"], 8, 3, seed=2)
    room = torch.tensor([1] * 8 + [2] * 8)
    short = draws.cut(rollouts, room, tokenizer)
    lengths = rollouts.mask.sum(1)
    assert short.mask.sum(1).tolist() == torch.minimum(lengths, room).tolist() and short.ids.shape[1] == 2
    assert not short.logp[~short.mask].any()
    for row in range(16):
        words = rollouts.text[row].split()[: int(room[row])]
        assert short.text[row].split() == words
        assert short.finish[row] == ("length" if lengths[row] > room[row] else rollouts.finish[row])
    assert draws.cut(rollouts, torch.full((16,), 3), tokenizer) is rollouts


def test_no_gradient_flows_into_a_beginning():
    """A beginning that the policy finds unlikely, with nothing but equal rewards behind it, stays as unlikely."""
    model, tokenizer = listed.fresh()
    steps, _ = train(
        3,
        lambda rollouts, problems: torch.zeros(4, 8),
        model=(model, tokenizer),
        beta=0.0,
        prefixes=lambda problem, rng: "blue blue",
        log_rollouts_every=1,
    )
    before = weights(listed.fresh()[0])
    # The critic says 0, all rewards are 0: no advantage. Had the beginning been learnt like a demonstration, weights
    # would have moved by the learning rate.
    assert all(map(torch.equal, weights(model), before))
    assert all(row["prefix"] == "blue blue" and row["prompt"] == "red grey blue blue" for row in steps[1].rollouts)
    assert steps[-1].metrics["length"] == 1


def test_beginnings_are_drawn_from_the_seed():
    drawn = []

    def prefixes(problem, rng):
        drawn.append("red red" if rng.random() < 0.5 else "")
        return drawn[-1]

    first, model = train(3, prefixes=prefixes)
    once, drawn[:] = list(drawn), []
    second, other = train(3, prefixes=prefixes)
    assert once == drawn and len(once) == 12 and 0 < once.count("") < 12
    assert first == second and all(map(torch.equal, weights(model), weights(other)))


def test_a_beginning_is_judged_with_what_follows():
    begun, plain = (train(1, prefixes=prefixes)[0] for prefixes in (lambda problem, rng: "red red", None))
    assert begun[1].metrics["gold"] > plain[1].metrics["gold"] + 0.4  # red red is worth 1.2, or 0.7 if it ends there


def test_a_beginning_that_leaves_no_room_is_refused():
    with pytest.raises(ValueError, match=r"^prefix='red red red': must be of fewer tokens than max_new_tokens=3$"):
        train(1, prefixes=lambda problem, rng: "red red red")


@pytest.mark.parametrize(
    "text, more, whole", [("a b", "c", "a b c"), ("a\n", "c", "a\nc"), ("a", " c", "a c"), ("a", "", "a")]
)
def test_joined(text, more, whole):
    assert draws.joined(text, more) == whole


# ---- bits, rows, refusals


def test_the_same_seed_gives_the_same_bits_and_touches_no_global_state():
    options = {"log_rollouts_every": 2, "mini_batches": 2, "whiten": True}
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, model = train(3, **options)
    assert torch.equal(before, torch.get_rng_state())
    second, other = train(3, **options)
    assert first == second and all(map(torch.equal, weights(model), weights(other)))
    assert first[-1].metrics["updates"] == 12


def test_micro_batches_do_not_change_the_step():
    (first, one), (second, other) = (train(1, updates_per_batch=1, micro_batch=m) for m in (None, 5))
    assert first[1].metrics == pytest.approx(second[1].metrics, rel=1e-4, abs=1e-6)
    # Adam moves a weight by the learning rate however small its gradient: most weights must agree, not each.
    assert np.mean([(a - b).abs().mean().item() for a, b in zip(weights(one), weights(other), strict=True)]) < 2e-5


def test_an_adapter_learns_and_the_base_is_the_reference():
    base, tokenizer = listed.fresh()
    start = weights(base)
    with torch.random.fork_rng():  # PEFT draws from the global state
        torch.manual_seed(0)
        model = get_peft_model(base, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear"))
    steps, _ = train(6, model=(model, tokenizer), learning_rate=1e-2, beta=0.05)
    first, last = steps[1].metrics, steps[-1].metrics
    assert first["kl"] == pytest.approx(0, abs=1e-4) and last["kl"] > 0.2 and last["gold"] > first["gold"] + 0.3
    frozen = [p.detach() for name, p in model.named_parameters() if "lora_" not in name]
    assert len(frozen) == len(start) and all(map(torch.equal, frozen, start))


def test_rows_hold_a_number_for_each_token():
    steps, _ = train(2, log_rollouts_every=1, trace_decay=1.0)
    for row in steps[1].rollouts:
        assert len(row["tokens"]) == len(row["token_advantages"]) == len(row["values"])
        assert row["token_advantages"] == pytest.approx([row["reward"]] * len(row["tokens"]), abs=1e-4)  # V = 0, KL = 0
        assert row["advantage"] == pytest.approx(np.mean(row["token_advantages"]), abs=1e-5)
    assert any(any(row["values"]) for row in steps[2].rollouts)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"clip": 0}, "^clip=0: must be a finite number above 0$"),
        ({"value_clip": -1}, "^value_clip=-1: must be a finite number above 0$"),
        ({"trace_decay": 1.2}, r"^trace_decay=1.2: must be in \[0, 1\]$"),
        ({"mini_batches": 5}, "^mini_batches=5: must be at most prompts_per_step=4$"),
        ({"updates_per_batch": 0}, "^updates_per_batch=0: must be a positive integer$"),
        ({"beta": -1.0}, "^beta=-1.0: must be a number of at least 0$"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        train(1, **options)


def test_after_a_nan_reward_the_model_is_as_after_the_last_step(tmp_path):
    kept = []

    def reward(rollouts, problems):
        kept.append(weights(model))
        return rlhf.gold(listed.task())(rollouts, problems) / (float("nan") if len(kept) == 3 else 1)

    model, tokenizer = listed.fresh()
    with pytest.raises(FloatingPointError, match="step 3: reward=nan of problem 'red grey', group 0, sample 0"):
        train(4, reward, model=(model, tokenizer))
    assert all(map(torch.equal, weights(model), kept[2])) and not torch.equal(kept[1][0], kept[2][0])
    assert (tmp_path / "runs" / "failed" / "failed-step-3" / "batch.json").is_file()
