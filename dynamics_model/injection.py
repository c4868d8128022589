"""A perceptron that a context enters by feature-wise modulation: it shifts some layers and scales others (FiLM)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynamics_model.mlp import affine


class ModulatedMLP(nn.Module):
    """M independent perceptrons with ReLU, computed side by side; called as `network(x [M, B, N, inputs], context)`.

    Layer l computes (x W + b) (1 + φ G) + φ S before its nonlinearity, φ being the contexts and G, S learned. A shift
    of the first layer alone is the concatenation of the contexts with the input; with a gain of the last layer, a
    factor that multiplies the output (an amplitude) can be put together with others with which it was never seen.

    Attributes:
        contexts: sizes of the named contexts.
        batched: weights may have any leading dimensions that x has.
    """

    batched = True

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        contexts: Sequence[int],
        models: int | None = None,
        shifts: Sequence[int] = (0,),
        gains: Sequence[int] = (-1,),
    ) -> None:
        """Draw all weights uniformly within ±1/√n of what enters the layer.

        Args:
            inputs: size of x.
            hidden: widths.
            outputs: size of y.
            contexts: sizes of the named contexts, whose sum is C in `context` [M, B, C].
            models: how many are stacked; None for one, without the dimension M.
            shifts: layers that the context shifts, negative ones counted from the last.
            gains: layers that the context scales.
        """
        super().__init__()
        lead = () if models is None else (models,)
        self.contexts, context = tuple(contexts), sum(contexts)
        sizes = [inputs, *hidden, outputs]
        layers = range(len(sizes) - 1)
        shifted, scaled = ({layers[place] for place in places} for places in (shifts, gains))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.shifts, self.gains = nn.ParameterDict(), nn.ParameterDict()
        for layer in layers:
            before, after = sizes[layer : layer + 2]
            bound = 1 / math.sqrt(before + context * (layer in shifted))
            self.weights.append(torch.empty(*lead, before, after).uniform_(-bound, bound))
            self.biases.append(torch.empty(*lead, after).uniform_(-bound, bound))
            if layer in shifted:
                self.shifts[str(layer)] = torch.empty(*lead, context, after).uniform_(-bound, bound)
            if layer in scaled:
                self.gains[str(layer)] = torch.empty(*lead, context, after).uniform_(-1, 1) / math.sqrt(context)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return y [..., N, outputs] for x [..., N, inputs] and the context [..., C] of each task."""
        h = x
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = affine(torch.relu(h) if layer else h, weight, bias)
            if str(layer) in self.gains:
                gain = affine(context, self.gains[str(layer)], torch.ones_like(bias))
                h = h * gain.unsqueeze(-2)
            if str(layer) in self.shifts:
                shift = affine(context, self.shifts[str(layer)], torch.zeros_like(bias))
                h = h + shift.unsqueeze(-2)
        return h

    def site_norm(self) -> Tensor:
        """Return the summed norms of every context's weights at every site (over all stacked models).

        As a penalty (a group lasso) it makes a context leave the sites that it does not need.
        """
        sites = [part for w in (*self.shifts.values(), *self.gains.values()) for part in w.split(self.contexts, -2)]
        return sum((part.square().sum((-1, -2)) + 1e-6).sqrt().sum() for part in sites)
