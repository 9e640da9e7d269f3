"""Many small networks as one: a leading axis of seeds (and ensemble members), one batched matrix product a layer.

A CPU spends most of a small network's step on starting operations, not on arithmetic. So S seeds times M members are
one tensor [S*M, in, out]; all parameters lie in one flat vector, which makes Adam and target tracking one operation.
"""

import copy
import math

import numpy as np
import torch

from rlkit import checks


class Flat:
    """Parameters of R rows of networks in one flat vector, with the optimiser's step and target tracking on it.

    generators: one np.random.Generator for each row, from which its initial numbers are drawn, uniform in
    +-1/sqrt(fan), as torch.nn.Linear does for a fan of in; they do not depend on how many other rows there are.
    shapes: of each parameter in one row; fans: its fan. Attributes: parameters [R, *shape], views of `flat`, the vector
    of them all.
    """

    def __init__(self, generators, shapes, fans, *, learning_rate: float = 3e-4):
        self.shapes = [(len(generators), *shape) for shape in shapes]
        self.flat = torch.empty(sum(math.prod(shape) for shape in self.shapes))
        self.gradient = torch.zeros_like(self.flat)
        self._bind()
        for row, generator in enumerate(generators):
            for tensor, fan in zip(self.parameters, fans, strict=True):
                drawn = generator.uniform(-1, 1, tuple(tensor.shape[1:])) / math.sqrt(fan)
                tensor.data[row] = torch.from_numpy(drawn.astype(np.float32))
        whole = torch.nn.Parameter(self.flat)  # the optimiser's view of the same memory
        whole.grad = self.gradient
        self.optimiser = torch.optim.Adam([whole], lr=checks.positive("learning_rate", learning_rate), fused=True)

    def _bind(self) -> None:
        """Cut `flat` into parameters, and `gradient` into theirs, without copying."""
        self.parameters, start = [], 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            tensor = self.flat[start:stop].view(shape).requires_grad_(self.gradient is not None)
            if self.gradient is not None:
                tensor.grad = self.gradient[start:stop].view(shape)
            self.parameters.append(tensor)
            start = stop

    def descend(self, loss: torch.Tensor, clip=None) -> None:
        """One step of Adam on the sum of the seeds' losses [S]; gradients of one seed never touch another's weights.

        clip: the largest norm of one seed's gradient over all its parameters, a number or [S]; None for no limit. Where
        the norm overflows the step is 0 under any clip, also an infinite one.
        """
        self.gradient.zero_()
        loss.sum().backward(inputs=self.parameters)
        if clip is not None:
            gradients = [tensor.grad.view(len(loss), -1) for tensor in self.parameters]
            norm = sum(gradient.square().sum(1) for gradient in gradients).sqrt()  # [S]
            for gradient in gradients:
                gradient.mul_((clip / norm).clamp(max=1)[:, None])
        self.optimiser.step()

    def frozen(self):
        """A copy without gradients: a target network."""
        twin = copy.copy(self)
        twin.flat, twin.gradient, twin.optimiser = self.flat.clone(), None, None
        twin._bind()
        return twin

    def track(self, network, rate: float) -> None:
        """Polyak averaging, theta <- (1 - rate) theta + rate theta_network, in one operation."""
        self.flat.lerp_(network.flat, rate)


class Network(Flat):
    """S x M multi-layer perceptrons with ReLU, side by side: `network(x [S, B, in]) -> [S, M, B, out]`.

    generators: one for each seed; its members draw from it one after another. sizes: widths from input to output, e.g.
    (4, 64, 64, 2). members: M, networks of one seed (an ensemble of critics). frozen: no gradients and no optimiser (a
    target network). Attributes: weights and biases by layer, [S*M, in, out] and [S*M, 1, out].
    """

    def __init__(self, generators, sizes, *, members: int = 1, learning_rate: float = 3e-4):
        self.seeds, self.members, self.sizes = len(generators), checks.positive_int("members", members), tuple(sizes)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        shapes = [shape for i, o in pairs for shape in ((i, o), (1, o))]
        each = [g for g in generators for _ in range(self.members)]
        super().__init__(each, shapes, [i for i, _ in pairs for _ in "wb"], learning_rate=learning_rate)

    def _bind(self) -> None:
        super()._bind()
        self.weights, self.biases = self.parameters[::2], self.parameters[1::2]

    def __call__(self, x: torch.Tensor, member: int | None = None) -> torch.Tensor:
        """x [S, B, in] -> [S, M, B, out]; with `member`, that one alone: [S, B, out]."""
        weights, biases = self.weights, self.biases
        if member is not None or self.members == 1:
            first = slice(member or 0, None, self.members)
            weights, biases = [w[first] for w in weights], [b[first] for b in biases]
        else:
            x = x.repeat_interleave(self.members, 0)  # [S*M, B, in]
        x = through(weights, biases, x)
        return x if member is not None else x.view(self.seeds, -1, *x.shape[1:])


def through(weights, biases, x: torch.Tensor) -> torch.Tensor:
    """R networks with ReLU between layers: x [R, B, in]; of each layer weights [R, in, out] and biases [R, 1, out]."""
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = _Value.apply(x, weight, bias) if weight.shape[2] == 1 else torch.baddbmm(bias, x, weight)
        x = x.relu_() if layer < len(weights) - 1 else x
    return x


class _Value(torch.autograd.Function):
    """x w + b of one output, x [R, B, in] -> [R, B, 1]: as baddbmm, which is up to seven times slower at this width."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias, weight.mT, x.mT).mT

    @staticmethod
    def backward(ctx, gradient):  # [R, B, 1]
        x, weight = ctx.saved_tensors
        return gradient * weight.mT, torch.bmm(gradient.mT, x).mT, gradient.sum(1, keepdim=True)
