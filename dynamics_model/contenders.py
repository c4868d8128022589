"""What the quadruped's dynamics model is compared with: ways to train one, each by its name, all with the same budget.

The budget is counted in iterations of 4096 transitions; an iteration of chains, which differentiates through the inner
steps, counts as CHAIN_COST of them, as it takes about so much longer. Chains have few points and many iterations: in
the same time a network learns more by them than by fewer with more points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynamics_model.chains import ChainConfig
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import ModelConfig
from dynamics_model.probes import readings
from dynamics_model.train import StageConfig, TrainConfig, Trainer, TrainResult

CHAIN_COST, CHAIN_POINTS = 4, 64
KINDS = ("flat", "rough", "slope", "stairs", "blocks")
LEVELS, FRICTION = 7.0, 0.8  # what difficulty and friction of a terrain are divided by


@dataclass(frozen=True)
class Method:
    """A way to train a dynamics model.

    Attributes:
        name: of it.
        table, chains: shares of the budget for the two stages.
        single: one context (CAVIA) instead of two.
        anchor: the table's robot contexts are a map of the true factors plus a free part.
        known: instead of learned contexts the true factors ("true"), or nothing ("nothing").
        history: frames, if other than the configuration's.
        torque: measured joint torques are an input.
    """

    name: str
    table: float = 0.0
    chains: float = 0.0
    single: bool = False
    anchor: bool = False
    known: str = ""
    history: int | None = None
    torque: bool = False


METHODS = {
    method.name: method
    for method in (
        Method("none", table=1.0, known="nothing"),
        Method("history", table=1.0, known="nothing", history=10),
        Method("true", table=1.0, known="true"),
        Method("table", table=1.0),
        Method("table_anchor", table=1.0, anchor=True),
        Method("dmcm", chains=1.0),
        Method("table_dmcm", table=0.5, chains=0.5),
        Method("table_anchor_dmcm", table=0.5, chains=0.5, anchor=True),
        Method("cavia", chains=1.0, single=True),
        Method("table_cavia", table=0.5, chains=0.5, single=True),
        Method("table_anchor_torque", table=1.0, anchor=True, torque=True),
        Method("none_torque", table=1.0, known="nothing", torque=True),
    )
}


@dataclass(frozen=True)
class Split:
    """Rows of the dataset's robots: those that train, those that choices are made on, and those that judge.

    Attributes:
        train, validation: inside the training ranges.
        test: by the name of the split: "id" inside the ranges, "ood" outside.
    """

    train: Tensor
    validation: Tensor
    test: dict[str, Tensor]


def is_outside(data: Dataset) -> Tensor:
    """Return which robots no method trains on, [R]: more than 2 kg, or less than 0.7 of the nominal stiffness."""
    column = dict(zip(data.factor_names, data.factors.unbind(1), strict=True))
    return (column["payload"] > 2.0) | (column["kp_scale"] < 0.7)


def split(data: Dataset, seed: int, share: float = 0.15) -> Split:
    """Return who trains, validates and tests; robot 0, the nominal one, trains.

    Raises:
        ValueError: if a part has fewer than three robots.
    """
    whole = (data.grid >= 0).all(1)
    inside = (whole & ~is_outside(data)).nonzero()[:, 0]
    others = inside[torch.tensor([data.robot_ids[i] != 0 for i in inside])]
    order = others[torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))]
    count = max(3, round(share * len(order)))
    parts = Split(
        torch.cat([inside[: len(inside) - len(others)], order[2 * count :]]).sort().values,
        order[:count],
        {"id": order[count : 2 * count], "ood": (whole & is_outside(data)).nonzero()[:, 0]},
    )
    if min(len(parts.train), *(len(rows) for rows in parts.test.values())) < 3:
        raise ValueError(f"dataset: {len(data.robot_ids)} robots are too few to train and test on, collect 48 or more")
    return parts


def configure(
    method: Method, base: TrainConfig, data: Dataset, budget: int, out: Path, chain_rate: float
) -> TrainConfig:
    """Return the training configuration of a method; `base` says what all have in common.

    Its chains go on from a table, with small steps; those of a method without one learn at `chain_rate`.
    """
    model = replace(
        base.model, single=method.single, torque=method.torque, history=method.history or base.model.history
    )
    if method.known:
        sizes = (len(readings(data)[0]), len(KINDS) + 2) if method.known == "true" else (1, 1)
        model = replace(model, robot=sizes[0], terrain=sizes[1])
    chains = base.chains_stage
    if not method.table:
        chains = replace(chains, learning_rate=chain_rate, context_learning_rate=base.table.context_learning_rate)
    return replace(
        base,
        output=out / method.name,
        model=model,
        anchor=method.anchor,
        table=replace(base.table, iterations=round(method.table * budget), seconds=math.inf, validate_every=10**9),
        chains_stage=replace(
            chains, iterations=round(method.chains * budget / CHAIN_COST), seconds=math.inf, validate_every=10**9
        ),
        resume=(out / method.name / "checkpoint.safetensors").exists(),
    )


def base_config(dataset: Path, model: ModelConfig, seed: int, threads: int) -> TrainConfig:
    """Return what all methods have in common."""
    return TrainConfig(
        dataset,
        Path(),
        seed=seed,
        threads=threads,
        model=model,
        table=StageConfig(1),
        chains_stage=StageConfig(1, learning_rate=3e-4, context_learning_rate=3e-3),
        chains=ChainConfig(),
        noise=SensorNoise(),
        points=CHAIN_POINTS,
        checkpoint_seconds=30.0,
    )


def train(method: Method, config: TrainConfig, data: Dataset, parts: Split) -> TrainResult:
    """Train a method, or go on with it; a signal ends it with a checkpoint."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    kind = KnownTrainer if method.known else Trainer
    return kind(config, data, (parts.train, parts.validation)).run()


