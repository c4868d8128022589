"""Learners that adapt a network's weights, a copy for every task: all of them (MAML) or only the head (ANIL)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dynamics_model.meta import Batch, Learner, squared_error


class WeightLearner(Learner):
    """Adapts named parts of a network's weights by gradient descent.

    What is adapted is a dictionary from parameter names to weights per task, [B, *shape] ([M, B, *shape] of stacked
    models); weights in no part are shared by all tasks.

    Attributes:
        network: called as `network(x [B, N, inputs])`. Where it has a true attribute `batched` (as `StackedMLP`) it
            takes weights with leading dimensions as they are; any other is mapped over tasks by `torch.vmap`.
        owner: index of the part of every adapted parameter.
        log_rate: logarithms of the inner rates, one per adapted parameter.
    """

    def __init__(
        self,
        network: nn.Module,
        parts: Mapping[str, Sequence[str]] | None = None,
        inner_rate: float = 0.1,
        learn_rate: bool = False,
        loss: Callable[[Tensor, Tensor], Tensor] = squared_error,
        models: int | None = None,
    ) -> None:
        """Wrap `network`; a part is named with the beginnings of its parameters' names; by default one part has all.

        Raises:
            ValueError: if a part has no parameters, or the rate is not positive.
        """
        parts = {"weights": [""]} if parts is None else parts
        if inner_rate <= 0:
            raise ValueError(f"inner_rate: must be positive, not {inner_rate}")
        super().__init__(network, tuple(parts), loss)
        found = {
            name: part
            for part, begins in enumerate(parts.values())
            for name, _ in network.named_parameters()
            if name.startswith(tuple(begins))
        }
        empty = [part for k, part in enumerate(parts) if k not in found.values()]
        if empty or not parts:
            raise ValueError(f"parts: {f'no parameter begins like {parts[empty[0]]}' if empty else 'name one'}")
        self.adapted, self.owner = tuple(found), tuple(found.values())
        shape = (len(found),) if models is None else (models, len(found))
        self.log_rate = nn.Parameter(torch.full(shape, math.log(inner_rate)), requires_grad=learn_rate)

    def moves(self, only: Any, sweep: str, rate: Tensor | float | None) -> list[tuple[Tensor, ...]]:
        """Return the step sizes of every adapted parameter, for one step after another."""
        rates = self.log_rate.exp() if rate is None else self.log_rate.new_tensor(rate).expand_as(self.log_rate)
        weights = dict(self.network.named_parameters())
        lead = self.log_rate.ndim - 1
        if isinstance(only, Tensor):
            chosen = [[only == k for k in range(len(self.names))]]
        else:
            named = self.chosen(only)
            groups = [named] if sweep == "joint" else [(name,) for name in named]
            chosen = [[torch.tensor(name in group) for name in self.names] for group in groups]

        def size(index: int, mask: Tensor) -> Tensor:
            inner = weights[self.adapted[index]].ndim - lead
            moves = mask.to(rates.device).reshape(*mask.shape, *[1] * inner)
            return rates[..., index].reshape(*rates.shape[:-1], *[1] * (inner + 1)) * moves

        return [tuple(size(i, masks[part]) for i, part in enumerate(self.owner)) for masks in chosen]

    def begin(self, given: Mapping[str, Tensor] | None, support: Batch) -> tuple[Tensor, ...]:
        """Return the weights from which adaptation starts: `given` where it says, else the network's own.

        Raises:
            ValueError: if a name is unknown or a shape is wrong.
        """
        tasks, given, weights = support.x.shape[:-2], given or {}, dict(self.network.named_parameters())
        unknown = [name for name in given if name not in self.adapted]
        if unknown:
            raise ValueError(f"given: '{unknown[0]}' is not adapted, choose from {', '.join(self.adapted)}")
        lead = len(tasks) - 1
        values = []
        for name in self.adapted:
            shape = (*tasks, *weights[name].shape[lead:])
            if name in given and given[name].shape != shape:
                raise ValueError(f"given['{name}']: shape {tuple(given[name].shape)} must be {list(shape)}")
            values.append(given[name] if name in given else weights[name].unsqueeze(lead).expand(shape))
        return tuple(values)

    def finish(self, values: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the weights by name."""
        return dict(zip(self.adapted, values, strict=True))

    def predict(self, x: Tensor, adapted: Mapping[str, Tensor]) -> Tensor:
        """Return outputs [B, N, outputs] for inputs [B, N, inputs], each task with its own weights."""
        if getattr(self.network, "batched", False):
            return functional_call(self.network, dict(adapted), (x,))
        return torch.vmap(lambda weights, inputs: functional_call(self.network, weights, (inputs,)))(dict(adapted), x)

    def recombine(self, sources: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return weights put together: the part `name` from `sources[name]`, of unnamed parts the network's own.

        Raises:
            ValueError: if a name is unknown or there is no source.
        """
        if not sources:
            raise ValueError("sources: name at least one part")
        self._check_names("sources", sources)
        named = zip(self.adapted, self.owner, strict=True)
        return {n: sources[self.names[k]][n] for n, k in named if self.names[k] in sources}
