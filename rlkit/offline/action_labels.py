"""Actions for episodes that have none: networks fitted to the labelled rows of S datasets side by side.

What an inverse model sees and minimises is the caller's: notebooks/03_offline/ss_orl.ipynb has one. A forward model to
label with, its rival, is here.
"""

import numpy as np
import torch
from scipy.spatial import cKDTree

from rlkit import checks
from rlkit.offline import transforms
from rlkit.offline.networks import Network

BATCH, CHUNK = 256, 6_000  # labelled rows of a step of `fit`; rows that `search` takes at once


def keep_worst(dataset, share):
    """(the dataset with the actions of its worst episodes alone, those episodes): by return, ties to the earlier.

    share: of the episodes, in (0, 1), rounded down. Raises ValueError where that leaves none or all of them.
    """
    order = np.argsort(dataset.returns, kind="stable")
    few = int(checks.positive("share", share) * len(order) + 1e-9)
    if not 0 < few < len(order):
        checks.fail("share", share, f"one that labels some of {len(order)} episodes and not all")
    return transforms.hide_actions(dataset, order[few:]), dataset.episodes(order[:few])


def standard(sets, inputs):
    """(x [S, N, in], known [S, N]): inputs in deviations of each dataset's labelled rows, and which rows those are.

    sets: S datasets of N rows, some without actions; inputs: for each the numbers [N, in] that a model sees. x has mean
    0 and deviation 1 on the labelled rows (deviation + 1e-6). Raises ValueError where the numbers of rows differ, or
    those of labelled rows, or there are none.
    """
    known = [~transforms.hidden_rows(data) for data in sets]
    counts = [(len(rows), int(rows.sum())) for rows in known]
    if len(set(counts)) > 1 or not counts or not counts[0][1]:
        checks.fail("rows, labelled rows", counts, "the same in all datasets, and some of them labelled")
    scaled = [(x - x[rows].mean(0)) / (x[rows].std(0) + 1e-6) for x, rows in zip(inputs, known, strict=True)]
    return torch.tensor(np.stack(scaled), dtype=torch.float32), torch.tensor(np.stack(known))


def fit(x, y, known, loss, outputs, seeds, *, salt, steps=2_000, rate=1e-2):
    """One 64 x 64 network a seed, x [S, N, in] -> [S, 1, N, outputs], fitted to the known rows [S, N]; no gradients.

    loss(outputs [S, B, ...], y [S, B, ...]) -> [S]. Adam on batches of 256, its rate falling linearly to 0. Seed and
    salt alone decide weights and batches, so that a seed's network does not depend on the other seeds.
    """
    x, y = (torch.stack([a[rows] for a, rows in zip(both, known, strict=True)]) for both in (x, y))  # [S, labelled, ..]
    draws = [np.random.default_rng([checks.seed(seed), 24, salt]) for seed in seeds]
    net, row = Network(draws, (x.shape[-1], 64, 64, outputs), learning_rate=rate), torch.arange(len(draws))[:, None]
    for step in range(checks.positive_int("steps", steps)):
        net.optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        chosen = torch.tensor(np.stack([draw.integers(x.shape[1], size=BATCH) for draw in draws]))  # [S, B]
        net.descend(loss(net(x[row, chosen], 0), y[row, chosen]))
    return net.frozen()


def forward_labels(sets, before, after, seeds, *, salt, steps=2_000):
    """Labels [S, N, A]: the action for which a forward model's prediction f(before, a) is closest to `after`.

    before, after: for each of S datasets what the model sees and predicts, [N, in] and [N, out]. The model is fitted to
    the labelled rows by least squares, all numbers in deviations of those rows; then `search`.
    """
    (x, known), (y, _) = standard(sets, before), standard(sets, after)
    actions = torch.tensor(np.stack([data.actions for data in sets]))
    both = torch.cat((x, actions), -1)
    net = fit(both, y, known, _squares, y.shape[-1], seeds, salt=salt, steps=steps)
    return search(net, x, y, actions.shape[-1])


def _squares(out, y):
    return (out - y).square().mean((-1, -2))


def search(net, given, target, size, *, steps=30, rate=0.15):
    """The actions [S, N, size] in [-1, 1] that minimise |net(given, action) - target|^2, by Adam from 0.

    given [S, N, in - size], target [S, N, out], in the units that net was fitted in.
    """
    found = []
    for a, b in zip(given.split(CHUNK, 1), target.split(CHUNK, 1), strict=True):
        guess = torch.zeros(*a.shape[:2], size, requires_grad=True)
        adam = torch.optim.Adam([guess], lr=rate)
        for _ in range(steps):
            error = (net(torch.cat((a, guess), -1), 0) - b).square().sum()  # a sum: no row feels another
            guess.grad = torch.autograd.grad(error, guess)[0]
            adam.step()
            guess.data.clamp_(-1, 1)
        found.append(guess.detach().numpy())
    return np.concatenate(found, axis=1)


def distances(dataset, inputs, rows):
    """How far each of `rows` is from the nearest labelled row: Euclidean, of inputs [N, in] in `standard`'s units."""
    (x,), (known,) = (array.numpy() for array in standard([dataset], [inputs]))
    return cKDTree(x[known]).query(x[rows])[0]


def filled(sets, labels):
    """The datasets with labels [S, N, A] where they have no actions; known actions stay."""
    guessed = [np.where(transforms.hidden_rows(d)[:, None], a, d.actions) for d, a in zip(sets, labels, strict=True)]
    return [transforms.relabel_actions(data, actions) for data, actions in zip(sets, guessed, strict=True)]


def errors(full, free, labels):
    """Mean |action - label| on action-free rows, over rows and axes, by who played the episode: group -> [S].

    full: the datasets with all true actions, free: the same without; labels [S, N, A]. Groups: the qualities in
    facts["episode_quality"], and "expert, paid": the expert's rows with a reward. NaN where a group has no row.
    """
    found = {}
    for data, hidden, guessed in zip(full, free, labels, strict=True):
        error = np.abs(guessed - data.actions).mean(axis=1)
        who = np.array(data.facts["episode_quality"])[data.episode_of]
        rows = {name: transforms.hidden_rows(hidden) & (who == name) for name in data.facts["quality"]}
        rows["expert, paid"] = rows["expert"] & (data.rewards > 0)
        for group, chosen in rows.items():
            found.setdefault(group, []).append(float(error[chosen].mean()) if chosen.any() else np.nan)
    return {group: np.array(values) for group, values in found.items()}


def errors_where(full, free, labels, where):
    """Mean |action - label| inside a mask and outside it, by who played the episode: who -> three numbers.

    full, free, labels: as in `errors`; where: a mask [N, A] for each dataset. The numbers are the share of action-free
    rows x axes inside the mask, the error there and the error elsewhere, over all S datasets together; NaN for none.
    """
    found, report = {}, {}
    for data, hidden, guessed, mask in zip(full, free, labels, where, strict=True):
        error, who = np.abs(guessed - data.actions), np.array(data.facts["episode_quality"])[data.episode_of]
        for name in data.facts["quality"]:
            chosen = transforms.hidden_rows(hidden) & (who == name)
            found.setdefault(name, []).append((mask[chosen], error[chosen]))
    for name, parts in found.items():
        inside, error = (np.concatenate(values) for values in zip(*parts, strict=True))
        groups = {"share": inside, "error there": error[inside], "error elsewhere": error[~inside]}
        report[name] = {group: float(values.mean()) if values.size else np.nan for group, values in groups.items()}
    return report
