"""The card of a shipped model: what it was trained on, how, from which seed, and what it scores."""

import hashlib
import json
from pathlib import Path

from rlkit import checks, paths
from rlkit.lm import tasks


def names() -> list:
    """The shipped models: every folder of data/models that holds a card, in alphabetical order."""
    return sorted(card.parent.name for card in paths.data("models").glob("*/card.json"))


def card(name: str) -> dict:
    """The card of a shipped model: corpus, seed, steps, hash, base pass@k. Raises ValueError for an unknown name."""
    checks.one_of("name", name, names())
    return json.loads((paths.data("models") / name / "card.json").read_text(encoding="utf-8"))


def task(described: dict) -> tasks.Task:
    """The task that a card describes: {"factory": "countdown", "numbers": 4, ...}."""
    options = {name: value for name, value in described.items() if name != "factory"}
    return getattr(tasks, described["factory"])(**options)


def sha256(folder: Path) -> str:
    """The hash of a model's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def readme(card: dict) -> str:
    """A card as a page to read."""
    found, count, steps = card["evaluation"], len(card["scan"]), f"{card['steps']:,} updates"
    samples = f"{found['samples']} samples each at temperature {found['temperature']:g}"
    rule = (
        f"taken by the rule {json.dumps(card['rule'])} from {count} tried (`scan` in card.json)" if card["rule"] else ""
    )
    shown = [", ".join(["problem", "rng", *_calls(part["style"])]) for part in card["corpus"]]
    corpus = [
        f"- {part['of']} problems, {part['share']:.0%}: `demonstrate({options})`"
        for part, options in zip(card["corpus"], shown, strict=True)
    ]
    which = "train" if found["split"] != "all" else "random"
    words = [
        f"- `{word}` opens {one['share']:.1%} of the completions; {one['correct']:.1%} of these are correct."
        for word, one in found["first_words"].items()
    ]
    kinds = [
        f"- {name} are {one['share']:.0%} of the problems; {one['correct']:.1%} of their completions are correct."
        for name, one in found["kinds"].items()
    ]
    curves = [
        f"| {label} | " + " | ".join(f"{value:.3f}" for value in found[key].values()) + " |"
        for label, key in (("this model", "pass@k"), ("blind guessing", "guess pass@k"))
        if found[key]  # some tasks have no blind guess to count
    ]
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            f"Size {card['size'].upper()}, {card['parameters']:,} parameters, for `tasks.{_factory(card['task'])}`.",
            *([f"A base for reinforcement learning, {rule}."] if rule else []),
            *([card["note"]] if card["note"] else []),
            "",
            f"Trained from nothing by {steps} on {card['batch']} demonstrations of {which} problems each: AdamW, peak",
            f"learning rate {card['learning_rate']}, weight decay {card['weight_decay']}, seed {card['seed']}, "
            f"{card['cpu_seconds']} CPU-seconds.",
            "The corpus:",
            "",
            *corpus,
            "",
            f"pass@k on {found['problems']} {'' if which == 'random' else found['split'] + ' '}problems, {samples}:",
            "",
            "| k | " + " | ".join(found["pass@k"]) + " |",
            "|---" * (len(found["pass@k"]) + 1) + "|",
            *curves,
            "",
            *([*words, ""] if words else []),
            *([*kinds, ""] if len(kinds) > 1 else []),
            f"`{card['command']}` trains it again and compares. The same machine and versions give the same",
            "bits; others give the same evaluation up to chance.",
            "",
            f"sha256 of model.safetensors: `{card['sha256']}`",
            "",
        ]
    )


def _calls(options: dict) -> list:
    return [f"{name}={value!r}" for name, value in options.items()]


def _factory(described: dict) -> str:
    return f"{described['factory']}({', '.join(_calls({k: v for k, v in described.items() if k != 'factory'}))})"
