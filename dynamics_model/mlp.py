"""A multilayer perceptron whose weights may have leading dimensions: stacked models, or a copy for every task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x W + b over the last dimension of x [*lead, ..., inputs].

    Args:
        x: inputs.
        weight: [*lead, inputs, outputs], `lead` being any beginning of x's shape, also none.
        bias: [*lead, outputs].
    """
    inputs, outputs = weight.shape[-2:]
    count = math.prod(weight.shape[:-2])
    if count == 1:
        y = torch.addmm(bias.reshape(outputs), x.reshape(-1, inputs), weight.reshape(inputs, outputs))
    else:
        rows = x.reshape(count, -1, inputs)
        y = torch.baddbmm(bias.reshape(count, 1, outputs), rows, weight.reshape(count, inputs, outputs))
    return y.view(*x.shape[:-1], outputs)


class StackedMLP(nn.Module):
    """M independent perceptrons with ReLU, computed side by side; called as `network(x [M, B, N, inputs], context)`.

    Attributes:
        batched: weights may have any leading dimensions that x has.
    """

    batched = True

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        context: int = 0,
        models: int | None = None,
        init: str = "fan_in",
    ) -> None:
        """Draw weights and biases uniformly within ±1/√n.

        Args:
            inputs: size of x.
            hidden: widths.
            outputs: size of y.
            context: size of the context [M, B, C], an input shared by all points of a task; 0 for none.
            models: how many are stacked; None for one, without the dimension M.
            init: n is "fan_in", the inputs of the layer (PyTorch's default), or "fan_out", its outputs (as the
                published CAVIA code initialises MAML).
        """
        super().__init__()
        lead = () if models is None else (models,)
        sizes = [inputs + context, *hidden, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise(sizes):
            bound = 1 / math.sqrt(before if init == "fan_in" else after)
            self.weights.append(torch.empty(*lead, before, after).uniform_(-bound, bound))
            self.biases.append(torch.empty(*lead, after).uniform_(-bound, bound))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return y [..., N, outputs] for x [..., N, inputs] and the context [..., C] of each task."""
        (weight, bias), *rest = zip(self.weights, self.biases, strict=True)
        if context is None:
            h = affine(x, weight, bias)
        else:  # the context's share is the same for all points of a task
            own = x.shape[-1]
            shift = affine(context, weight[..., own:, :], bias)
            h = affine(x, weight[..., :own, :], torch.zeros_like(bias)) + shift.unsqueeze(-2)
        for weight, bias in rest:
            h = affine(torch.relu(h), weight, bias)
        return h
