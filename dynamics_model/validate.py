"""How well a model serves robots that it was not trained on: errors, and readings of their contexts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics_model.adaptation import robot_paths
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel
from dynamics_model.precondition import precondition, to_new
from dynamics_model.probes import Probe, fit_probes, gate

SUPPORT = 800  # transitions to adapt on: 16 s of 20, as in the field; the rest judges
JUDGED = (0.85, 1.0)
PROBED = 96  # training robots that probes are fitted on
STEPS, RATES = (5, 10, 15, 20), (0.5, 0.25)  # that `choose_steps` tries


def support(data: Dataset, terrain: int) -> int:
    """Return how many transitions of a log on `terrain` to adapt on: SUPPORT, or four fifths of shorter logs."""
    tasks = data.grid[:, terrain]
    return min(SUPPORT, int(0.8 * int(data.count[tasks[tasks >= 0]].median())))


@torch.no_grad()
def condition(model: DynamicsModel, data: Dataset, robots: Tensor, contexts: Tensor, noise: SensorNoise) -> Tensor:
    """Make adaptation of `model` well conditioned, in place, and return `contexts` [R, robot] in its new coordinates.

    Args:
        model: its terrain contexts are transformed too.
        data: where the logs are.
        robots: rows of training robots.
        contexts: their robot contexts, over which the spread is measured.
        noise: sensor noise.
    """
    pick = torch.randperm(len(robots))[:64]
    references = {"robot": contexts, "terrain": model.terrain_contexts.clone()}
    if model.config.single:
        references = {"robot": (contexts[:, None] + model.terrain_contexts).flatten(0, 1)}
    for name, reference in references.items():
        column = torch.randint(len(data.terrain_ids), (len(pick),))
        task = data.grid[robots[pick], column]
        held = task >= 0
        batch = model.normalise(data.sample(task[held], 64, noise=noise))
        both = model.contexts(contexts[pick[held]], model.terrain_contexts[column[held]])
        matrix, offset = precondition(model, batch, both, reference, name)
        if name == "robot":
            contexts = to_new(contexts, matrix, offset)
        if model.config.single:
            model.terrain_contexts.copy_(to_new(model.terrain_contexts, matrix, torch.zeros_like(offset)))
    return contexts


@dataclass(frozen=True)
class Ground:
    """What a model is judged on.

    Attributes:
        data: where the logs are.
        train, held: rows of the robots that train and of those that do not.
        terrain: column of the terrain on which robots are adapted.
        noise: sensor noise.
    """

    data: Dataset
    train: Tensor
    held: Tensor
    terrain: int
    noise: SensorNoise

    @property
    def probed(self) -> Tensor:
        """Rows that probes are fitted on: training robots with a log on the terrain, at most PROBED."""
        return self.train[self.data.grid[self.train, self.terrain] >= 0][:PROBED]

    @property
    def readable(self) -> bool:
        """Whether there are robots enough for probes."""
        return min(len(self.held), len(self.probed)) >= 3

    def paths(self, model: DynamicsModel, robots: Tensor, steps: int, rate: float) -> Tensor:
        """Return the contexts of `robots` (rows) after 0 .. `steps` gradient steps, [steps + 1, R, robot]."""
        options: dict[str, Any] = {"count": support(self.data, self.terrain), "noise": self.noise}
        return robot_paths(model, self.data, robots, self.terrain, steps=steps, rate=rate, **options)

    def probes(self, contexts: Tensor, held_contexts: Tensor) -> list[Probe]:
        """Return probes from the contexts of `probed` and of `held`."""
        return fit_probes(self.data, self.probed, contexts, self.held, held_contexts)


@torch.no_grad()
def errors(model: DynamicsModel, ground: Ground, contexts: Tensor) -> dict[str, float]:
    """Return errors of the held-out robots, whose contexts are given, in units of the targets' variance.

    `nominal`, `adapted`: on the end of their log on the ground's terrain, with the zero context and with `contexts`;
    `transfer_nominal`, `transfer`: the same on all other terrains, whose contexts the model knows.
    """
    data, held = ground.data, ground.held
    zero = torch.zeros_like(contexts)
    found: dict[str, list[Tensor]] = {"nominal": [], "adapted": [], "transfer_nominal": [], "transfer": []}
    for column in range(len(data.terrain_ids)):
        here = data.grid[held, column] >= 0
        if not bool(here.any()):
            continue
        window = JUDGED if column == ground.terrain else (0.0, 1.0)
        batch = model.normalise(data.sample(data.grid[held[here], column], 128, window, ground.noise))
        names = ("nominal", "adapted") if column == ground.terrain else ("transfer_nominal", "transfer")
        for name, robot in zip(names, (zero, contexts), strict=True):
            both = model.contexts(robot[here], model.terrain_contexts[column])
            found[name].append(model.error(batch, both))
    return {name: float(torch.cat(values).mean()) for name, values in found.items() if values}


def judge(model: DynamicsModel, ground: Ground, steps: int, rate: float) -> dict[str, Any]:
    """Return figures of a conditioned model on held-out robots: errors, and R2 of every reading with their `gate`."""
    held = ground.paths(model, ground.held, steps, rate)[-1]
    figures: dict[str, Any] = dict(errors(model, ground, held))
    if ground.readable:
        probes = ground.probes(ground.paths(model, ground.probed, steps, rate)[-1], held)
        figures["r2"] = {probe.name: probe.r2 for probe in probes}
        figures["median_error"] = {probe.name: probe.median_error for probe in probes}
        figures["gate"] = gate(probes)
    return figures


def preview(model: DynamicsModel, ground: Ground, robots: Tensor, contexts: Tensor) -> dict[str, Any]:
    """Return `judge`'s figures of a copy of `model`, conditioned on training `robots` (rows) and their `contexts`.

    The random state stays as it is.
    """
    state = torch.get_rng_state()
    twin = copy.deepcopy(model)
    condition(twin, ground.data, robots, contexts, ground.noise)
    figures = judge(twin, ground, steps=8, rate=0.5)
    torch.set_rng_state(state)
    return figures


def choose_steps(model: DynamicsModel, ground: Ground) -> tuple[int, float]:
    """Return the number of gradient steps and the multiple of the rates that read held-out robots best.

    Without enough robots for readings it is the pair of the lowest adapted error.
    """
    best: tuple[float, int, float] | None = None
    for rate in RATES:
        held = ground.paths(model, ground.held, max(STEPS), rate)
        probed = ground.paths(model, ground.probed, max(STEPS), rate) if ground.readable else held
        for step in STEPS:
            if ground.readable:
                score = gate(ground.probes(probed[step], held[step]))
            else:
                score = -errors(model, ground, held[step])["adapted"]
            if best is None or score > best[0] + 1e-3:
                best = (score, step, rate)
    assert best is not None
    return best[1], best[2]
