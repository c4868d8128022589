"""Measures training end to end against the bare physics, in one run."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from policy.config import PolicyConfig
from policy.train import make_env, make_runner
from sim.config import EnvConfig, TerrainConfig
from sim.env import QuadrupedEnv
from sim.scene import CONTROL_STEPS

WARM_UP = 2  # iterations


@dataclass
class TrainBenchConfig:
    """Measure samples a second of PPO on stairs, and of the physics alone.

    Attributes:
        iterations: of PPO that are timed.
        init: checkpoint of a policy that walks; without it the robots stumble, which costs more contacts.
        torch_threads: threads of the learner.
        json: file for the figures.
    """

    iterations: int = 8
    num_envs: int = 1024
    init: Path | None = None
    torch_threads: int = 2
    seed: int = 0
    json: Path | None = None
    terrain: TerrainConfig = field(default_factory=lambda: TerrainConfig(shares={"stairs": 1.0}, start_level=4))


def bare_physics(env: QuadrupedEnv, targets: list[torch.Tensor]) -> float:
    """Return environment steps a second of the physics alone, from where the robots are, under recorded targets."""
    batch, control = env.sim.batch, env.sim.batch.bind("ctrl")
    start = time.perf_counter()
    for target in targets:
        control[:] = target.numpy()
        batch.step(nstep=CONTROL_STEPS)
    return len(targets) * env.num_envs / (time.perf_counter() - start)


def bench(config: TrainBenchConfig) -> dict[str, float]:
    """Return `samples_per_s`, `physics_env_steps_per_s`, `ratio` and `peak_rss_mb`."""
    torch.set_num_threads(config.torch_threads)
    setup = EnvConfig(num_envs=config.num_envs, seed=config.seed, terrain=config.terrain)
    with tempfile.TemporaryDirectory() as folder:
        policy = PolicyConfig(run=Path(folder), seed=config.seed, env=setup)
        env = make_env(setup)
        runner = make_runner(policy, env)
        if config.init:
            runner.start_from(config.init, None)
        per_iteration = policy.ppo.num_steps_per_env * config.num_envs
        runner.learn_samples(WARM_UP * per_iteration)
        start = time.perf_counter()
        runner.learn_samples((WARM_UP + config.iterations) * per_iteration)
        samples = config.iterations * per_iteration / (time.perf_counter() - start)
        physics = bare_physics(env, _targets(runner, env))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "samples_per_s": samples,
        "physics_env_steps_per_s": physics,
        "ratio": samples / physics,
        "peak_rss_mb": rss,
    }


def _targets(runner: object, env: QuadrupedEnv, steps: int = 48) -> list[torch.Tensor]:
    """Return what the policy commands over some steps, as the physics gets it."""
    targets: list[torch.Tensor] = []
    step = env.sim.step
    env.sim.step = lambda target: (targets.append(target), step(target))[1]
    obs = env.get_observations()
    with torch.inference_mode():
        for _ in range(steps):
            obs, *_ = env.step(runner.alg.act(obs))
    env.sim.step = step
    return targets
