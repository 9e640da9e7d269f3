"""Every hyper-parameter of reinforcement learning with verifiable rewards: the paper's, TRL's default, this kit's.

`table("grpo")` is a DataFrame, `html` and `markdown` the same to read; "lora" is about adapters and 4-bit weights.
The kit's column is read from the code when the table is made. TRL's is stored here with its version, and a test
compares each value with the TRL that is installed. A paper's value has its source; what a paper does not say stays
"not said". TRL's values hold once it has been asked for this loss (the row `loss`), with all else as it comes.
"""

import inspect
import math
from importlib import metadata

import pandas as pd

from rlkit import checks
from rlkit.html import GREY, escape
from rlkit.rlvr.default_facts import (
    ADVANTAGES,
    FIXED,
    NO_DEFAULT,
    NO_OPTION,
    NOT_IN_TRL,
    NOT_SAID,
    PAPERS,
    TOPICS,
    TRL,
    TRL_VERSION,
    WHY,
)

COLUMNS = ("objective", "topic", "hyper-parameter", "meaning", "paper", "paper's source")
COLUMNS += ("TRL", "TRL's source", "kit", "kit's source", "differ", "why it matters")


def _ratio(objective) -> str:
    """What the importance ratio is about: one token of two, e^2 times as likely as before, shows it by ratio_max."""
    import torch  # slow: only when a table is made

    from rlkit.rlvr import objectives

    weights = objectives.rows(objective.advantages([[1.0, 0.0]]))
    logp, mask = torch.tensor([[0.0, 2.0]] * 2), torch.ones(2, 2, dtype=torch.bool)
    _, info = objective.loss(logp, torch.zeros(2, 2), None, mask, weights, 1.0)
    return {2: "token", 1: "sequence, geometric mean"}[round(math.log(info["ratio_max"]))]


def _kit(name: str) -> dict:
    """hyper-parameter -> (value, source) of this kit, from the signatures of the objective, of train and of AdamW."""
    import torch

    from rlkit.rlvr import learner, losses, objectives

    objective = objectives.make(name)
    options = objectives.describe(objective)["options"]
    adamw = inspect.signature(torch.optim.AdamW).parameters
    found = {key: (p.default, f"train({key}=)") for key, p in inspect.signature(learner.train).parameters.items()}
    found |= {key: (value, f"{name}({key}=)") for key, value in options.items()} | FIXED
    found["loss"], found["ratio"] = (f"objectives.{name}()", ""), (_ratio(objective), "")
    found["advantage"] = (ADVANTAGES[name], "")
    found |= {"adam_betas": (adamw["betas"].default, "AdamW"), "adam_epsilon": (adamw["eps"].default, "AdamW")}
    if "ddof" in options:  # half the difference of two rewards, over their std plus epsilon
        half = losses.standardise(torch.tensor([[1.0, 0.0]], dtype=torch.float64), 0)[0, 0].item()
        found["std_epsilon"] = (round(0.5 / half - 0.5, 9), "losses.standardise")
    return found


def _adapter() -> dict:
    """The same for adapters and 4-bit weights, from rlkit.lm; raises ImportError without peft."""
    import torch

    from rlkit.lm import adapters, models

    small, large = adapters.lora_config(8), adapters.lora_config(16)
    alpha = "r" if (small.lora_alpha, large.lora_alpha) == (8, 16) else small.lora_alpha
    try:
        nested = adapters.quantization("nf4", torch.float32).bnb_4bit_use_double_quant
    except ImportError:  # bitsandbytes is not installed
        nested = "needs bitsandbytes"
    return {
        "rank": (NO_DEFAULT, "lm.load(lora=)"),
        "alpha": (alpha, "lm.load(lora=)"),
        "lora_dropout": (small.lora_dropout, "lm.load(lora=)"),
        "target_modules": (small.target_modules, "lm.load(lora=)"),
        "lora_learning_rate": (NO_DEFAULT, "train(learning_rate=)"),
        "adapter_dtype": ("float32", "lm.load(lora=)"),
        "quantize": (inspect.signature(models.load).parameters["quantize"].default, "lm.load(quantize=)"),
        "double_quantization": (nested, 'lm.load(quantize="nf4")'),
        "compute_dtype": ("bfloat16, or what the device has", "lm.load(dtype=)"),
    }


def _rows(name: str) -> list:
    """The rows of one objective, as COLUMNS: where the kit has the option, or the paper or TRL says something."""
    kit = _adapter() if name == "lora" else _kit(name)
    paper, trl, found = {"loss": PAPERS[name][:2]} | PAPERS[name][2], TRL[name], []
    for topic, meanings in TOPICS.items():
        for key, meaning in meanings.items():
            if not (key in kit or key in paper or key in trl) or (key == "loss" and name == "lora"):
                continue
            here, where = kit.get(key, (NO_OPTION, ""))
            here = "none" if here is None else NO_DEFAULT if here is inspect.Parameter.empty else here
            said, source = paper.get(key, (NOT_SAID, ""))
            theirs, field = trl.get(key, (NOT_IN_TRL, ""))
            known = [("paper", said, NOT_SAID), ("TRL", theirs, NOT_IN_TRL)]
            differ = [] if key == "loss" else [who for who, value, nothing in known if value not in (nothing, here)]
            why = WHY.get((name, key), WHY.get(key, "")) if differ else ""
            cells = map(_shown, (said, source, theirs, field, here, where))
            found.append((name, topic, key, meaning, *cells, ", ".join(differ), why))
    return found


