"""Answers to held-out problems as rows that `rlkit.widgets.SampleInspector` shows: no training step made them."""

from rlkit import checks


def answer_rows(tokenizer, rollouts, problems: list, reference=None, prompts: int | None = None) -> list:
    """One row of kind "sample" for each judged completion of the first `prompts` problems (None: of all).

    rollouts: from `lm.judge`. reference: log-probabilities [B, T] under another model, such as the base, for the heat
    map of the KL; or None. reward is the part "correct"; there is no advantage, since nothing was trained on. Lists of
    numbers are cut to the completion's tokens. Raises ValueError for rollouts that are not judged.
    """
    if rollouts.reward_parts is None:
        raise ValueError("rollouts: their reward_parts are None: must be judged (lm.judge)")
    size = rollouts.group_size
    prompts = len(problems) if prompts is None else min(checks.positive_int("prompts", prompts), len(problems))
    parts = {name: value.flatten().tolist() for name, value in rollouts.reward_parts.items()}
    found = []
    for row in range(prompts * size):
        group, sample = divmod(row, size)
        length = int(rollouts.mask[row].sum())
        ids = rollouts.ids[row, :length].tolist()
        numbers = {"logp_sampled": rollouts.logp, "logp_reference": reference}
        own = {name: values[row] for name, values in parts.items()}
        found.append(
            {
                "kind": "sample",
                "problem": problems[group].id,
                "group": group,
                "sample": sample,
                "prompt": rollouts.prompts[group],
                "completion": rollouts.text[row],
                "tokens": [tokenizer.decode([token]) for token in ids],
                **{name: value[row, :length].tolist() for name, value in numbers.items() if value is not None},
                "reward": own["correct"],
                "reward_parts": own,
                "finish_reason": rollouts.finish[row],
            }
        )
    return found
