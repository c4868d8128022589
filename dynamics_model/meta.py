"""Gradient-based meta-learning over any network: named contexts (DMCM, CAVIA) here, weights (MAML, ANIL) in `weights`.

A learner adapts something small to every task by a few gradient steps on the task's own data, all tasks of a batch at
once, and lets the rest be trained through those steps. Its arrays have leading dimensions [B] for tasks, or [M, B]
where M independent models, stacked in the network's parameters, train side by side.

A `ContextLearner` adapts one tensor [B, C] with named slices: with several names and selective updates this is DMCM,
with one name it is CAVIA. At test time only contexts move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    """Data of B tasks with N points each; all but `N, inputs` may have further leading dimensions.

    Attributes:
        x: inputs [B, N, inputs].
        y: outputs [B, N, outputs].
        weight: how much each point counts [B, N], or None for all alike.
    """

    x: Tensor
    y: Tensor
    weight: Tensor | None = None

    def check(self, name: str) -> None:
        """Raise ValueError, naming the argument `name`, unless the data are well formed and finite."""
        if self.x.ndim < 3 or self.x.shape[:-1] != self.y.shape[:-1]:
            shapes = f"x {tuple(self.x.shape)} and y {tuple(self.y.shape)}"
            raise ValueError(f"{name}: {shapes} must be [B, N, inputs] and [B, N, outputs]")
        if self.x.shape[-2] == 0:
            raise ValueError(f"{name}: holds no points (N = 0)")
        if self.weight is not None and self.weight.shape != self.x.shape[:-1]:
            raise ValueError(f"{name}.weight: shape {tuple(self.weight.shape)} must be {tuple(self.x.shape[:-1])}")
        given = {field: value.detach().sum() for field, value in self._asdict().items() if value is not None}
        if not math.isfinite(float(sum(given.values()))):  # one synchronisation; which of them only if it is needed
            field = next((field for field, total in given.items() if not math.isfinite(float(total))), "y")
            raise ValueError(f"{name}.{field}: contains NaN or infinite values")


def squared_error(prediction: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of every point, [B, N]."""
    return (prediction - y).square().mean(-1)


