"""The outer loop: tasks in chains that change one factor at a time, and contexts put together from different chains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from dynamics_model.meta import Batch, ContextLearner, Learner


class Tasks(Protocol):
    """A family of tasks with F factors; a task is a row of a tensor [B, F] ([M, B, F] for M stacked models)."""

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
        length: tasks in a chain of `chain_losses`.
        restart: share of the chains of `stream_losses` that start anew in an iteration.
        first_steps: inner steps of a chain's first task, where all contexts move; in a stream `inner_steps`.
        inner_steps: inner steps of the others, where only the changed factor's context moves.
        second_order: differentiate through the inner gradients.
        warm_up: tasks at the start of a chain that do not count in the outer loss.
        order: "sequential" changes one factor between tasks; "iid" draws all anew (an ablation).
        changed: "reset" starts the changed context at zero, "keep" where it was.
        recombination: weight of the loss of contexts put together from different chains; 0 leaves it out.
    """

    chains: int = 4
    length: int = 4
    restart: float = 0.25
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
    the configuration weighs it, "recombination": means over tasks, summed over stacked models. Factor f moves context f
    modulo K, so that fewer contexts than factors (CAVIA: one) share them.

    Raises:
        ValueError: if every task is warm-up, or the tasks' data are malformed.
    """
    counted = config.length - config.warm_up
    if counted < 1:
        raise ValueError(f"warm_up: {config.warm_up} of {config.length} tasks leaves none for the outer loss")
    factors = tasks.draw(config.chains)
    context = mask = None
    for t in range(config.length):
        if t > 0:
            factors, mask = _next_task(learner, tasks, config, factors)
            context = context.detach()
            if config.changed == "reset":
                context = context * ~mask
        context = _adapt(
            learner, tasks, config, factors, context, mask, config.inner_steps if t else config.first_steps
        )
        if t >= config.warm_up:
            yield {name: part / counted for name, part in _outer(learner, tasks, config, factors, context).items()}


def stream_losses(
    learner: Learner, tasks: Tasks, config: ChainConfig, state: tuple[Tensor, Tensor] | None = None
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor] | None]:
    """Return the parts of the outer loss one task further on endless chains, and the state to go on from.

    All chains move in one batch, each with its own mask; a chain that starts anew draws all factors and adapts all
    contexts from zero. `restart=1` with one context is CAVIA. Weights are adapted to fresh tasks always (MAML, ANIL).

    Args:
        learner: what adapts.
        tasks: where tasks come from.
        config: `length`, `warm_up` and `first_steps` are not used.
        state: factors and contexts of the chains, None at the start.

    Raises:
        ValueError: if the tasks' data are malformed.
    """
    factors = tasks.draw(config.chains)
    context = mask = None
    if state is not None:
        fresh = torch.rand(factors.shape[:-1], device=factors.device)[..., None] < config.restart
        moved, mask = _next_task(learner, tasks, config, state[0])
        factors = torch.where(fresh, factors, moved)
        mask = mask | fresh
        context = state[1] * ~(mask if config.changed == "reset" else fresh)
    context = _adapt(learner, tasks, config, factors, context, mask, config.inner_steps)
    parts = _outer(learner, tasks, config, factors, context)
    return parts, (factors, context.detach()) if isinstance(learner, ContextLearner) else None


def _next_task(learner: ContextLearner, tasks: Tasks, config: ChainConfig, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Return every chain's next task and which entries of its contexts may move."""
    which = torch.randint(factors.shape[-1], factors.shape[:-1], device=factors.device)
    factors = tasks.draw(config.chains) if config.order == "iid" else tasks.change(factors, which)
    return factors, learner.mask(which.to(learner.owner.device) % len(learner.names))


def _adapt(
    learner: Learner, tasks: Tasks, config: ChainConfig, factors: Tensor, given: Any, only: Tensor | None, steps: int
) -> Any:
    support = tasks.sample(factors, "support")
    return learner.adapt(support, steps, only=only, given=given, second_order=config.second_order)


def _outer(learner: Learner, tasks: Tasks, config: ChainConfig, factors: Tensor, adapted: Any) -> dict[str, Tensor]:
    """Return the loss of the adapted tasks, and of composed ones: factor f and its context f chains further on."""
    query = tasks.sample(factors, "query")
    query.check("query")
    parts = {"query": learner.losses(query, adapted).mean(-1).sum()}
    if config.recombination and isinstance(learner, ContextLearner) and len(learner.names) > 1 and config.chains > 1:
        count = len(learner.names)
        composed = torch.stack([column.roll(-(f % count), -1) for f, column in enumerate(factors.unbind(-1))], -1)
        swapped = learner.recombine({name: adapted.roll(-k, -2) for k, name in enumerate(learner.names)})
        losses = learner.losses(tasks.sample(composed, "query"), swapped)
        parts["recombination"] = losses.mean(-1).sum() * config.recombination
    return parts
