"""A Run as the canonical JSON of UNIPO, the viewer of policy optimisation (arXiv 2605.11549); unipo_reader.py reads it.

Schema: docs/canonical_schema.json of poloclub/unipo. Public as rlkit.rlvr.exchange.write_unipo and read_unipo.
"""

import itertools
import json
import math
from pathlib import Path

import torch

from rlkit import checks, paths
from rlkit.rlvr import objectives
from rlkit.rlvr.losses import kl_estimate
from rlkit.runs import Run

# UNIPO's name -> ours; a name that is not here is the same in both.
METRICS = {"policy_loss": "loss", "grad_norm": "gradient_norm", "response_length": "length", "clip_fraction": "clipped"}
FIELDS = {"reward": "reward", "advantage": "advantage", "response_text": "completion"}
TOKENS = {"ids": "token_ids", "strings": "tokens", "log_probs": "logp_new", "old_log_probs": "logp_sampled"}
TOKENS |= {"ref_log_probs": "logp_reference", "values": "values", "returns": "returns", "rewards": "token_rewards"}
TOKENS |= {"advantages": "advantages"}  # ours only where they differ from token to token
KNOWN = {"step", "kind", "prompt", *FIELDS.values(), *TOKENS.values()}
CELL = ("arm", "seed")  # labels of a sweep: a batch of its own each


def write_unipo(run: Run, path) -> Path:
    """Write the completions and metrics of a run as UNIPO's canonical JSON; returns the path.

    One entry for each step: its metrics (loss as policy_loss and, with the other sign, as policy_objective;
    gradient_norm as grad_norm, length as response_length, clipped as clip_fraction, others under their own names) and
    its rows of kind "sample", one prompt for each group. Of a token, log_probs is logp_new, by the policy after the
    step's updates, old_log_probs is logp_sampled, ref_log_probs logp_reference, and
      token_kl         estimate of KL(pi || pi_ref), by objectives' kl_estimate, of the objective's kind (k3 without);
      token_objective  what the token has in the objective before any average, minus objective.loss of it alone: for
                       grpo min(rho A, clip(rho) A) - beta token_kl with rho = exp(log_probs - old_log_probs); 0 for a
                       completion that the objective leaves out. Where run.config["objective"] says the objective (as
                       objectives.describe does), and all groups of the step have one size.
    header: algorithm is the objective's name (else "unknown"); hparams has clip_eps, kl_coef, kl_estimator, group_size,
    and the config's own texts and numbers.

    Numbers of a row that UNIPO knows not (entropy, reward_parts, finish_reason, labels) and the config stand under
    `rlkit` in the response and in the header, which UNIPO's tool passes over and read_unipo reads: so the rows and
    metrics of a run written and read back are the same. What the format cannot hold: rows of other kinds (evaluations,
    curves); infinity, which becomes null as NaN does, and comes back as NaN; versions, git and how the run ended.
    The file is strict JSON in ASCII: text that no encoding takes, such as half a surrogate pair, is escaped. The token
    objectives take about 0.2 ms a token.

    path: relative to the repository, as runs are. Raises ValueError for metrics that are one number per seed, for which
    UNIPO has no place, and for a run without steps.
    """
    records = run._rollouts.refresh()  # as logged: a table would turn what a row lacks into NaN
    rows, metrics = {}, {}
    for row in records:
        if row.get("kind", "sample") in ("sample", None):
            rows.setdefault(row["step"], []).append(row)
    for record in run._steps():
        metrics.setdefault(record["step"], {}).update(record["metrics"])
    if not rows and not metrics:
        raise ValueError(f"run {run.name!r}: nothing is logged yet: must have at least one step")
    described = run.config.get("objective")
    described = described if isinstance(described, dict) and "name" in described else None
    objective = None if described is None else objectives.make(described["name"], **described.get("options", {}))
    entries = [
        {"step": step, "is_first_step_after_rollout_phase": True, "metrics": _metrics(metrics.get(step, {}))}
        | {"prompts": _prompts(step, rows.get(step, []), objective)}
        for step in sorted({*rows, *metrics})
    ]
    document = {"header": _header(run, objective, rows, entries[-1]["step"]), "entries": entries}
    file = paths.home() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_finite(document), allow_nan=False) + "\n", encoding="ascii")
    return file


