"""Collects data for the dynamics model: every robot walks every terrain for 20 s, one file a task."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from tensordict import TensorDict

import robots
from sim import backends
from sim.batched import Draw
from sim.config import CommandConfig, EnvConfig
from sim.env import QuadrupedEnv
from sim.factors import (
    FACTOR_NAMES,
    FACTOR_UNITS,
    NARROW,
    WIDE,
    RobotFactors,
    TerrainFactors,
    task_sequence,
)
from sim.terrain import KINDS, TerrainWorld, name

SCHEMA = 1
SIGNALS = {
    "angular_velocity": 3,
    "projected_gravity": 3,
    "joint_position": 12,
    "joint_velocity": 12,
    "action": 12,
    "torque": 12,
    "command": 3,
}
TERRAINS = (
    TerrainFactors("flat"),
    TerrainFactors("flat", friction=0.4),
    TerrainFactors("rough", 3),
    TerrainFactors("slope", 3),
    TerrainFactors("stairs", 1),
    TerrainFactors("stairs", 3),
    TerrainFactors("stairs", 5),
    TerrainFactors("blocks", 4),
)


@dataclass
class CollectConfig:
    """Collect walking data over the grid of robots and terrains.

    Attributes:
        policy: ONNX policy that walks; it sees no contexts.
        out: folder for the task files; finished tasks found there are kept.
        robot: which robot.
        num_robots: conditions; the first is the nominal robot, half of the others lie in the narrow range.
        seconds: length of a task, s.
        exploration: std of the noise added to actions.
        command_period: s between new velocity commands.
        batch: tasks simulated at once.
        sim: simulator, see docs/simulators.md.
        fine: `mujoco`'s physics right rather than fast: what is learned from feet that creep reads payloads wrongly.
    """

    policy: Path = Path("models/go1/calibration.onnx")
    out: Path = Path("runs/data")
    robot: str = "go1"
    num_robots: int = 160
    seconds: float = 20.0
    exploration: float = 0.15
    command_period: float = 2.5
    batch: int = 640
    sim: Literal["mujoco", "mujoco_warp", "isaacgym"] = "mujoco"
    fine: bool = True
    threads: int = 0
    seed: int = 1
    terrains: tuple[TerrainFactors, ...] = field(default=TERRAINS)

    @property
    def is_fine(self) -> bool:
        """Whether physics is: other simulators have their own."""
        return self.fine and self.sim == "mujoco"


def terrain_name(terrain: TerrainFactors) -> str:
    """Return the terrain's name; slippery flat ground has its own."""
    return "slippery" if terrain.friction < 0.5 else name(terrain.kind, terrain.level)


def draw_robots(count: int, seed: int) -> np.ndarray:
    """Return the robots of a collection, (count, 12): nominal first, then the narrow and the wide range in turn."""
    rng = np.random.default_rng(seed)
    narrow, wide = NARROW.sample(rng, count), WIDE.sample(rng, count)
    rows = np.where((np.arange(count) % 2 == 0)[:, None], narrow, wide)
    rows[0] = RobotFactors().as_array()
    return rows


