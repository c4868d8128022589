"""The context bank: contexts of the training robots and of the terrains, which the policy's training looks up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynamics_model.adaptation import alternate, pair_contexts, robot_contexts
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel, ModelInfo, read_safetensors, write_safetensors
from dynamics_model.probes import farther, fit_probes
from dynamics_model.validate import support

SCHEMA = 1
NOMINAL_DRAWS = 8


@dataclass(frozen=True)
class BankConfig:
    """How to build a bank.

    Attributes:
        model: `model.safetensors` of a training run.
        dataset: the folder it was trained on.
        output: the bank's file.
        flat: name of the terrain on which robots are adapted.
        seed: of noise and sampling.
        threads: torch threads.
    """

    model: Path
    dataset: Path
    output: Path
    flat: str = "flat"
    seed: int = 0
    threads: int = 2


@dataclass
class Bank:
    """Contexts and what they belong to.

    Attributes:
        robot_contexts, robot_factors: of the training robots [R, robot], [R, F].
        terrain_contexts: [K, terrain], names in `metadata["terrains"]`.
        nominal_robot: context of the unchanged robot [robot].
        pair_contexts: of a model with a single context: the robots' on every terrain [R, K, C]; else None.
        metadata: the header, with robot, digests, factor names and units, probes.
    """

    robot_contexts: Tensor
    robot_factors: Tensor
    terrain_contexts: Tensor
    nominal_robot: Tensor
    metadata: dict[str, Any]
    pair_contexts: Tensor | None = None

    def save(self, path: Path) -> None:
        """Write the bank, atomically."""
        names = ("robot_contexts", "robot_factors", "terrain_contexts", "nominal_robot", "pair_contexts")
        tensors = {name: getattr(self, name) for name in names}
        held = {name: value.contiguous() for name, value in tensors.items() if value is not None}
        write_safetensors(path, held, self.metadata)


def load_bank(path: Path) -> Bank:
    """Return the bank in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelError: if it is damaged or not a bank.
    """
    tensors, metadata = read_safetensors(path, "bank", SCHEMA)
    return Bank(**tensors, metadata=metadata)


def run(config: BankConfig) -> Path:
    """Build the bank and return its path.

    Raises:
        FileNotFoundError, ValueError: for unusable files, or a dataset that the model was not trained on.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    model, info = DynamicsModel.load(config.model)
    data = Dataset.read(config.dataset, model.config.history, model.config.torque)
    build(model, info, data, config.flat).save(config.output)
    return config.output


def build(model: DynamicsModel, info: ModelInfo, data: Dataset, flat: str = "flat") -> Bank:
    """Return the bank of a model, whose terrain contexts are refitted in place.

    Robots are adapted on their whole log on flat ground, terrains fitted on many robots whose contexts are held;
    probes are fitted and judged on contexts from 16 s with sensor noise, as the field has them; judged on the held-out
    robots farther from the nominal one, since whoever reads a context asks about a robot that is not as it should be.

    Raises:
        ValueError: if the dataset is not the one the model was trained on.
    """
    if (data.robot, data.robot_digest, data.terrains) != (info.robot, info.robot_digest, info.terrains):
        raise ValueError("dataset: other robot or terrains than the model was trained on, give the training dataset")
    terrain = data.terrain_index(flat)
    train, held = _rows(data, info.train_robots, terrain), _rows(data, info.held_out_robots, terrain)
    noise = SensorNoise(**info.noise)
    options: dict[str, Any] = {"steps": info.inner_steps, "rate": info.inner_rate, "noise": noise}
    contexts = alternate(model, data, train, terrain, rounds=2, count=support(data, terrain), **options)
    held_contexts = robot_contexts(model, data, held, terrain, count=support(data, terrain), **options)
    far = farther(data, held)
    probes = fit_probes(data, train, contexts, held[far], held_contexts[far])
    whole = int(data.count.max())
    final = robot_contexts(model, data, train, terrain, count=whole, **options)
    metadata = {
        "schema": SCHEMA,
        "kind": "bank",
        "robot": info.robot,
        "robot_digest": info.robot_digest,
        "dynamics_digest": model.digest(),
        "factor_names": data.factor_names,
        "factor_units": data.factor_units,
        "robot_ids": [data.robot_ids[i] for i in train],
        "terrains": data.terrains,
        "probes": [probe.metadata() for probe in probes],
        "disentanglement": disentanglement(model, data, train[:32], options),
    }
    nominal = _nominal(model, data, terrain, whole, options)
    pairs = pair_contexts(model, data, train, count=whole, **options) if model.config.single else None
    return Bank(final, data.factors[train], model.terrain_contexts.clone(), nominal, metadata, pairs)


def disentanglement(model: DynamicsModel, data: Dataset, robots: Tensor, options: dict[str, Any]) -> float:
    """Return how far a robot's context depends on the terrain it was found on: variance within over between robots.

    0: not at all; 1: as much as on the robot.
    """
    everywhere = robots[(data.grid[robots] >= 0).all(1)]
    if len(everywhere) < 2 or len(data.terrain_ids) < 2:
        return 0.0
    found = torch.stack(
        [
            robot_contexts(model, data, everywhere, column, count=support(data, column), **options)
            for column in range(len(data.terrain_ids))
        ]
    )
    within = found.var(0).mean()
    return float(within / found.mean(0).var(0).mean().clamp_min(1e-12))


def _rows(data: Dataset, ids: list[int], terrain: int) -> Tensor:
    missing = set(ids) - set(data.robot_ids)
    if missing:
        raise ValueError(
            f"dataset: lacks robot {min(missing)} of the training set, give the dataset the model was trained on"
        )
    rows = [data.robot_ids.index(identity) for identity in ids]
    return torch.tensor([i for i in rows if data.grid[i, terrain] >= 0], dtype=torch.long)


def _nominal(model: DynamicsModel, data: Dataset, terrain: int, count: int, options: dict[str, Any]) -> Tensor:
    """Return the context of robot 0, the unchanged one, mean over noise; without it zero, the mean robot."""
    if 0 not in data.robot_ids or data.grid[data.robot_ids.index(0), terrain] < 0:
        return torch.zeros(model.context_sizes[0])
    rows = torch.full((NOMINAL_DRAWS,), data.robot_ids.index(0))
    return robot_contexts(model, data, rows, terrain, count=count, **options).mean(0)
