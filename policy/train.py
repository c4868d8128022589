"""Train a policy: build the environment, run PPO, keep checkpoints."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

import robots
from policy.config import PolicyConfig
from policy.contexts import load_table
from policy.runner import Runner
from sim.config import EnvConfig
from sim.env import ContextTable, QuadrupedEnv
from sim.factors import RANGES
from sim.mujoco_backend import MujocoSimulator
from sim.terrain import TerrainWorld

ACTOR_GROUPS = {"none": ["proprioception"], "multi": ["proprioception", "robot_context", "terrain_context"]}


def make_env(config: EnvConfig, contexts: ContextTable | None = None) -> QuadrupedEnv:
    """Return the environment on the default simulator."""
    spec = robots.load(config.robot)
    sim = MujocoSimulator(spec, TerrainWorld(config.terrain.seed), config.num_envs, config.threads)
    return QuadrupedEnv(config, spec, sim, contexts)


def make_runner(config: PolicyConfig, env: QuadrupedEnv) -> Runner:
    """Return PPO on the environment; seeds torch."""
    torch.manual_seed(config.seed)
    np.random.seed(config.seed)
    return Runner(env, config.ppo.as_rsl_rl(ACTOR_GROUPS[config.mode]), log_dir=str(config.run))


def run(config: PolicyConfig) -> Path:
    """Train as configured and return the newest checkpoint.

    Raises:
        ValueError: if the mode has no bank, or the run exists and neither resumes nor is empty.
        FileNotFoundError: if there is nothing to resume or to start from.
    """
    if config.mode == "multi" and config.bank is None:
        raise ValueError("mode 'multi' needs a context bank: give --bank models/<robot>/bank.safetensors")
    existing = newest_checkpoint(config.run)
    if existing and not config.resume:
        raise ValueError(f"{config.run} already holds {existing.name}: give --resume, or another --run")
    if config.resume and not existing:
        raise FileNotFoundError(f"no checkpoint to resume in {config.run}: leave out --resume, or check --run")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    torch.set_num_threads(config.torch_threads)
    config.run.mkdir(parents=True, exist_ok=True)
    config.env.seed = config.seed
    contexts = (
        load_table(config.bank, robots.load(config.env.robot), RANGES[config.env.factors]) if config.bank else None
    )
    env = make_env(config.env, contexts)
    runner = make_runner(config, env)
    if existing:
        runner.load(str(existing))
    elif config.init:
        runner.start_from(config.init, contexts)
    (config.run / "config.json").write_text(json.dumps(asdict(config), indent=1, default=str))
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: runner.stop())
    return runner.learn_samples(int(config.samples))


def newest_checkpoint(run: Path) -> Path | None:
    """Return the checkpoint of the most samples in a run, or None."""
    found = sorted(run.glob("model_*.pt"), key=lambda path: int(path.stem.split("_")[1]))
    return found[-1] if found else None