class Learner(nn.Module):
    """Adapts to tasks by gradient steps; subclasses say what moves, through `begin`, `finish`, `moves` and `predict`.

    Attributes:
        network: what is trained.
        loss: `loss(prediction, y)` returns the loss of every point, [B, N].
        names: of the parts that adaptation can move.
    """

    def __init__(self, network: nn.Module, names: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network, self.names, self.loss = network, tuple(names), loss

    def begin(self, given: Any, support: Batch) -> tuple[Tensor, ...]:
        """Return the tensors that adaptation moves, with the support's leading dimensions."""
        raise NotImplementedError

    def finish(self, values: tuple[Tensor, ...]) -> Any:
        """Return those tensors as `predict` takes them."""
        raise NotImplementedError

    def moves(self, only: Any, sweep: str, rate: Tensor | float | None) -> list[tuple[Tensor, ...]]:
        """Return the step sizes of every tensor, for one step after another, over and over."""
        raise NotImplementedError

    def predict(self, x: Tensor, adapted: Any) -> Tensor:
        """Return outputs [B, N, outputs] for inputs [B, N, inputs] after adaptation."""
        raise NotImplementedError

    def losses(self, data: Batch, adapted: Any) -> Tensor:
        """Return the loss of every task, the (weighted) mean over its points, [B]."""
        point = self.loss(self.predict(data.x, adapted), data.y)
        if data.weight is None:
            return point.mean(-1)
        return (point * data.weight).sum(-1) / data.weight.sum(-1).clamp_min(1e-12)

    def objective(self, data: Batch, adapted: Any) -> Tensor:
        """Return what adaptation minimises for every task [B]."""
        return self.losses(data, adapted)

    def path(
        self,
        support: Batch,
        steps: int,
        *,
        only: str | Sequence[str] | Tensor | None = None,
        given: Any = None,
        sweep: Literal["joint", "alternate"] = "joint",
        second_order: bool = True,
        rate: Tensor | float | None = None,
    ) -> Iterator[Any]:
        """Yield what is adapted at the start and after every step; the arguments are those of `adapt`."""
        support.check("support")
        outer = torch.is_grad_enabled()
        through = outer and second_order
        moves = self.moves(only, sweep, rate)
        values = self.begin(given, support)
        yield self.finish(values)
        for step in range(steps):
            with torch.enable_grad():
                points = tuple(v if through and v.requires_grad else v.detach().requires_grad_() for v in values)
                loss = self.objective(support, self.finish(points)).sum()
                gradients = torch.autograd.grad(loss, points, create_graph=through)
            with torch.set_grad_enabled(outer):
                sizes = moves[step % len(moves)]
                values = tuple(v - s * g for v, s, g in zip(values, sizes, gradients, strict=True))
            yield self.finish(values)

    def adapt(self, support: Batch, steps: int = 1, **options: Any) -> Any:
        """Return what `steps` gradient steps on every task's own support loss lead to.

        Under `torch.no_grad()` the result is a constant; otherwise it can be differentiated with respect to the
        network, the rates and `given`.

        Args:
            support: the data to adapt on.
            steps: gradient steps.
            **options: `only`: the parts that move (names, an index per task, or a mask; default all).
                `given`: where they start, by name or as a whole; those not in `only` are held there.
                `sweep`: "joint" moves all of `only` in every step, "alternate" one of them in turn.
                `second_order`: differentiate through the gradient itself (else first order).
                `rate`: instead of the learned rates.

        Raises:
            ValueError: naming the argument, for unknown names, wrong sizes, NaN or empty support.
        """
        if steps < 0:
            raise ValueError(f"steps: must not be negative, not {steps}")
        *_, adapted = self.path(support, steps, **options)
        return adapted

    def chosen(self, only: str | Sequence[str] | None) -> tuple[str, ...]:
        """Return the names in `only`, all for None.

        Raises:
            ValueError: if a name is unknown.
        """
        names = self.names if only is None else (only,) if isinstance(only, str) else tuple(only)
        self._check_names("only", names)
        return names

    def _check_names(self, argument: str, names: Sequence[str] | Mapping[str, Any]) -> None:
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise ValueError(f"{argument}: unknown context '{unknown[0]}', choose from {', '.join(self.names)}")


class ContextLearner(Learner):
    """Adapts named contexts of a network by gradient descent.

    Attributes:
        network: called as `network(x [B, N, inputs], context [B, C])`, returns [B, N, outputs].
        sizes: entries of each context, by name, in the order of the slices.
        log_rate: logarithms of the inner rates, one per context, or one per entry with `rate_per="entry"`.
    """

    def __init__(
        self,
        network: nn.Module,
        contexts: Mapping[str, int],
        inner_rate: float = 1.0,
        learn_rate: bool = False,
        rate_per: Literal["context", "entry"] = "context",
        loss: Callable[[Tensor, Tensor], Tensor] = squared_error,
        prior: float = 0.0,
        models: int | None = None,
    ) -> None:
        """Wrap `network`; `loss(prediction, y)` returns the loss of every point, [B, N].

        Adaptation minimises the summed loss of a task's points plus `prior` times half the context's square, which
        holds entries near zero of which the points say nothing. With `models`, as many are stacked in the network, and
        each has rates of its own.

        Raises:
            ValueError: if there is no context, or one has no entries, or the rate is not positive.
        """
        if not contexts or any(size < 1 for size in contexts.values()):
            raise ValueError(f"contexts: need names with sizes of at least 1, not {dict(contexts)}")
        if inner_rate <= 0:
            raise ValueError(f"inner_rate: must be positive, not {inner_rate}")
        super().__init__(network, tuple(contexts), loss)
        self.prior, self.sizes, self.slices = prior, dict(contexts), {}
        for name, size in self.sizes.items():
            begin = sum(self.sizes[n] for n in self.slices)
            self.slices[name] = slice(begin, begin + size)
        self.size = sum(self.sizes.values())
        owner = torch.tensor([k for k, size in enumerate(self.sizes.values()) for _ in range(size)])
        self.register_buffer("owner", owner, persistent=False)
        count = len(self.sizes) if rate_per == "context" else self.size
        group = owner if rate_per == "context" else torch.arange(self.size)
        self.register_buffer("group", group, persistent=False)
        shape = (count,) if models is None else (models, 1, count)
        self.log_rate = nn.Parameter(torch.full(shape, math.log(inner_rate)), requires_grad=learn_rate)

    def rate(self) -> Tensor:
        """Return the inner rate of every entry, [C], or [M, 1, C] of stacked models."""
        return self.log_rate.exp()[..., self.group]

    def mask(self, only: str | Sequence[str] | Tensor | None = None) -> Tensor:
        """Return which entries may move, bool [C] or [B, C].

        Args:
            only: names of contexts; or per task the index of its one context, int [B]; or a bool mask; None for all.

        Raises:
            ValueError: if a name is unknown, or a tensor does not fit.
        """
        if isinstance(only, Tensor):
            if only.dtype == torch.bool:
                if only.shape[-1] != self.size:
                    raise ValueError(f"only: a mask of {only.shape[-1]} entries for contexts of {self.size}")
                return only
            if only.ndim < 1 or only.is_floating_point():
                raise ValueError(f"only: need a bool mask [B, C] or context indices int [B], not {tuple(only.shape)}")
            return self.owner == only[..., None]
        mask = torch.zeros(self.size, dtype=torch.bool, device=self.owner.device)
        for name in self.chosen(only):
            mask[self.slices[name]] = True
        return mask

    def moves(self, only: Any, sweep: str, rate: Tensor | float | None) -> list[tuple[Tensor, ...]]:
        """Return the step sizes of every entry, for one step after another."""
        moving, rate = self.mask(only), self.rate() if rate is None else rate
        if sweep == "joint":
            return [(rate * moving,)]
        masks = [moving & self.mask(name) for name in self.names]
        return [(rate * mask,) for mask in masks if bool(mask.any())]

    def begin(self, given: Tensor | Mapping[str, Tensor] | None, support: Batch) -> tuple[Tensor, ...]:
        """Return the contexts from which adaptation starts, [B, C]: `given` where it says, else zero.

        Raises:
            ValueError: if a name is unknown or a size is wrong.
        """
        tasks = support.x.shape[:-2]
        if isinstance(given, Tensor):
            try:
                return (given.expand(*tasks, self.size),)
            except RuntimeError:
                expected = f"{[*tasks, self.size]} or [{self.size}]"
                raise ValueError(f"given: shape {tuple(given.shape)} must be {expected}") from None
        return (self.join(given or {}, support.x.new_zeros(*tasks, self.size)),)

    def finish(self, values: tuple[Tensor, ...]) -> Tensor:
        """Return the contexts."""
        return values[0]

    def join(self, parts: Mapping[str, Tensor], base: Tensor) -> Tensor:
        """Return `base` [B, C] with the named `parts` ([size] or [B, size]) in their places.

        Raises:
            ValueError: if a name is unknown or a size is wrong.
        """
        self._check_names("given", parts)
        if not parts:
            return base
        columns = []
        for name, place in self.slices.items():
            part, expected = parts.get(name, base[..., place]), (*base.shape[:-1], self.sizes[name])
            try:
                columns.append(part.expand(expected))
            except RuntimeError:
                message = f"must be {list(expected)} or [{self.sizes[name]}]"
                raise ValueError(f"given['{name}']: shape {tuple(part.shape)} {message}") from None
        return torch.cat(columns, -1)

    def split(self, context: Tensor) -> dict[str, Tensor]:
        """Return the named parts of `context` [B, C], each [B, size]."""
        return {name: context[..., place] for name, place in self.slices.items()}

    def recombine(self, sources: Mapping[str, Tensor]) -> Tensor:
        """Return contexts put together: the slice `name` from `sources[name]` [B, C], zero where no source is named.

        Raises:
            ValueError: if a name is unknown or there is no source.
        """
        if not sources:
            raise ValueError("sources: name at least one context")
        self._check_names("sources", sources)
        base = torch.zeros_like(next(iter(sources.values())))
        return self.join({name: source[..., self.slices[name]] for name, source in sources.items()}, base)

    def predict(self, x: Tensor, adapted: Tensor) -> Tensor:
        """Return the network's outputs [B, N, outputs] for inputs [B, N, inputs] under contexts [B, C].

        Raises:
            ValueError: if the contexts have another size.
        """
        if adapted.shape[-1] != self.size:
            raise ValueError(f"adapted: contexts of {adapted.shape[-1]} entries, this learner has {self.size}")
        return self.network(x, adapted)

    def objective(self, data: Batch, adapted: Tensor) -> Tensor:
        """Return what adaptation minimises for every task: its loss, and the pull of the prior [B]."""
        losses = self.losses(data, adapted)
        if self.prior == 0:
            return losses
        points = data.x.shape[-2] if data.weight is None else data.weight.sum(-1).clamp_min(1e-12)
        return losses + 0.5 * self.prior / points * adapted.square().sum(-1)
