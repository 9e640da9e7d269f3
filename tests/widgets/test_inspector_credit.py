"""Token credit of stored rows: against arithmetic, for whole groups only, and a line where it cannot be had."""

import numpy as np
import pytest

pytest.importorskip("torch")

from rlkit.rlvr import objectives
from rlkit.widgets import rollout_rows
from rlkit.widgets.rollout_credit import credit
from tests.widgets.inspector_runs import completions


def row(group, reward, old, new=None, **more):
    return {"group": group, "reward": reward, "logp_sampled": old, "logp_new": new or old} | more


def config(name, **options):
    return {"objective": {"name": name, "options": options}}


def found(rows, about, at="logp_sampled"):
    return credit(rollout_rows.index(rows), about, at=at)


PAIR = [row(0, 1.0, [-1.0, -1.0]), row(0, 0.0, [-1.0, -1.0, -1.0, -1.0])]


def test_credit_is_the_advantage_times_the_weight_of_a_token():
    made, words = found(PAIR, config("dr_grpo"))
    assert made[0] == pytest.approx([0.5, 0.5]) and made[1] == pytest.approx([-0.5] * 4)
    assert "dr_grpo" in words and "Left out" not in words
    made, _ = found(PAIR, config("grpo", ddof=0))  # each completion weighs the same: its tokens share the advantage
    advantage = 0.5 / (0.5 + 1e-4)
    assert made[0] == pytest.approx([advantage / 2] * 2) and made[1] == pytest.approx([-advantage / 4] * 4)


def test_after_the_updates_a_clipped_token_has_none():
    rows = [row(0, 1.0, [-1.0, -1.0], [-0.5, -0.9]), row(0, 0.0, [-1.0], [-2.0])]
    made, _ = found(rows, config("dr_grpo", clip_low=0.2, clip_high=0.2), at="logp_new")
    ratio = np.exp(0.1)  # of the second token; the first, at 1.65, is above 1.2
    assert made[0] == pytest.approx([0.0, 0.5 * ratio]) and made[1] == pytest.approx([0.0])


def test_masked_tokens_have_no_credit():
    rows = [row(0, 1.0, [-1.0, 5.0, -1.0], mask=[1, 0, 1]), row(0, 0.0, [-1.0])]
    made, _ = found(rows, config("dr_grpo"))
    assert np.array_equal(made[0], [0.5, np.nan, 0.5], equal_nan=True)


def test_it_is_the_credit_that_the_objective_itself_gives():
    import torch

    rows = completions(10)
    for name in objectives.names():
        made, words = found(rows, config(name, **({"beta": 0.04} if name == "grpo" else {})), at="logp_new")
        assert len(made) == len(rows), words
        objective = objectives.make(name, **({"beta": 0.04} if name == "grpo" else {}))
        longest = max(len(r["tokens"]) for r in rows)

        def padded(column, rows=rows, longest=longest):
            return torch.tensor([r[column] + [0.0] * (longest - len(r[column])) for r in rows], dtype=torch.float64)

        mask = torch.tensor([[1] * len(r["tokens"]) + [0] * (longest - len(r["tokens"])) for r in rows]) > 0
        weights = objective.advantages(torch.tensor([r["reward"] for r in rows], dtype=torch.float64).reshape(6, 8))
        normaliser = objective.normaliser(mask.reshape(6, 8, longest), weights, longest)
        reference = padded("logp_reference") if objective.needs_reference else None
        columns = padded("logp_new"), padded("logp_sampled"), reference
        wanted = objectives.credit(objective, *columns, mask, objectives.rows(weights), normaliser)
        for i, line in made.items():
            assert line == pytest.approx(wanted[i][: len(line)].tolist(), abs=1e-9), name


def test_groups_that_are_not_whole_are_left_out_and_counted():
    rows = [*PAIR, row(1, 1.0, [-1.0]), row(2, float("nan"), [-1.0]), row(2, 1.0, [-1.0]),
            row(3, 1.0, [-1.0]), row(3, 0.0, ["x"]), row(4, 1.0, [-1.0]), row(4, 0.0, [-3.0])]  # fmt: skip
    made, words = found(rows, config("dr_grpo"))
    assert sorted(made) == [0, 1, 7, 8] and "Left out: 5 completions" in words


def test_each_arm_and_seed_is_a_batch_of_its_own():
    alone, _ = found(PAIR, config("reinforce", baseline="batch"))
    other = [row(0, 9.0, [-1.0], seed=1), row(0, 9.0, [-1.0], seed=1)]
    both, _ = found([r | {"seed": 0} for r in PAIR] + other, config("reinforce", baseline="batch"))
    assert both[0] == pytest.approx(alone[0]) and both[2] == pytest.approx([0.0])


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "run.config['objective'] has none"),
        ({"objective": "grpo"}, "run.config['objective'] has none"),
        (config("grop"), "name='grop': must be one of"),
        (config("grpo", epsilon=1), "makes no objective"),
        (config("grpo", beta=0.1), "needs logp_reference"),
    ],
)
def test_what_is_missing_is_said_in_a_line(about, words):
    made, said = found(PAIR, about)
    assert made == {} and words in said and "\n" not in said


def test_rewards_that_the_objective_refuses_are_said_too():
    made, said = found([row(0, 1.0, [-1.0]), row(1, 0.0, [-1.0])], config("grpo"))
    assert made == {} and "refuses these rewards" in said
    assert found([], config("grpo"))[0] == {}
