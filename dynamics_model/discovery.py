"""Factors without labels: how many a stream of tasks has, and which of them changed from one task to the next.

All contexts of every task are adapted, jointly and from zero. If one factor changed between two tasks, then one context
taken from the other task explains either; training asks this of the context that explains them best, so that each
context comes to stand for one factor. Contexts of one entry make it impossible that one of them learns two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import torch
from torch import Tensor

from dynamics_model.chains import Tasks
from dynamics_model.meta import Batch, ContextLearner


class Stream(NamedTuple):
    """The last task of every stream: its factors [M, B, F], its data, and the contexts found for it [M, B, C]."""

    factors: Tensor
    data: Batch
    context: Tensor


def unexplained(learner: ContextLearner, earlier: Batch, before: Tensor, later: Batch, now: Tensor) -> Tensor:
    """Return the losses of two tasks if only one context tells them apart, one column per context, [..., B, K].

    The later task is predicted with the contexts of the earlier one but for context k, and the other way round.

    Args:
        learner: with named contexts.
        earlier: data of one task.
        before: its contexts [..., B, C].
        later: data of the other.
        now: its contexts [..., B, C].
    """
    columns = []
    for name in learner.names:
        forth = learner.join({name: learner.split(now)[name]}, before)
        back = learner.join({name: learner.split(before)[name]}, now)
        columns.append((learner.losses(later, forth) + learner.losses(earlier, back)) / 2)
    return torch.stack(columns, -1)


@torch.no_grad()
def changed(
    learner: ContextLearner, earlier: Batch, before: Tensor, later: Batch, now: Tensor, active: Tensor | None = None
) -> Tensor:
    """Return which context tells two tasks apart best, among those with `active` entries [M, 1, C], int [..., B]."""
    losses = unexplained(learner, earlier, before, later, now)
    if active is not None:
        there = torch.stack([active[..., place].any(-1) for place in learner.slices.values()], -1)
        losses = losses.masked_fill(~there, torch.inf)
    return losses.argmin(-1)


def stream_step(
    learner: ContextLearner,
    tasks: Tasks,
    stream: Stream | int,
    steps: int = 3,
    active: Tensor | None = None,
    labels: bool | Tensor = False,
) -> tuple[dict[str, Tensor], Stream]:
    """Return the parts of the outer loss one task further on, and the streams there.

    Args:
        learner: with named contexts.
        tasks: where tasks come from.
        stream: the streams so far, or at the start their number.
        steps: inner steps.
        active: which entries of the context stacked models may use, bool [M, 1, C]; all by default.
        labels: whether the factor that changed is known, factor f being context f, what discovery is compared with;
            of stacked models bool [M, 1].
    """
    if isinstance(stream, int):
        factors = tasks.draw(stream)
        which = None
    else:
        which = torch.randint(stream.factors.shape[-1], stream.factors.shape[:-1], device=stream.factors.device)
        factors = tasks.change(stream.factors, which)
    context = learner.adapt(tasks.sample(factors, "support"), steps, only=_mask(active, factors))
    data = tasks.sample(factors, "query")
    parts = {"query": learner.losses(data, context).mean(-1).sum()}
    if which is not None:
        best = changed(learner, stream.data, stream.context, data, context, active)
        moved = learner.mask(torch.where(torch.as_tensor(labels, device=best.device), which, best))
        forth = learner.losses(data, torch.where(moved, context, stream.context))
        back = learner.losses(stream.data, torch.where(moved, stream.context, context))
        parts["change"] = (forth + back).mean(-1).sum() / 2
    return parts, Stream(factors, data, context.detach())


class Found(NamedTuple):
    """What streams of tasks show of their factors.

    Attributes:
        joint: mean loss on new points after adaptation of all contexts, [M].
        one: mean loss on new points if only the context that changed may tell two tasks apart, [M].
        chosen: which context changed, int [M, T].
        true: which factor changed, int [M, T].
    """

    joint: Tensor
    one: Tensor
    chosen: Tensor
    true: Tensor


@torch.no_grad()
def follow(
    learner: ContextLearner, tasks: Tasks, count: int = 500, steps: int = 3, active: Tensor | None = None
) -> Found:
    """Return what `count` changes of one factor show; the choice rests on support data, the losses on new points."""
    factors = tasks.draw(count)
    which = torch.randint(factors.shape[-1], factors.shape[:-1], device=factors.device)
    pair = factors, tasks.change(factors, which)
    supports, queries = ([tasks.sample(f, part) for f in pair] for part in ("support", "query"))
    before, now = (learner.adapt(s, steps, only=_mask(active, f)) for s, f in zip(supports, pair, strict=True))
    chosen = changed(learner, supports[0], before, supports[1], now, active)
    one = unexplained(learner, queries[0], before, queries[1], now).gather(-1, chosen[..., None])[..., 0].mean(-1)
    return Found(learner.losses(queries[1], now).mean(-1), one, chosen, which)


def number(errors: Sequence[float], tolerance: float = 1.5) -> int:
    """Return the smallest number of contexts K whose error, `errors[K - 1]`, is within `tolerance` of the lowest."""
    return next(k for k, error in enumerate(errors, 1) if error <= tolerance * min(errors))


def agreement(chosen: Tensor, true: Tensor, contexts: int, factors: int) -> float:
    """Return the share of changes [T] whose context is that of the factor, under the best naming of the contexts."""
    size = max(contexts, factors)
    counts = torch.zeros(size, size)
    counts.index_put_((true.cpu(), chosen.cpu()), torch.ones(len(true)), accumulate=True)
    return max(float(sum(counts[f, k] for f, k in enumerate(order))) for order in permutations(range(size))) / len(true)


def _mask(active: Tensor | None, factors: Tensor) -> Tensor | None:
    return None if active is None else active.expand(*factors.shape[:-1], active.shape[-1])
