"""Reinforcement learning with verifiable rewards: objectives, the learner, experiments.

objectives  reinforce  rloo  grpo  dr_grpo  dapo  gspo  cispo  psr  nsr  w_reinforce  nft
            make(name, **options)  describe(objective)  names()  credit(objective, ...)
learner     train(model, tokenizer, task, objective, ...)  continued(learner, run)  evaluate(model, ...)
"""

from rlkit.rlvr import objectives
from rlkit.rlvr.evaluation import evaluate
from rlkit.rlvr.learner import continued, train
from rlkit.rlvr.objectives import (
    Objective,
    Weights,
    cispo,
    credit,
    dapo,
    describe,
    dr_grpo,
    grpo,
    gspo,
    make,
    names,
    nft,
    nsr,
    psr,
    reinforce,
    rloo,
    rows,
    w_reinforce,
)

__all__ = [
    "Objective",
    "Weights",
    "cispo",
    "continued",
    "credit",
    "dapo",
    "describe",
    "dr_grpo",
    "evaluate",
    "grpo",
    "gspo",
    "make",
    "names",
    "nft",
    "nsr",
    "objectives",
    "psr",
    "reinforce",
    "rloo",
    "rows",
    "train",
    "w_reinforce",
]
