"""Compares simulators: the same robots and the same policy on two of them, row by row, within stated tolerances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tensordict import TensorDict

import models
import robots
from policy import inference
from robots.spec import RobotSpec
from sim import backends
from sim.config import CommandConfig, EnvConfig, NoiseConfig, TerrainConfig
from sim.env import QuadrupedEnv
from sim.factors import NARROW, NUISANCE_NOMINAL, RobotFactors
from sim.simulator import Simulator
from sim.terrain import KINDS, TerrainWorld, name, tile_center, used_kinds

GROUNDS = (("flat", 0), ("rough", 2), ("slope", 3), ("stairs", 2))
AIR_HEIGHT, AIR_SECONDS, SWING = 10.0, 1.0, 0.4  # m, s, rad
STAND_SECONDS = 1.0
WARM_UP = 1.0  # s of walking that are not measured
FRICTION = 0.8

# What may differ: absolutely, or as a share of the reference, whichever is more.
TOLERANCES = {
    "air": (0.01, 0.0),  # rad
    "height": (0.005, 0.0),  # m
    "speed": (0.05, 0.10),  # m/s
    "torque": (0.2, 0.10),  # N m
    "falls": (1.0, 0.0),
}


@dataclass(frozen=True)
class ParityConfig:
    """Compare simulators with the first one named.

    Attributes:
        sims: simulators; the first is the reference.
        robot: which robot.
        policy: ONNX policy that walks without contexts; the shipped `vanilla.onnx` by default.
        num_envs: robots, each in a condition of its own from the narrow range; the first is the nominal robot.
        seconds: of walking on each terrain.
        speed: forward command, m/s.
        device: of the GPU simulators.
        isaacgym_python: interpreter with Isaac Gym; DMCM_ISAACGYM_PYTHON by default.
        seed: of robots and starts.
        json: file for the figures.
    """

    sims: tuple[Literal["mujoco", "mujoco_warp", "isaacgym"], ...] = ("mujoco", "mujoco_warp")
    robot: str = "go1"
    policy: Path | None = None
    num_envs: int = 16
    seconds: float = 5.0
    speed: float = 0.6
    device: str = "auto"
    isaacgym_python: Path | None = None
    seed: int = 0
    json: Path | None = None


def compare(config: ParityConfig) -> dict[str, Any]:
    """Return the tables, one for each simulator but the first.

    Raises:
        ValueError: if fewer than two simulators are named, or one twice.
    """
    if len(config.sims) < 2 or len(set(config.sims)) < len(config.sims):
        raise ValueError(f"--sims {' '.join(config.sims)}: name two or more different simulators, the reference first")
    reference, *others = [measure(config, sim) for sim in config.sims]
    tables = {sim: rows(reference, other) for sim, other in zip(config.sims[1:], others, strict=True)}
    return {
        "reference": config.sims[0],
        "pairs": {sim: {"rows": table, "pass": all(row["pass"] for row in table)} for sim, table in tables.items()},
        "robot": config.robot,
        "num_envs": config.num_envs,
        "seconds": config.seconds,
        "command_ms": config.speed,
    }


def measure(config: ParityConfig, sim: str) -> dict[str, Any]:
    """Return what one simulator makes of the robots: in the air, standing, and walking on each terrain."""
    setup, spec = _setup(config, sim), robots.load(config.robot)
    made = backends.make(setup, spec, TerrainWorld(setup.terrain.seed, used_kinds(setup.terrain.shares)))
    found: dict[str, Any] = {"air": air(made, spec, config), "height": standing(made, spec, config)}
    env = QuadrupedEnv(setup, spec, made)
    act = inference.load(config.policy or models.path(config.robot) / "vanilla.onnx", spec)
    for kind, level in GROUNDS:
        env.assign(
            np.full(env.num_envs, KINDS.index(kind)),
            np.full(env.num_envs, level),
            _factors(config),
            np.full(env.num_envs, FRICTION),
        )
        found[name(kind, level)] = walking(env, act, config.seconds)
    getattr(made, "close", lambda: None)()  # the process of a simulator that has one
    return found


def rows(reference: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a pair's table."""
    gap = (other["air"] - reference["air"]).square().mean(dim=(0, 2)).sqrt()  # of each robot
    swing = (reference["air"] - reference["air"].mean(dim=0)).square().mean().sqrt()
    sag = (other["height"] - reference["height"]).abs()
    height = float(reference["height"].mean())
    table = [
        _row("joints in the air, rms, worst robot", "rad", "air", float(swing), float(swing + gap.max()), gap.max()),
        _row("standing height, worst robot", "m", "height", height, float(other["height"].mean()), sag.max()),
    ]
    units = {"speed": "m/s", "torque": "N m", "falls": "robots"}
    for kind, level in GROUNDS:
        ground = name(kind, level)
        for key, unit in units.items():
            table.append(_row(f"{ground}: {key}", unit, key, reference[ground][key], other[ground][key]))
    return table