class Known(nn.Module):
    """Contexts of the training robots and the terrains that are known; none is trained."""

    def __init__(self, robots: Tensor, terrains: Tensor) -> None:
        """Take the contexts [R, c], [K, d]."""
        super().__init__()
        self.register_buffer("robot", robots, persistent=False)
        self.register_buffer("terrain", terrains, persistent=False)

    def contexts(self, robot: Tensor, terrain: Tensor) -> Tensor:
        """Return what the network takes [B, C], of robots (positions in `train`) on terrains."""
        return torch.cat([self.robot[robot], self.terrain[terrain]], -1)

    def penalty(self) -> Tensor:
        """Return zero: there is nothing to hold back."""
        return self.robot.new_zeros(())


class KnownTrainer(Trainer):
    """Trains a network under contexts that it is given."""

    def make_table(self) -> Known:
        """Return the known contexts."""
        robots, terrains = known_contexts(self.data, self.train, self.model.config)
        return Known(robots[self.train], terrains)

    def take_over(self) -> None:
        """Give the model its terrains."""
        self.model.terrain_contexts.copy_(self.table.terrain)

    def judge(self) -> tuple[int, float, dict[str, Any]]:
        """Return nothing of use: there is nothing to adapt."""
        return 1, 1.0, {}

    def _validate(self, stage: str, loss: float | None) -> str:
        return ""


def known_contexts(data: Dataset, train: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return the contexts [R, c], [K, d] of a model that knows: the true factors, or with sizes of 1 nothing."""
    if (config.robot, config.terrain) == (1, 1):
        return torch.zeros(len(data.robot_ids), 1), torch.zeros(len(data.terrain_ids), 1)
    return true_contexts(data, train)


def true_contexts(data: Dataset, train: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true factors of all robots [R, P], and kind, difficulty and friction of all terrains [K, 7]."""
    values = readings(data)[2]
    robots = (values - values[train].mean(0)) / values[train].std(0).clamp_min(1e-6)
    terrains = torch.zeros(len(data.terrain_ids), len(KINDS) + 2)
    for column, task in enumerate(_one_task_each(data)):
        ground = data.tasks[task].terrain
        terrains[column, KINDS.index(ground["kind"])] = 1.0
        terrains[column, -2] = ground["level"] / LEVELS if ground["kind"] != "flat" else 0.0
        terrains[column, -1] = ground.get("friction", FRICTION) / FRICTION - 1.0
    return robots, terrains


def _one_task_each(data: Dataset) -> list[int]:
    return [int(column[column >= 0][0]) for column in data.grid.unbind(1)]
