"""Coordinates for a context in which plain gradient descent is fast: unit spread, diagonal curvature, a rate per entry.

A payload changes the prediction a thousand times less than a gain does; with one rate for both, the gradient finds the
gain and never the payload. The new coordinates are folded into the network's weights and cost nothing afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dynamics_model.meta import Batch
from dynamics_model.network import DynamicsModel

SHRINK = 1e-3  # relative variance below which a direction of the reference contexts counts as unused
FLOOR = 1e-6  # relative curvature below which a direction's rate stops growing
POINTS = 800  # samples on which contexts are adapted: with them the prior adds its own curvature


def curvature(model: DynamicsModel, batch: Batch, context: Tensor, name: str) -> Tensor:
    """Return the Gauss-Newton curvature of the loss in the context `name`, mean over the tasks, [size, size]."""
    learner = model.learner
    place = learner.slices[name]
    with torch.no_grad():
        weight = learner.loss.curvature(learner.predict(batch.x, context), batch.y).sqrt()
        columns = []
        for entry in range(place.start, place.stop):
            direction = torch.zeros_like(context)
            direction[:, entry] = 1.0
            _, change = torch.func.jvp(lambda c: learner.predict(batch.x, c), (context,), (direction,))
            columns.append((change * weight).flatten())
        jacobian = torch.stack(columns, 1)
    return jacobian.T @ jacobian / (batch.x.shape[0] * batch.x.shape[1])


@torch.no_grad()
def precondition(
    model: DynamicsModel, batch: Batch, context: Tensor, reference: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """Change the coordinates of the context `name` so that adaptation with `learner.rate()` is well conditioned.

    Afterwards zero is the mean of `reference`, its spread is one, the curvature is diagonal, and every entry's rate is
    the inverse of its curvature, the prior's as it is with POINTS samples included: with a few dozen it is much larger,
    and steps in a direction that little but the prior holds diverge. Predictions do not change.

    Args:
        model: changed in place.
        batch: normalised data of B tasks.
        context: both contexts of these tasks [B, C].
        reference: contexts `name` over which spread is measured, old coordinates [R, size].
        name: which context.

    Returns:
        (matrix [size, size], offset [size]): old = offset + matrix @ new; `to_new` converts.
    """
    learner = model.learner
    place = learner.slices[name]
    bend = curvature(model, batch, context, name)
    offset = reference.mean(0)
    spread = (reference - offset).T @ (reference - offset) / max(len(reference) - 1, 1)
    values, vectors = torch.linalg.eigh(spread)
    root = (vectors * values.clamp_min(SHRINK * values.max().clamp_min(1e-12)).sqrt()) @ vectors.T
    values, vectors = torch.linalg.eigh(root @ bend @ root)
    matrix = root @ vectors
    learner.network.fold(place, matrix, offset)
    floor = learner.prior / POINTS + FLOOR * values.max().clamp_min(1e-12)
    learner.log_rate[place] = -(values.clamp_min(0.0) + floor).log()
    if name == "terrain":
        model.terrain_contexts.copy_(to_new(model.terrain_contexts, matrix, offset))
    return matrix, offset


def to_new(contexts: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Return contexts [..., size] in the new coordinates."""
    return torch.linalg.solve(matrix, (contexts - offset).mT).mT
