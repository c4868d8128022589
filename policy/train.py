"""Train a policy: build the environment, run PPO, keep checkpoints."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

import robots
from policy import distributed, runs
from policy.checkpoint import newest as newest_checkpoint
from policy.config import PolicyConfig
from policy.contexts import contexts_for, read_bank
from policy.modes import ACTOR_GROUPS, NEEDS_BANK
from policy.runner import Runner
from policy.runs import Origin
from sim import backends
from sim.config import EnvConfig
from sim.env import ContextTable, QuadrupedEnv
from sim.terrain import TerrainWorld, used_kinds

WRITERS = {"tensorboard": "tensorboard", "wandb": {"class_name": "WandbLogWriter", "project_name": "dmcm"}}  # rsl_rl's


def make_env(config: EnvConfig, contexts: ContextTable | None = None) -> QuadrupedEnv:
    """Return the environment on the simulator that it names."""
    spec = robots.load(config.robot)
    world = TerrainWorld(config.terrain.seed, used_kinds(config.terrain.shares))
    return QuadrupedEnv(config, spec, backends.make(config, spec, world), contexts)


def make_runner(config: PolicyConfig, env: QuadrupedEnv) -> Runner:
    """Return PPO on the environment; seeds torch."""
    torch.manual_seed(config.seed + distributed.rank())
    np.random.seed(config.seed + distributed.rank())
    setup = {**config.ppo.as_rsl_rl(ACTOR_GROUPS[config.mode], config.teacher), "logger": WRITERS[config.logger]}
    metadata = {
        "robot": env.spec.name,
        "robot_digest": env.spec.digest(),
        "mode": config.mode,
        "dynamics_digest": read_bank(config.mode, config.bank)[0],
    }
    return Runner(env, setup, str(config.run), metadata)


def run(config: PolicyConfig, origin: Origin | None = None) -> Path:
    """Train as configured and return the newest checkpoint.

    Args:
        config: of the training.
        origin: what was typed, where and when, for the record in the run's folder.

    Raises:
        ValueError: if the mode has no bank, or the run exists and neither resumes nor is empty.
        FileNotFoundError: if there is nothing to resume or to start from.
        ModuleNotFoundError: if the logger is not installed.
    """
    if config.logger == "wandb" and find_spec("wandb") is None:
        raise ModuleNotFoundError("No module named 'wandb'", name="wandb")
    if config.mode in NEEDS_BANK and config.bank is None:
        raise ValueError(f"mode '{config.mode}' needs a context bank: give --bank models/<robot>/bank.safetensors")
    if config.mode == "history" and config.history < 2:
        raise ValueError(f"mode 'history' needs at least 2 frames, not {config.history}: give --history 10")
    if config.action_std is not None and (config.init is None or config.action_std <= 0.0):
        raise ValueError("--action-std: give a spread above 0, and with --init the policy to go on from")
    if config.ppo.num_mini_batches < 1 or config.ppo.num_steps_per_env < 1:
        raise ValueError("--ppo.num-mini-batches, --ppo.num-steps-per-env: give 1 or more")
    if not 0.0 <= config.ppo.quiet_share < 1.0:
        raise ValueError(f"--ppo.quiet-share {config.ppo.quiet_share:g}: give a share of the time, from 0 to below 1")
    existing = newest_checkpoint(config.run)
    if existing and not config.resume:
        raise ValueError(f"{config.run} already holds {existing.name}: give --resume, or another --run")
    if config.resume and not existing:
        raise FileNotFoundError(f"no checkpoint to resume in {config.run}: leave out --resume, or check --run")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    torch.set_num_threads(config.torch_threads)
    config.env.seed = config.seed + distributed.rank()
    config.env.device = distributed.device(config.env.device)
    config.env.history = config.history if config.mode == "history" else 1
    if config.mode == "oracle":  # it is told the truth
        config.env.context_noise = config.env.context_dropout = 0.0
    contexts = contexts_for(config)
    env = make_env(config.env, contexts)
    runner = make_runner(config, env)
    if existing:
        runner.load(str(existing))
    elif config.init:
        runner.start_from(config.init, contexts, config.action_std)
    config.run.mkdir(parents=True, exist_ok=True)
    if distributed.rank() == 0:
        record = {**asdict(config), "origin": origin and asdict(origin)}
        (config.run / runs.CONFIG).write_text(json.dumps(record, indent=1, default=str))
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: runner.stop())
    return runner.learn_samples(int(config.samples))