def collect(config: CollectConfig, act: Callable[[TensorDict], torch.Tensor]) -> Iterator[tuple[int, int, float]]:
    """Write the task files that are missing; yield (tasks done, tasks in all, falls a minute) after each batch.

    Raises:
        ValueError: if a file that is there was collected with other settings.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(config.policy.read_bytes()).hexdigest()
    conditions = draw_robots(config.num_robots, config.seed)
    tasks = list(enumerate(task_sequence(config.num_robots, len(config.terrains))))
    headers = [_header(config, robot, terrain, conditions[robot], digest) for _, (robot, terrain) in tasks]
    missing = [task for task in tasks if not task_path(config.out, task[0]).exists()]
    for task in {number for number, _ in tasks} - {number for number, _ in missing}:
        _agree(task_path(config.out, task), headers[task])
    done = len(tasks) - len(missing)
    for start in range(0, len(missing), config.batch):
        chunk = missing[start : start + config.batch]
        robot_ids = np.array([robot for _, (robot, _) in chunk])
        terrain_ids = np.array([terrain for _, (_, terrain) in chunk])
        record, falls = _walk(config, conditions[robot_ids], [config.terrains[t] for t in terrain_ids], act, start)
        for row, (task, _) in enumerate(chunk):
            signals = {key: value[:, row] for key, value in record.items()}
            _write(task_path(config.out, task), {**headers[task], "falls": int(falls[row])}, signals)
        done += len(chunk)
        yield done, len(tasks), float(falls.sum() / (len(chunk) * config.seconds / 60.0))


def task_path(folder: Path, task: int) -> Path:
    """Return the file of a task."""
    return folder / f"task_{task:05d}.safetensors"


def _walk(
    config: CollectConfig,
    factors: np.ndarray,
    terrains: list[TerrainFactors],
    act: Callable[[TensorDict], torch.Tensor],
    seed: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Simulate one batch of tasks; return signals (T, n, size) and how often each robot fell, (n,)."""
    count, spec = len(factors), robots.load(config.robot)
    setup = EnvConfig(config.robot, config.sim, count, config.threads, config.is_fine, seed=config.seed + seed)
    setup.commands, setup.stall_s = CommandConfig(period=config.command_period), 0.0
    world = TerrainWorld(setup.terrain.seed, tuple(kind for kind in KINDS if kind in {t.kind for t in terrains}))
    env = QuadrupedEnv(setup, spec, backends.make(setup, spec, world))
    kinds = np.array([KINDS.index(t.kind) for t in terrains])
    levels, friction = np.array([t.level for t in terrains]), np.array([t.friction for t in terrains])
    env.assign(kinds, levels, factors, friction)
    draw = Draw(config.seed + seed, env.device)
    steps, falls = round(config.seconds / spec.control_dt), torch.zeros(count, device=env.device)
    record = {key: torch.zeros(steps, count, size, device=env.device) for key, size in SIGNALS.items()}
    record["segment"] = torch.zeros(steps, count, dtype=torch.int32, device=env.device)
    segment = torch.zeros(count, dtype=torch.int32, device=env.device)
    for t in range(steps):
        action = act(env.get_observations()).to(env.device)
        action = action + config.exploration * draw.normal(*action.shape)
        for key, value in _signals(env, action).items():
            record[key][t] = value
        record["segment"][t] = segment
        _, _, done, extras = env.step(action)
        segment += done
        falls += done & ~extras["time_outs"]
    return {key: value.cpu().numpy() for key, value in record.items()}, falls.cpu().numpy()


def _signals(env: QuadrupedEnv, action: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the signals at the start of a step; the torque is that at the end of the step before."""
    return {
        "angular_velocity": env.sim.root_angular_velocity,
        "projected_gravity": env.gravity,
        "joint_position": env.joint_offset,
        "joint_velocity": env.sim.joint_velocity,
        "action": action,
        "torque": env.sim.joint_torque,
        "command": env.command,
    }


def _header(config: CollectConfig, robot: int, terrain: int, factors: np.ndarray, digest: str) -> dict[str, Any]:
    """Return what a task's file says of it, but for the falls."""
    spec, ground = robots.load(config.robot), config.terrains[terrain]
    return {
        "schema": SCHEMA,
        "kind": "task",
        "robot": spec.name,
        "robot_digest": spec.digest(),
        "control_dt": spec.control_dt,
        "robot_id": robot,
        "terrain_id": terrain,
        "robot_factors": dict(zip(FACTOR_NAMES, map(float, factors), strict=True)),
        "factor_units": FACTOR_UNITS,
        "terrain": {
            "name": terrain_name(ground),
            "kind": ground.kind,
            "level": ground.level,
            "friction": ground.friction,
        },
        "seconds": config.seconds,
        "exploration": config.exploration,
        "physics": "fine" if config.is_fine else "fast",
        "seed": config.seed,
        "policy_sha256": digest,
    }


def _agree(path: Path, wanted: dict[str, Any]) -> None:
    """Raise a ValueError unless a task that is there is the one that would be collected."""
    try:
        with safe_open(path, framework="np") as file:
            there = json.loads(file.metadata()["dmcm"])
    except Exception as problem:  # safetensors raises errors of many kinds
        raise ValueError(f"{path} is damaged: remove it, and collect again") from problem
    if differ := [name for name, value in wanted.items() if there.get(name) != value]:
        raise ValueError(
            f"{path} was collected with another {', '.join(differ)}: give another --out, or remove that folder"
        )


def _write(path: Path, header: dict[str, Any], signals: dict[str, np.ndarray]) -> None:
    """Write one task file, atomically."""
    partial = path.with_suffix(".partial")
    arrays = {key: np.ascontiguousarray(value) for key, value in signals.items()}
    save_file(arrays, partial, metadata={"dmcm": json.dumps(header)})
    os.replace(partial, path)
