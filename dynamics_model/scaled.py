"""A context learner whose inner rates depend on how large a task's outputs are."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dynamics_model.meta import Batch, ContextLearner

FLOOR = 0.1  # mean square of outputs below which a task's rates no longer rise


class ScaledLearner(ContextLearner):
    """Adapts contexts with the rates  α (mean y² + FLOOR)^−β,  α and β learned, one for each entry.

    A squared error's curvature grows with the square of a task's outputs: with one rate for all tasks the phase of a
    weak sine is hardly found, while on a strong one, stronger than any in training, the steps diverge.

    Attributes:
        exponent: β, [C], or [M, 1, C] of stacked models.
    """

    def __init__(self, network: nn.Module, contexts: dict[str, int], inner_rate: float = 0.3, **options) -> None:
        """Wrap `network`; the arguments are those of `ContextLearner`, rates being learned."""
        super().__init__(network, contexts, inner_rate, learn_rate=True, rate_per="entry", **options)
        self.exponent = nn.Parameter(torch.full_like(self.log_rate.data, 0.5))

    def path(self, support: Batch, steps: int, *, rate: Tensor | float | None = None, **options) -> Iterator[Tensor]:
        """Yield the contexts at the start and after every step; `rate` replaces the rates of this task."""
        if rate is None:
            power = support.y.square().mean((-1, -2)) + FLOOR
            rate = self.rate() * power[..., None] ** -self.exponent
        yield from super().path(support, steps, rate=rate, **options)
