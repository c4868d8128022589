"""rsl_rl's runner with a progress bar, a budget in samples, safe checkpoints, and a start from another policy."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rsl_rl.runners import OnPolicyRunner

from policy import checkpoint, warm_start
from sim.env import ContextTable, QuadrupedEnv

CRITIC_WARM_UP = 30  # iterations in which a new critic learns what a given actor is worth


class Runner(OnPolicyRunner):
    """PPO on a `QuadrupedEnv`, trained up to a number of samples."""

    def __init__(self, env: QuadrupedEnv, config: dict, log_dir: str | None = None) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(env, config, log_dir)
        self.samples = self._critic_only = 0
        self._stopping = False

    def stop(self) -> None:
        """End training after the iteration under way, with a checkpoint."""
        self._stopping = True

    def learn_samples(self, samples: int) -> Path:
        """Train until `samples` environment steps have been taken in all and return the last checkpoint."""
        per_iteration = self.cfg["num_steps_per_env"] * self.env.num_envs
        self._stopping = False
        self.env.episode_length_buf = torch.randint_like(self.env.episode_length_buf, int(self.env.max_episode_length))
        obs = self.env.get_observations()
        self.alg.train_mode()
        with contextlib.redirect_stdout(io.StringIO()):
            self.logger.init_logging_writer()
        console = Console()
        with _progress(console) as progress:
            task = progress.add_task("train", total=samples, completed=self.samples, status="")
            plain = not console.is_terminal
            while self.samples < samples and not self._stopping:
                obs, seconds = self._iterate(obs)
                self.samples += per_iteration
                status = self._status(per_iteration / sum(seconds))
                progress.update(task, completed=self.samples, status=status)
                if plain and self.current_learning_iteration % 20 == 0:
                    console.print(f"{self.samples / 1e6:8.2f} M  {status}")
                if self.current_learning_iteration % self.cfg["save_interval"] == 0:
                    self.save_checkpoint()
        path = self.save_checkpoint()
        self.logger.stop_logging_writer()
        return path

    def _iterate(self, obs: Any) -> tuple[Any, tuple[float, float]]:
        """Collect one rollout and learn from it; return the next observations and seconds (collect, learn)."""
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(self.cfg["num_steps_per_env"]):
                obs, rewards, dones, extras = self.env.step(self.alg.act(obs))
                self.alg.process_env_step(obs, rewards, dones, extras)
                self.logger.process_env_step(rewards, dones, extras, None)
            self.alg.compute_returns(obs)
        middle = time.perf_counter()
        self.alg.get_policy().requires_grad_(self._critic_only == 0)
        self._critic_only = max(0, self._critic_only - 1)
        losses = self.alg.update()
        seconds = (middle - start, time.perf_counter() - middle)
        ends: dict[str, list[float]] = {}
        for extras in self.logger.ep_extras:
            for key, value in extras.items():
                ends.setdefault(key, []).append(float(value.mean()))
        self._recent = {key: statistics.mean(values) for key, values in ends.items()}
        with contextlib.redirect_stdout(io.StringIO()):
            self.logger.log(
                it=self.current_learning_iteration,
                start_it=0,
                total_it=self.current_learning_iteration + 1,
                collect_time=seconds[0],
                learn_time=seconds[1],
                loss_dict=losses,
                learning_rate=self.alg.learning_rate,
                action_std=self.alg.get_policy().output_std,
                rnd_weight=None,
                print_minimal=True,
            )
        self.current_learning_iteration += 1
        return obs, seconds

    def _status(self, speed: float) -> str:
        env, buffer = self.env, self.logger.rewbuffer
        reward = statistics.mean(buffer) if buffer else 0.0
        length = statistics.mean(self.logger.lenbuffer) * env.sim.control_dt if buffer else 0.0
        falls, stairs = self._recent.get("Episode/falls", 0.0), env.curriculum.mean_level("stairs")
        std = float(self.alg.get_policy().output_std.detach().mean())
        return (
            f"reward {reward:6.2f}  episode {length:4.1f} s  falls {falls:4.0%}  stairs {stairs:3.1f}  "
            f"std {std:4.2f}  {speed:6.0f} samples/s"
        )

    def save_checkpoint(self) -> Path:
        """Write a checkpoint of tensors and plain numbers, atomically."""
        path = Path(self.logger.log_dir) / f"model_{self.samples}.pt"
        state = {
            **self.alg.save(),
            "iteration": self.current_learning_iteration,
            "samples": self.samples,
            "levels": torch.from_numpy(self.env.curriculum.level),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)
        return path

    def load(
        self, path: str, load_cfg: dict | None = None, strict: bool = True, map_location: str | None = None
    ) -> dict:
        """Load a checkpoint of this run: networks, optimizer, terrain levels, counts."""
        state = checkpoint.read(Path(path))
        self.alg.load(state, load_cfg, strict)
        self.current_learning_iteration, self.samples = state["iteration"], state["samples"]
        self._restore_levels(state["levels"])
        return {}

    def start_from(self, path: Path, contexts: ContextTable | None) -> None:
        """Take over another policy's networks; inputs that it did not have start at zero weight.

        Of an exported policy only the actor is there: the critic learns alone for the first iterations.

        Args:
            path: checkpoint or ONNX file of a policy that sees proprioception only, or the same inputs.
            contexts: the contexts that this policy sees besides, which normalise the new inputs.
        """
        state = warm_start.read(path)
        actor, wanted = state["actor_state_dict"], self.alg.get_policy().state_dict()
        new = wanted["mlp.0.weight"].shape[1] - actor["mlp.0.weight"].shape[1]
        if new < 0 or (new and contexts is None):
            inputs = actor["mlp.0.weight"].shape[1]
            raise ValueError(f"{path} takes {inputs} inputs, this policy {inputs + new}: give its --mode and --bank")
        if new and contexts is not None:
            _widen(actor, new, contexts)
        whole = "critic_state_dict" in state
        self.alg.load({**state, "actor_state_dict": {**wanted, **actor}}, {"actor": True, "critic": whole}, True)
        if whole:
            self._restore_levels(state["levels"])
        else:
            self._critic_only = CRITIC_WARM_UP

    def _restore_levels(self, levels: torch.Tensor) -> None:
        curriculum = self.env.curriculum
        if len(levels) == len(curriculum.level):
            curriculum.level[:] = levels.numpy()
            self.env.restart()


def _widen(actor: dict[str, torch.Tensor], new: int, contexts: ContextTable) -> None:
    """Give an actor `new` more inputs, the contexts: at zero weight, normalised over those of the table."""
    banks = (contexts.robot_contexts, contexts.terrain_contexts.reshape(-1, contexts.terrain_contexts.shape[-1]))
    mean = torch.cat([torch.from_numpy(bank.mean(axis=0)) for bank in banks]).float()[None]
    std = torch.cat([torch.from_numpy(bank.std(axis=0)) for bank in banks]).float()[None]
    zeros = torch.zeros(actor["mlp.0.weight"].shape[0], new)
    actor["mlp.0.weight"] = torch.cat([actor["mlp.0.weight"], zeros], dim=1)
    for key, extra in (("_mean", mean), ("_var", std.square()), ("_std", std)):
        actor[f"obs_normalizer.{key}"] = torch.cat([actor[f"obs_normalizer.{key}"], extra], dim=1)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:5.1f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
        console=console,
        disable=not console.is_terminal,
    )