def _shown(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def _names(objective) -> list:
    checks.one_of("objective", objective, (None, *PAPERS))
    return list(PAPERS) if objective is None else [objective]


def _title(name: str, rows: list) -> str:
    differ = sum(bool(row[-2]) for row in rows)
    return f"{name} ({PAPERS[name][0]}, {PAPERS[name][1]}): {differ} of {len(rows)} rows differ"


def trl_version() -> str:
    """The TRL that the tables are about, and which one is installed where it is another one or none."""
    try:
        installed = metadata.version("trl")
    except metadata.PackageNotFoundError:
        return f"TRL {TRL_VERSION} (not installed here)"
    return f"TRL {TRL_VERSION}" + ("" if installed == TRL_VERSION else f" ({installed} is installed here)")


def table(objective=None) -> pd.DataFrame:
    """One row per hyper-parameter of an objective or of "lora"; None: of all of them. Every cell is text.

    Columns: objective, topic (loss, sampling, updates, adapter), hyper-parameter (its name in this kit), meaning;
    paper, TRL and kit, each with its source; differ (which of paper and TRL differ from the kit), why it matters.
    "not said": the paper leaves it open. "no default": the caller has to give it. "none": switched off.
    The name of the columns is the version of TRL. Raises ValueError for an unknown objective.
    """
    frame = pd.DataFrame([row for name in _names(objective) for row in _rows(name)], columns=COLUMNS)
    frame.columns.name = trl_version()
    return frame


def html(objective=None) -> str:
    """The table as HTML, one part per objective that opens and closes; "≠" and bold mark what differs from the kit."""
    cell = 'style="text-align:left;vertical-align:top;padding:3px 12px 3px 0;border-top:1px solid #80808055"'
    heads = ("", "paper", trl_version(), "this kit", "why it matters")
    head = "".join(f'<th {cell} scope="col">{escape(text)}</th>' for text in heads)

    def small(text: str) -> str:
        style = "font-weight:normal;opacity:0.8;overflow-wrap:anywhere"
        return f'<br><small style="{style}">{escape(text)}</small>' if text else ""

    def one(value: str, source: str, marked=False) -> str:
        text = f"<strong>≠ {escape(value)}</strong>" if marked else escape(value)
        text = f'<span style="opacity:0.65">{text}</span>' if value in (NOT_SAID, NOT_IN_TRL) else text
        return f"<td {cell}>{text}{small(source)}</td>"

    parts = []
    for name in _names(objective):
        rows, body, group = _rows(name), "", None
        for _, topic, key, meaning, said, source, theirs, field, here, where, differ, why in rows:
            if topic != group:
                body += f'<tr><th {cell} colspan="5" scope="colgroup"><em>{escape(topic)}</em></th></tr>'
                group = topic
            body += f'<tr><th {cell} scope="row"><code>{escape(key)}</code>{small(meaning)}</th>'
            body += one(said, source, "paper" in differ) + one(theirs, field, "TRL" in differ) + one(here, where)
            body += f'<td {cell}><div style="min-width:15em">{escape(why)}</div></td></tr>'
        title = escape(_title(name, rows))
        parts.append(
            f'<details{" open" if objective else ""} style="border:1px solid {GREY};border-radius:6px;padding:6px 12px;'
            f'margin:0 0 8px;color:inherit"><summary style="cursor:pointer"><strong>{title}</strong></summary>'
            f'<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{title}">'
            f'<table style="border-collapse:collapse;line-height:1.35;color:inherit;background:transparent">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
        )
    return f'<div class="rlkit-defaults">{"".join(parts)}</div>'


def markdown(objective=None) -> str:
    """The table as Markdown, a heading and a table per objective, sources in brackets, "≠" for what differs."""

    def plain(text: str) -> str:
        return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())

    def one(value: str, source: str, marked=False) -> str:
        text = f"**≠ {plain(value)}**" if marked else plain(value)
        return f"{text} ({plain(source)})" if source else text

    lines, heads = [], ("", "paper", plain(trl_version()), "this kit", "why it matters")
    for name in _names(objective):
        rows = _rows(name)
        lines += [f"### {plain(_title(name, rows))}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for _, _, key, meaning, said, source, theirs, field, here, where, differ, why in rows:
            cells = [f"`{key}`: {plain(meaning)}", one(said, source, "paper" in differ)]
            cells += [one(theirs, field, "TRL" in differ), one(here, where), plain(why)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)
