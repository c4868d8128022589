"""Runs one robot under an agent, for people to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict

import models
import robots
from policy import inference
from policy.contexts import table_for
from policy.train import make_env
from sim.config import EnvConfig
from sim.env import QuadrupedEnv
from sim.factors import RobotFactors
from sim.terrain import KINDS, LEVELS


@dataclass
class PlayConfig:
    """What to look at; see `dmcm play --help`."""

    agent: str
    robot: str
    terrain: str
    level: int
    payload: float
    kp_scale: float
    bank: Path | None
    seed: int


def agent(name: str, robot: str, seed: int) -> Callable[[TensorDict], torch.Tensor]:
    """Return a function from observations to actions (n, 12): `zero`, `random`, or that of a robot's ONNX file."""
    if name == "zero":
        return lambda observations: torch.zeros(observations.batch_size[0], 12)
    if name == "random":
        generator = torch.Generator().manual_seed(seed)
        return lambda observations: torch.randn(observations.batch_size[0], 12, generator=generator)
    return inference.load(Path(name), robots.load(robot))


def make(config: PlayConfig) -> QuadrupedEnv:
    """Return an environment of one robot in the wanted condition.

    Raises:
        ValueError: if the terrain or the level does not exist.
    """
    if not 0 <= config.level < LEVELS:
        raise ValueError(f"level {config.level} does not exist: choose 0 to {LEVELS - 1}")
    about = {} if config.agent in ("zero", "random") else inference.metadata(Path(config.agent))
    setup = EnvConfig(robot=config.robot, num_envs=1, threads=1, seed=config.seed, push_speed=0.0, stall_s=0.0)
    setup.history = about.get("history", 1)
    setup.terrain.shares = {config.terrain: 1.0}
    bank = config.bank or models.folder(config.robot) / "bank.safetensors"
    factors = RobotFactors(payload=config.payload, kp_scale=config.kp_scale).as_array()[None]
    env = make_env(setup, table_for(about, bank, robots.load(config.robot), factors))
    env.assign(np.array([KINDS.index(config.terrain)]), np.array([config.level]), factors, np.array([0.8]))
    return env


def _run(act: Callable[[TensorDict], torch.Tensor], env: QuadrupedEnv) -> Iterator[None]:
    while True:
        env.step(act(env.get_observations()))
        yield


def frames(config: PlayConfig, seconds: float) -> Iterator[np.ndarray]:
    """Yield 25 pictures a second, (height, width, 3) uint8."""
    from sim.render import FPS, FollowCamera

    act, env = agent(config.agent, config.robot, config.seed), make(config)
    model, data = env.sim.snapshot(0)
    camera = FollowCamera(model)
    every = round(1.0 / (FPS * env.sim.control_dt))
    for step, _ in enumerate(_run(act, env)):
        if step * env.sim.control_dt >= seconds:
            break
        if step % every == 0:
            yield camera.picture(env.sim.snapshot(0, model, data)[1])
    camera.close()


def poses(env: QuadrupedEnv, act: Callable[[TensorDict], torch.Tensor], seconds: float) -> Iterator[np.ndarray]:
    """Yield the first robot's pose 25 times a second: position, m, quaternion, joints, rad, (19,)."""
    sim = env.sim
    every = round(1.0 / (25 * sim.control_dt))
    for step, _ in enumerate(_run(act, env)):
        if step * sim.control_dt >= seconds:
            break
        if step % every == 0:
            yield torch.cat([sim.root_position[0], sim.root_quaternion[0], sim.joint_position[0]]).cpu().numpy()


def show(config: PlayConfig) -> None:
    """Open MuJoCo's viewer and run in real time until it is closed."""
    import mujoco.viewer

    act, env = agent(config.agent, config.robot, config.seed), make(config)
    model, data = env.sim.snapshot(0)
    with mujoco.viewer.launch_passive(model, data) as viewer:
        for _ in _run(act, env):
            if not viewer.is_running():
                break
            env.sim.snapshot(0, model, data)
            viewer.sync()
            time.sleep(env.sim.control_dt)
