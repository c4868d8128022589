"""Contexts of robots and terrains from their data, as the field finds them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel

CHUNK = 16  # robots adapted at once: bounds memory


@torch.no_grad()
def robot_paths(
    model: DynamicsModel,
    data: Dataset,
    robots: Tensor,
    terrain: int,
    *,
    count: int = 800,
    steps: int = 10,
    rate: float = 0.5,
    noise: SensorNoise | None = None,
) -> Tensor:
    """Return the robot contexts after 0 .. `steps` gradient steps on one log each, [steps + 1, R, robot].

    Args:
        model: its `terrain_contexts` are held; a single context is adapted as a whole.
        data: where the logs are.
        robots: rows of the robots, all with data on the terrain.
        terrain: column of the terrain.
        count: transitions, from the log's start.
        steps: gradient steps from the zero context.
        rate: multiple of the learned rates.
        noise: sensor noise of the logs.
    """
    paths = []
    given = {} if model.config.single else {"terrain": model.terrain_contexts[terrain]}
    for rows in robots.split(CHUNK):
        batch = model.normalise(data.log(data.grid[rows, terrain], 0, count, noise))
        path = model.learner.path(
            batch, steps, only="robot", given=given, rate=model.learner.rate() * rate, second_order=False
        )
        paths.append(torch.stack([context[:, model.learner.slices["robot"]] for context in path]))
    return torch.cat(paths, 1)


def robot_contexts(model: DynamicsModel, data: Dataset, robots: Tensor, terrain: int, **options) -> Tensor:
    """Return the robot contexts after the last step, [R, robot]; the arguments are those of `robot_paths`."""
    return robot_paths(model, data, robots, terrain, **options)[-1]


def fit_terrains(
    model: DynamicsModel,
    data: Dataset,
    robots: Tensor,
    contexts: Tensor,
    *,
    steps: int = 30,
    rate: float = 0.5,
    points: int = 64,
    group: int = 32,
    noise: SensorNoise | None = None,
) -> None:
    """Set `model.terrain_contexts`: each fitted on many robots at once, whose contexts are held.

    Args:
        model: changed in place; its present terrain contexts are the start.
        data: where the logs are.
        robots: rows of the robots.
        contexts: their contexts [R, robot].
        steps: gradient steps, each on other robots and moments.
        rate: multiple of the learned rates, falling to a tenth of it.
        points: transitions per robot and terrain in a step.
        group: robots in a step.
        noise: sensor noise.
    """
    learner = model.learner
    place = learner.slices["terrain"]
    speed = learner.rate().detach()[place] * rate
    terrain = model.terrain_contexts.clone()
    count = terrain.shape[0]
    for step in range(steps):
        rows = torch.randperm(len(robots))[:group]
        robot, column = torch.meshgrid(rows, torch.arange(count), indexing="ij")
        task = data.grid[robots[robot], column]
        robot, column, task = robot[task >= 0], column[task >= 0], task[task >= 0]
        batch = model.normalise(data.sample(task, points, noise=noise))
        terrain.requires_grad_(True)
        losses = learner.losses(batch, torch.cat([contexts[robot], terrain[column]], -1))
        mean = torch.zeros(count).index_add(0, column, losses) / column.bincount(minlength=count).clamp_min(1)
        (gradient,) = torch.autograd.grad(mean.sum(), terrain)
        terrain = terrain.detach() - speed * (1.0 - 0.9 * step / max(steps - 1, 1)) * gradient
    model.terrain_contexts.copy_(terrain)


def pair_contexts(model: DynamicsModel, data: Dataset, robots: Tensor, **options) -> Tensor:
    """Return a single context for every robot on every terrain, [R, K, C]; where there is no data, the robots' mean.

    `options` are those of `robot_paths`.
    """
    columns = []
    for column in range(len(data.terrain_ids)):
        here = data.grid[robots, column] >= 0
        found = robot_contexts(model, data, robots[here], column, **options)
        whole = found.mean(0).repeat(len(robots), 1)
        whole[here] = found
        columns.append(whole)
    return torch.stack(columns, 1)


def fit_offsets(model: DynamicsModel, data: Dataset, robots: Tensor, terrain: int, **options) -> Tensor:
    """Set `model.terrain_contexts` to what every terrain adds to a robot's single context found on `terrain`.

    Returns:
        The contexts of the robots on `terrain`, [R, C].
    """
    pairs = pair_contexts(model, data, robots, **options)
    model.terrain_contexts.copy_((pairs - pairs[:, terrain, None]).mean(0))
    return pairs[:, terrain]


def alternate(model: DynamicsModel, data: Dataset, robots: Tensor, terrain: int, rounds: int, **options: Any) -> Tensor:
    """Fit terrain contexts and robot contexts in turn and return the latter [R, robot]; single ones once.

    Args:
        model: its terrain contexts are changed in place.
        data: where the logs are.
        robots: rows of the robots.
        terrain: column of the terrain on which robots are adapted.
        rounds: how often.
        **options: of `robot_contexts`.
    """
    if model.config.single:
        return fit_offsets(model, data, robots, terrain, **options)
    contexts = robot_contexts(model, data, robots, terrain, **options)
    for _ in range(rounds):
        fit_terrains(model, data, robots, contexts, noise=options.get("noise"))
        contexts = robot_contexts(model, data, robots, terrain, **options)
    return contexts
