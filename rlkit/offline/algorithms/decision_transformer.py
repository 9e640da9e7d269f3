"""Decision transformer: imitate the action that was taken on the way to a known return (Chen et al. 2021, 2106.01345).

Departures from the reference implementation:
1. Context 8, one layer of 32 units, batches of 16 windows, instead of 20, three layers of 128, 64: ten seeds on a CPU.
2. Adam at 1e-3 instead of AdamW at 1e-4 with warm-up and clipped gradients; no dropout.
3. Windows are padded on the right, where causal attention does not look, instead of on the left with a mask.
4. Layer norms have no gain and shift, and none follows the embedding; what is added to the residual stream has no bias.
5. Returns-to-go are normalised in each dataset; the reference divides them by a constant of each task.
6. The return asked for is the best of the dataset; the reference chooses one for each task.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline import evaluate
from rlkit.offline.heads import greedy, imitation
from rlkit.offline.rows import Agent, Rows, generator
from rlkit.offline.sequences import Player, Transformer, Windows, blank_actions


def sequence_loss(outputs: torch.Tensor, actions: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """sum m_t (-log pi(a_t | R_1, s_1, a_1, ..., R_t, s_t)) / sum m_t over steps that are real, m = 1: [S].

    outputs [S, B * K, A]; actions [S, B, K, A] or whole numbers [S, B, K]; real [S, B, K]. Up to constants: the squared
    error of tanh(outputs), or the cross entropy.
    """
    return (imitation(outputs, actions.flatten(1, 2)) * real.flatten(1)).sum(-1) / real.sum((1, 2))


def decision_transformer(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    context: int = 8,
    targets=(),
    width: int = 32,
    layers: int = 1,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score and imitation_loss, each [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed; `return` is what a policy makes that
    is asked for the best return of its dataset. context: K, steps that it sees. targets: other returns to ask for, e.g.
    (20, 60), reported as return@20 and return@60. width: d. batch_size: windows of K steps. shared: normalise,
    evaluate_every, episodes, simulator of `Rows`. agent: an Agent to look at while it trains; it acts as in the first
    step of an episode.
    """
    rows = Rows(dataset, seeds, batch_size=batch_size, **shared)
    windows, targets = Windows(rows, context), checks.finite("targets", targets) if len(targets) else ()
    model = Transformer(
        [generator(seed, "weights") for seed in rows.seeds],
        (rows.observation_size, rows.action_size),
        horizons=windows.horizons,
        width=width,
        layers=layers,
        learning_rate=learning_rate,
    )

    def first(x):  # the first action of an episode, asked for the best: [S, B, O] -> [S, B, A], or [S, B]
        wanted = windows.scaled(np.broadcast_to(windows.best[:, None], x.shape[:2]))
        start = (wanted[..., None], x[:, :, None], blank_actions(rows, *x.shape[:2], 1), torch.zeros(1, 1, 1).long())
        return greedy(model(*start), rows.discrete)

    def played(target):
        player = Player(model, windows, target)
        return torch.from_numpy(evaluate.returns(player, player.rows).mean(1))

    agent = (agent or Agent()).become(rows, act=first)
    for step, batch in rows.batches(steps):
        window = windows(batch.indices)
        loss = sequence_loss(model(*window[:4]), window.actions, window.real)
        model.descend(loss)
        if rows.due(step, steps):
            best, others = Player(model, windows, windows.best), {f"return@{t:g}": played(t) for t in targets}
            yield best.rows.report(step, best, imitation_loss=loss, **others)