def _header(run: Run, objective, rows: dict, last: int) -> dict:
    config, first = run.config, next(iter(rows.values()), [{}])
    task = config.get("task", "")
    task = task.get("name", "") if isinstance(task, dict) else task
    hparams = {name: value for name, value in config.items() if isinstance(value, str | int | float)}
    hparams.setdefault("group_size", max(len(group) for group in _groups(first)))
    if objective is not None:
        options = objective.options
        hparams |= {"kl_coef": options["beta"], "kl_estimator": options["kl"]}
        if options.get("clip_low") and options.get("clip_high"):
            hparams["clip_eps"] = [options["clip_low"], options["clip_high"]]
    header = {"task": str(task), "dataset": str(config.get("dataset", task)), "totalSteps": last}
    header |= {"reward_strategy": " + ".join(first[0].get("reward_parts") or ["unknown"])}
    header |= {"algorithm": "unknown" if objective is None else objective.name, "hparams": hparams}
    return header | {"rlkit": {"name": run.name, "config": config}}


def _metrics(values: dict) -> dict:
    for name, value in values.items():
        if isinstance(value, list):
            checks.fail(f"metrics[{name!r}]", value, "one number per step: UNIPO has no place for seeds")
    theirs = {ours: name for name, ours in METRICS.items()}
    objective = {"policy_objective": -values["loss"]} if "loss" in values else {}
    return objective | {theirs.get(name, name): value for name, value in values.items()}


def _groups(rows: list) -> list:
    """The rows in stretches of one arm, seed, group and prompt."""
    keys = (*CELL, "group", "prompt")
    return [list(g) for _, g in itertools.groupby(rows, lambda row: [row.get(key) for key in keys])]


def _prompts(step: int, rows: list, objective) -> list:
    values = _token_objectives(rows, objective)
    prompts, at = [], 0
    for p, group in enumerate(_groups(rows)):
        responses = [_response(f"step{step}_p{p}_sample{i}", row, objective) for i, row in enumerate(group)]
        for response in responses:
            if at in values:
                response["tokens"]["token_objective"] = values[at]
            at += 1
        prompts.append({"prompt": group[0].get("prompt", ""), "responses": responses})
    return prompts


def _response(name: str, row: dict, objective) -> dict:
    found = {"id": name} | {theirs: row[ours] for theirs, ours in FIELDS.items() if ours in row}
    tokens = {theirs: row[ours] for theirs, ours in TOKENS.items() if isinstance(row.get(ours), list)}
    if "log_probs" in tokens and "ref_log_probs" in tokens:
        new, reference = (torch.tensor(row[column], dtype=torch.float64) for column in ("logp_new", "logp_reference"))
        tokens["token_kl"] = kl_estimate(new, reference, objective.options["kl"] if objective else "k3").tolist()
    if tokens:
        length = len(next(iter(tokens.values())))
        found |= {"response_length": length, "tokens": tokens}
        if "advantage" in row:
            tokens.setdefault("advantages", [row["advantage"]] * length)
    return found | {"rlkit": {name: value for name, value in row.items() if name not in KNOWN}}


def _token_objectives(rows: list, objective) -> dict:
    """Position of a row -> the objective's value at each of its tokens."""
    columns = ("reward", "logp_new", "logp_sampled")
    if objective is None or not all(column in row for row in rows for column in columns):
        return {}
    found = {}
    for cell in dict.fromkeys(repr([row.get(label) for label in CELL]) for row in rows):
        chosen = [i for i, row in enumerate(rows) if repr([row.get(label) for label in CELL]) == cell]
        groups = _groups([rows[i] for i in chosen])
        if len({len(group) for group in groups}) == 1:
            weights = objectives.rows(objective.advantages([[row["reward"] for row in group] for group in groups]))
            for b, i in enumerate(chosen):
                found[i] = _values(objective, rows[i], objectives.Weights(*(field[b : b + 1] for field in weights)))
    return found


@torch.no_grad()
def _values(objective, row: dict, weights) -> list:
    """Minus the loss of each token alone [T]: nothing is averaged, and the normaliser is 1."""
    columns = ("logp_new", "logp_sampled", "logp_reference")
    new, old, reference = (torch.tensor(row[c], dtype=torch.float64) if c in row else None for c in columns)
    if objective.name == "gspo":  # its ratio is that of the whole completion: every token alone gets that one
        shift = (new - old).mean() - (new - old)
        new, reference = new + shift, None if reference is None else reference + shift
    mask, found = torch.ones(1, 1, dtype=torch.bool), []
    for t in range(len(new)):
        one = (None if logp is None else logp[None, t : t + 1] for logp in (new, old, reference))
        found.append(-objective.loss(*one, mask, weights, 1.0)[0].item())
    return found


def _finite(value):
    """The value with None for every NaN and infinity in it: strict JSON has no word for them."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
