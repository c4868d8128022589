"""Gradient-based learning of named contexts over any network `net(x, context) -> y`.

A context is one tensor [B, C] with named slices. With several names and selective updates this is DMCM, with one name
it is CAVIA: the same code. At test time only contexts move, by a few gradient steps, all tasks of a batch at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    """Data of B tasks with N points each.

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
        if self.x.ndim != 3 or self.y.ndim != 3 or self.x.shape[:2] != self.y.shape[:2]:
            shapes = f"x {tuple(self.x.shape)} and y {tuple(self.y.shape)}"
            raise ValueError(f"{name}: {shapes} must be [B, N, inputs] and [B, N, outputs]")
        if self.x.shape[1] == 0:
            raise ValueError(f"{name}: holds no points (N = 0)")
        if self.weight is not None and self.weight.shape != self.x.shape[:2]:
            raise ValueError(f"{name}.weight: shape {tuple(self.weight.shape)} must be {tuple(self.x.shape[:2])}")
        for field, value in zip(self._fields, self, strict=True):
            if value is not None and not math.isfinite(float(value.detach().sum())):
                raise ValueError(f"{name}.{field}: contains NaN or infinite values")


def squared_error(prediction: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of every point, [B, N]."""
    return (prediction - y).square().mean(-1)


class ContextLearner(nn.Module):
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
    ) -> None:
        """Wrap `network`; `loss(prediction, y)` returns the loss of every point, [B, N].

        Adaptation minimises the summed loss of a task's points plus `prior` times half the context's square, which
        holds entries near zero of which the points say nothing.

        Raises:
            ValueError: if there is no context, or one has no entries, or the rate is not positive.
        """
        super().__init__()
        if not contexts or any(size < 1 for size in contexts.values()):
            raise ValueError(f"contexts: need names with sizes of at least 1, not {dict(contexts)}")
        if inner_rate <= 0:
            raise ValueError(f"inner_rate: must be positive, not {inner_rate}")
        self.network, self.loss, self.prior = network, loss, prior
        self.sizes = dict(contexts)
        self.slices: dict[str, slice] = {}
        for name, size in self.sizes.items():
            begin = sum(self.sizes[n] for n in self.slices)
            self.slices[name] = slice(begin, begin + size)
        owner = torch.tensor([k for k, size in enumerate(self.sizes.values()) for _ in range(size)])
        self.register_buffer("owner", owner, persistent=False)
        count = len(self.sizes) if rate_per == "context" else self.size
        group = owner if rate_per == "context" else torch.arange(self.size)
        self.register_buffer("group", group, persistent=False)
        self.log_rate = nn.Parameter(torch.full((count,), math.log(inner_rate)), requires_grad=learn_rate)

    @property
    def size(self) -> int:
        """Entries of all contexts together, C."""
        return sum(self.sizes.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the contexts, in the order of their slices."""
        return tuple(self.sizes)

    def rate(self) -> Tensor:
        """Return the inner rate of every entry, [C]."""
        return self.log_rate.exp()[self.group]

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
            if only.ndim != 1 or only.is_floating_point():
                raise ValueError(f"only: need a bool mask [B, C] or context indices int [B], not {tuple(only.shape)}")
            return self.owner == only[:, None]
        names = self.names if only is None else (only,) if isinstance(only, str) else tuple(only)
        self._check_names("only", names)
        mask = torch.zeros(self.size, dtype=torch.bool, device=self.owner.device)
        for name in names:
            mask[self.slices[name]] = True
        return mask

    def start(self, given: Tensor | Mapping[str, Tensor] | None, support: Batch) -> Tensor:
        """Return the contexts from which adaptation starts, [B, C]: `given` where it says, else zero.

        Raises:
            ValueError: if a name is unknown or a size is wrong.
        """
        batch = support.x.shape[0]
        if isinstance(given, Tensor):
            if given.shape[-1] != self.size or (given.ndim == 2 and given.shape[0] not in (1, batch)) or given.ndim > 2:
                raise ValueError(f"given: shape {tuple(given.shape)} must be [{batch}, {self.size}] or [{self.size}]")
            return given.expand(batch, self.size)
        return self.join(given or {}, support.x.new_zeros(batch, self.size))

    def join(self, parts: Mapping[str, Tensor], base: Tensor) -> Tensor:
        """Return `base` [B, C] with the named `parts` ([size] or [B, size]) in their places.

        Raises:
            ValueError: if a name is unknown or a size is wrong.
        """
        self._check_names("given", parts)
        columns = []
        for name, place in self.slices.items():
            part = parts.get(name, base[:, place])
            size = self.sizes[name]
            if part.shape not in {(size,), (1, size), (base.shape[0], size)}:
                shape = tuple(part.shape)
                raise ValueError(f"given['{name}']: shape {shape} must be [{base.shape[0]}, {size}] or [{size}]")
            columns.append(part.expand(base.shape[0], size))
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
        return self.join({name: source[:, self.slices[name]] for name, source in sources.items()}, base)

    def predict(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the network's outputs [B, N, outputs] for inputs [B, N, inputs] under contexts [B, C]."""
        return self.network(x, context)

    def losses(self, data: Batch, context: Tensor) -> Tensor:
        """Return the loss of every task, the (weighted) mean over its points, [B]."""
        point = self.loss(self.network(data.x, context), data.y)
        if data.weight is None:
            return point.mean(-1)
        return (point * data.weight).sum(-1) / data.weight.sum(-1).clamp_min(1e-12)

    def objective(self, data: Batch, context: Tensor) -> Tensor:
        """Return what adaptation minimises for every task: its loss, and the pull of the prior [B]."""
        losses = self.losses(data, context)
        if self.prior == 0:
            return losses
        points = data.x.shape[-2] if data.weight is None else data.weight.sum(-1).clamp_min(1e-12)
        return losses + 0.5 * self.prior / points * context.square().sum(-1)

    def path(
        self,
        support: Batch,
        steps: int,
        *,
        only: str | Sequence[str] | Tensor | None = None,
        given: Tensor | Mapping[str, Tensor] | None = None,
        sweep: Literal["joint", "alternate"] = "joint",
        second_order: bool = True,
        rate: Tensor | float | None = None,
    ) -> Iterator[Tensor]:
        """Yield the contexts [B, C] at the start and after every step; the arguments are those of `adapt`."""
        support.check("support")
        outer = torch.is_grad_enabled()
        moving = self.mask(only)
        masks = [moving]
        if sweep == "alternate":
            masks = [m for m in (moving & self.mask(name) for name in self.names) if bool(m.any())]
        context = self.start(given, support)
        yield context
        for step in range(steps):
            with torch.enable_grad():
                through = outer and second_order
                point = context if through and context.requires_grad else context.detach().requires_grad_()
                if through and point is not context:
                    context = point
                loss = self.objective(support, point).sum()
                (gradient,) = torch.autograd.grad(loss, point, create_graph=through)
            with torch.set_grad_enabled(outer):
                size = (self.rate() if rate is None else rate) * masks[step % len(masks)]
                context = context - size * gradient
            yield context

    def adapt(self, support: Batch, steps: int = 1, **options) -> Tensor:
        """Return contexts [B, C] after `steps` gradient steps on every task's own support loss.

        Under `torch.no_grad()` the result is a constant; otherwise it can be differentiated with respect to the
        network, the rates and `given`.

        Args:
            support: the data to adapt on.
            steps: gradient steps.
            **options: `only`: the contexts that move (names, an index per task, or a mask; default all).
                `given`: where contexts start, by name or as a whole; those not in `only` are held there (default zero).
                `sweep`: "joint" moves all of `only` in every step, "alternate" one of them in turn.
                `second_order`: differentiate through the gradient itself (else first order).
                `rate`: instead of the learned rates.

        Raises:
            ValueError: naming the argument, for unknown names, wrong sizes, NaN or empty support.
        """
        if steps < 0:
            raise ValueError(f"steps: must not be negative, not {steps}")
        *_, context = self.path(support, steps, **options)
        return context

    def _check_names(self, argument: str, names: Sequence[str] | Mapping[str, Tensor]) -> None:
        unknown = [name for name in names if name not in self.sizes]
        if unknown:
            raise ValueError(f"{argument}: unknown context '{unknown[0]}', choose from {', '.join(self.names)}")


class Tasks(Protocol):
    """A family of tasks with F factors; a task is a row of a tensor [B, F]."""

    def draw(self, count: int) -> Tensor:
        """Return `count` tasks with all factors drawn at random, [count, F]."""
        ...

    def change(self, factors: Tensor, which: Tensor) -> Tensor:
        """Return the tasks [B, F] with the factor `which` [B] of each drawn anew."""
        ...

    def sample(self, factors: Tensor, part: Literal["support", "query"]) -> Batch:
        """Return data of the tasks; support and query are disjoint."""
        ...


@dataclass(frozen=True)
class ChainConfig:
    """How contexts are trained on chains of tasks.

    Attributes:
        chains: chains in a batch, B.
        length: tasks in a chain.
        first_steps: inner steps of a chain's first task, where all contexts move.
        inner_steps: inner steps of the others, where only the changed factor's context moves.
        second_order: differentiate through the inner gradients.
        warm_up: tasks at the start of a chain that do not count in the outer loss.
        order: "sequential" changes one factor between tasks; "iid" draws all anew (an ablation).
        changed: "reset" starts the changed context at zero, "keep" where it was.
        recombination: weight of the loss of contexts put together from different chains; 0 leaves it out.
    """

    chains: int = 4
    length: int = 4
    first_steps: int = 3
    inner_steps: int = 3
    second_order: bool = True
    warm_up: int = 0
    order: Literal["sequential", "iid"] = "sequential"
    changed: Literal["reset", "keep"] = "reset"
    recombination: float = 0.5


def chain_losses(learner: ContextLearner, tasks: Tasks, config: ChainConfig) -> Iterator[dict[str, Tensor]]:
    """Yield the parts of the outer loss, one dictionary per place in the chain, whose graphs are independent.

    Call `sum(parts.values()).backward()` on each; the graph of the next is built only then. Parts are "query" and, if
    the configuration weighs it, "recombination". Factor f moves context f modulo K, so that fewer contexts than factors
    (CAVIA: one) share them.

    Raises:
        ValueError: if every task is warm-up, or the tasks' data are malformed.
    """
    counted = config.length - config.warm_up
    if counted < 1:
        raise ValueError(f"warm_up: {config.warm_up} of {config.length} tasks leaves none for the outer loss")
    factors = tasks.draw(config.chains)
    context, only = None, None
    for t in range(config.length):
        if t > 0:
            which = torch.randint(factors.shape[1], (config.chains,))
            factors = tasks.draw(config.chains) if config.order == "iid" else tasks.change(factors, which)
            only = learner.mask(which.to(learner.owner.device) % len(learner.names))
            context = context.detach()
            if config.changed == "reset":
                context = context * ~only
        context = learner.adapt(
            tasks.sample(factors, "support"),
            config.inner_steps if t else config.first_steps,
            only=only,
            given=context,
            second_order=config.second_order,
        )
        if t < config.warm_up:
            continue
        query = tasks.sample(factors, "query")
        query.check("query")
        parts = {"query": learner.losses(query, context).mean() / counted}
        if config.recombination and len(learner.names) > 1 and config.chains > 1:
            weight = config.recombination / counted
            parts["recombination"] = _recombination_loss(learner, tasks, factors, context) * weight
        yield parts


def _recombination_loss(learner: ContextLearner, tasks: Tasks, factors: Tensor, context: Tensor) -> Tensor:
    """Return the loss on tasks whose factor f, with its context, comes from f chains further on."""
    count = len(learner.names)
    composed = torch.stack([column.roll(-(f % count)) for f, column in enumerate(factors.unbind(1))], 1)
    swapped = learner.recombine({name: context.roll(-k, 0) for k, name in enumerate(learner.names)})
    return learner.losses(tasks.sample(composed, "query"), swapped).mean()
