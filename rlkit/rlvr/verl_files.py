"""The files of an export to verl: the texts of reward.py, run.sh and README.md, and the rows of the data set."""

import json
import keyword
import re
import sys
from pathlib import Path

from rlkit import checks

REWARD = '''"""The reward of each completion, by rlkit's own verifier; rlkit must be installed where verl runs.

Written by rlkit.rlvr.verl.export_verl. The ground truth of a row is its problem: id, prompt and facts, as JSON.
"""

import json

from {module} import {function} as verify

from rlkit.lm.tasks import Problem

WEIGHTS = {weights}


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """score: the reward that trains. acc: 1 for a correct answer, what verl's evaluations are about. reward_<part>."""
    parts = verify(Problem(**json.loads(ground_truth)), solution_str)
    score = float(sum(weight * parts[part] for part, weight in WEIGHTS.items() if weight))
    return {{"score": score, "acc": parts["correct"]}} | {{f"reward_{{name}}": value for name, value in parts.items()}}
'''

RUN = """#!/bin/sh
# Train with verl on what lies beside this file. More settings of verl may follow: sh run.sh trainer.n_gpus_per_node=4
here=$(cd "$(dirname "$0")" && pwd)
exec python3 -m verl.trainer.main_ppo --config-path "$here" --config-name config \\
  "data.train_files='$here/train.parquet'" "data.val_files='$here/test.parquet'" \\
  "reward.custom_reward_function.path='$here/reward.py'" "$@"
"""

README = """# {title}

Written by rlkit for verl 0.9.1. Where verl, vLLM and rlkit (`pip install rlkit-notebooks`) are installed:

    sh run.sh trainer.n_gpus_per_node=8

| file | what it is |
|---|---|
| train.parquet, test.parquet | {train} and {test} rows in verl's format: a user message, and the problem as JSON |
| reward.py | the verifier of the task, called for each completion |
| config.yaml | {objective} and the settings of the training in verl's names, on top of verl's own ppo_trainer |

What differs from rlkit.rlvr.train with the same settings:

1. The prompt goes through the model's chat template, which it must have; special tokens are cut from what is judged.
2. vLLM samples, and the actor scores the tokens again in bfloat16: sampler and scorer are not one distribution.
3. verl divides by std + 1e-6, rlkit by std + 1e-4; it cuts log-ratios to 20, and k3 to 10.
4. The order of problems and all random numbers are other ones, each epoch drops the rest of an uneven batch, and a
   mini-batch may hold a part of a group.
5. max_prompt_length is a bound, one token a byte and {template} for the template: lower it where memory is short.
"""


def verifier_of(task) -> dict:
    """What reward.py is made of: module and name of the function that judges, and the weights of its parts."""
    module, name = getattr(task.parts, "__module__", None), getattr(task.parts, "__qualname__", "")
    plain = all(word.isidentifier() and not keyword.iskeyword(word) for word in [*str(module).split("."), name])
    if module == "__main__" or not plain or getattr(sys.modules.get(module), name, None) is not task.parts:
        checks.fail(
            "task.parts", task.parts, "a function of a module: verl's workers import it, no notebook's or lambda"
        )
    for part, weight in task.weights.items():
        checks.finite(f"task.weights[{part!r}]", weight)
    return {"module": module, "function": name, "weights": {str(p): float(w) for p, w in task.weights.items()}}


def rows(task, problems: list, split: str) -> list:
    """The rows of a split in verl's format, one for each problem."""
    ability = re.sub(r"[^A-Za-z0-9._-]", "-", task.name.split("(")[0])
    made = []
    for index, problem in enumerate(problems):
        try:
            truth = json.dumps(problem._asdict(), allow_nan=False)
            same = json.loads(truth) == problem._asdict()
            f"{problem.prompt}{problem.id}{task.name}".encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"problem {problem.id!r}: must be text and facts that JSON can hold ({error})") from None
        if not same:
            raise ValueError(
                f"problem {problem.id!r}: its facts must come back from JSON as they are: lists, no tuples"
            )
        made.append(
            {
                "data_source": task.name,
                "prompt": [{"role": "user", "content": problem.prompt}],
                "ability": ability,
                "reward_model": {"style": "rule", "ground_truth": truth},
                "extra_info": {"split": split, "index": index, "problem": problem.id},
            }
        )
    return made


def save(rows: list, file: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ImportError(f'export_verl needs {error.name}: pip install "rlkit-notebooks[trl]"') from None
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
