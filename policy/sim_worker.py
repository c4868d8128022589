"""Measures one simulator in a process of its own: `python -m policy.sim_worker JSON`, see `benchmarks.sim_bench`.

It answers on standard output, in lines of JSON: how large the environment is, and then, for every line that it reads,
what was asked: `{"seconds": s}` how fast it stepped for that long, `{"learn": i}` how fast PPO learned for i
iterations, `{"endure": n}` what memory it holds after n more steps.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import models
from policy import inference
from policy.config import PolicyConfig
from policy.train import make_env, make_runner
from sim.config import EnvConfig, TerrainConfig
from sim.scene import CONTROL_STEPS

WALKER = "calibration.onnx"
WARM_UP = 40  # steps until the robots walk
PATIENCE = 8.0  # s that warming up may take
ROLLOUT = 8  # steps of a PPO iteration: shorter than a training's, since its speed is a matter of samples
PAIRS = 6  # at least: a step of the environment, then the same of the physics; other work slows both alike
STATE = ("qpos", "qvel", "history", "time", "qacc_warmstart")


class SimWorker:
    """Robots that walk by a shipped policy; the policy's own time is not counted.

    Args:
        backend: one of `EnvConfig.sim`.
        shares: of the terrains, see `TerrainConfig`.
        num_envs: robots.
        nuisances: preset, see `sim.factors.NUISANCES`.
        threads: torch's; the physics takes every core.
    """

    def __init__(self, backend: str, shares: dict[str, float], num_envs: int, nuisances: str, threads: int) -> None:
        torch.set_num_threads(threads)
        terrain = TerrainConfig(shares=shares, start_level=4, curriculum=False)
        self.setup = EnvConfig(sim=backend, num_envs=num_envs, terrain=terrain)
        self.setup.nuisances.preset = nuisances
        self.env = make_env(self.setup)
        self._act = inference.load(models.path(self.setup.robot) / WALKER, self.env.spec)
        self._batch = getattr(self.env.sim, "batch", None)
        if self._batch is not None:
            self._state = {name: self._batch.bind(name) for name in (*STATE, "ctrl")}
        self._physics_step = self.env.sim.step
        self.env.sim.step = self._record
        warm = 0.0
        for _ in range(WARM_UP):
            warm += self._walk() if warm < PATIENCE else 0.0

    def _record(self, targets: torch.Tensor) -> None:
        self._target = targets
        self._physics_step(targets)

    def _walk(self) -> float:
        action = self._act(self.env.get_observations()).to(self.env.device)
        self._wait()
        start = time.perf_counter()
        self.env.step(action)
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.env.device.type == "cuda":
            torch.cuda.synchronize(self.env.device)

    def step(self, seconds: float) -> dict[str, float]:
        """Step the environment for that long in all, and the physics alone through the same steps, in alternation."""
        whole, bare = [], []
        while sum(whole) < seconds or len(whole) < PAIRS:
            before = self._save()
            whole.append(self._walk())
            after = self._save()
            self._restore(before)
            start = time.perf_counter()
            self._bare(self._target)
            self._wait()
            bare.append(time.perf_counter() - start)
            self._restore(after)
        steps = len(whole) * self.env.num_envs
        return {
            "env_steps_per_s": steps / sum(whole),
            "physics_steps_per_s": CONTROL_STEPS * steps / sum(bare),
            "peak_rss_mb": peak_rss_mb(),
            **self._device_memory(),
        }

    def _bare(self, target: torch.Tensor) -> None:
        """Step the engine alone; of an engine without a batch on the CPU, the simulator with its views."""
        if self._batch is None:
            self._physics_step(target)
            return
        self._state["ctrl"][:] = target.numpy()
        with contextlib.suppress(RuntimeError):  # a simulation broke down; the environment resets such
            self._batch.step(nstep=CONTROL_STEPS)

    def _save(self) -> dict[str, Any]:
        return {} if self._batch is None else {name: self._state[name].copy() for name in STATE}

    def _restore(self, state: dict[str, Any]) -> None:
        for name, values in state.items():
            self._state[name][:] = values

    def _device_memory(self) -> dict[str, float]:
        if self.env.device.type != "cuda":
            return {}
        free, total = torch.cuda.mem_get_info(self.env.device)
        return {"device_mb": (total - free) / 2**20}

    def learn(self, iterations: int) -> dict[str, float]:
        """Train PPO from the walking policy and return samples a second."""
        self.env.sim.step = self._physics_step
        with tempfile.TemporaryDirectory() as folder:
            policy = PolicyConfig(run=Path(folder), env=self.setup)
            policy.ppo.num_steps_per_env = ROLLOUT
            runner = make_runner(policy, self.env)
            runner.start_from(models.path(self.setup.robot) / WALKER, None)
            runner._critic_only = 0  # from the first iteration it learns all, as later
            per_iteration = policy.ppo.num_steps_per_env * self.env.num_envs
            runner.learn_samples(per_iteration)
            start = time.perf_counter()
            runner.learn_samples((1 + iterations) * per_iteration)
            self._wait()
            spent = time.perf_counter() - start
        self.env.sim.step = self._record
        return {"samples_per_s": iterations * per_iteration / spent, "peak_rss_mb": peak_rss_mb()}

    def endure(self, steps: int) -> dict[str, float]:
        """Make that many steps and return what memory the process holds then."""
        for _ in range(steps):
            self._walk()
        return {"rss_mb": rss_mb()}


def rss_mb() -> float:
    """Return the memory that the process holds now, MB; where the system does not tell, the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_rss_mb()
    return pages * resource.getpagesize() / 2**20


def peak_rss_mb() -> float:
    """Return the most memory that the process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Serve measurements until standard input ends."""
    answers = sys.stdout

    def answer(figures: dict[str, Any]) -> None:
        print(json.dumps(figures), file=answers, flush=True)

    with contextlib.redirect_stdout(sys.stderr):
        worker = SimWorker(**json.loads(sys.argv[1]))
        dt = worker.env.sim.control_dt / CONTROL_STEPS
        answer({"num_envs": worker.env.num_envs, "substeps": CONTROL_STEPS, "physics_dt": dt})
        asked: dict[str, Callable[[Any], dict]] = {
            "seconds": worker.step,
            "learn": worker.learn,
            "endure": worker.endure,
        }
        for line in sys.stdin:
            for name, value in json.loads(line).items():
                answer(asked[name](value))


if __name__ == "__main__":
    main()