def _row(
    check: str, unit: str, key: str, reference: float, other: float, gap: torch.Tensor | None = None
) -> dict[str, Any]:
    """Return a row; the difference is `gap`, or that of the two values."""
    difference = abs(other - reference) if gap is None else float(gap)
    absolute, relative = TOLERANCES[key]
    allowed = max(absolute, relative * abs(reference))
    return {
        "check": check,
        "unit": unit,
        "reference": reference,
        "other": other,
        "difference": difference,
        "allowed": allowed,
        "pass": bool(difference <= allowed),
    }


def _factors(config: ParityConfig) -> np.ndarray:
    values = NARROW.sample(np.random.default_rng(config.seed), config.num_envs)
    values[0] = RobotFactors().as_array()
    return values


def _setup(config: ParityConfig, sim: str) -> EnvConfig:
    speed, still = (config.speed, config.speed), (0.0, 0.0)
    return EnvConfig(
        robot=config.robot,
        sim=sim,
        num_envs=config.num_envs,
        device=config.device,
        isaacgym_python=config.isaacgym_python,
        seed=config.seed,
        push_speed=0.0,
        stall_s=0.0,
        noise=NoiseConfig(0.0, 0.0, 0.0, 0.0),
        commands=CommandConfig(speed, still, still, speed, terrain_heading=0.0, standing=0.0, period=1e6),
        terrain=TerrainConfig(shares={kind: 1.0 for kind, _ in GROUNDS}, curriculum=False),
    )


def _place(made: Simulator, spec: RobotSpec, config: ParityConfig, height: float) -> None:
    """Put the robots in the default pose, `height` m over flat ground."""
    count, device = config.num_envs, made.device
    everyone = torch.ones(count, dtype=torch.bool, device=device)

    def each(values: Any) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=device).expand(count, -1).contiguous()

    made.set_factors(everyone, each(_factors(config)), each(NUISANCE_NOMINAL))
    start = (*tile_center("flat", 0), height)
    made.reset(everyone, each(start), each((1.0, 0.0, 0.0, 0.0)), each(spec.default_position))


def air(made: Simulator, spec: RobotSpec, config: ParityConfig) -> torch.Tensor:
    """Return the joint positions (T, n, 12), rad, of falling robots whose joints follow sines of their own."""
    _place(made, spec, config, AIR_HEIGHT)
    draw = torch.Generator().manual_seed(config.seed)
    phase = 2 * torch.pi * torch.rand(config.num_envs, 12, generator=draw)
    rate = 2 * torch.pi * (1.0 + 2.0 * torch.rand(config.num_envs, 12, generator=draw))  # 1 to 3 Hz
    default = torch.from_numpy(spec.default_position).float()
    way = []
    for step in range(round(AIR_SECONDS / spec.control_dt)):
        offset = SWING * (torch.sin(rate * step * spec.control_dt + phase) - torch.sin(phase))
        made.step((default + offset).to(made.device))
        way.append(made.joint_position.cpu().clone())
    return torch.stack(way)


def standing(made: Simulator, spec: RobotSpec, config: ParityConfig) -> torch.Tensor:
    """Return the trunks' heights (n,), m, of robots that hold the default pose."""
    _place(made, spec, config, spec.standing_height)
    targets = torch.from_numpy(spec.default_position).float().repeat(config.num_envs, 1).to(made.device)
    for _ in range(round(STAND_SECONDS / spec.control_dt)):
        made.step(targets)
    return made.root_position[:, 2].cpu().clone()


def walking(env: QuadrupedEnv, act: Callable[[TensorDict], torch.Tensor], seconds: float) -> dict[str, float]:
    """Return mean speed ahead, m/s, and torque, N m, of the robots that walk, and how many fell."""
    made, dt = env.sim, env.sim.control_dt
    speed, torque, walked = torch.zeros(3, device=env.device)
    fallen = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
    for step in range(round(seconds / dt)):
        ahead = torch.stack([env.start_heading.cos(), env.start_heading.sin()], dim=1)
        _, _, done, extras = env.step(act(env.get_observations()).to(env.device))
        fallen |= done & ~extras["time_outs"]
        if step * dt < WARM_UP:
            continue
        up = (~fallen & ~done).float()
        speed += up @ (made.root_linear_velocity[:, :2] * ahead).sum(dim=1)
        torque += up @ made.joint_torque.square().mean(dim=1).sqrt()
        walked += up.sum()
    share = walked.clamp(min=1.0)
    return {"speed": float(speed / share), "torque": float(torque / share), "falls": float(fallen.sum())}
