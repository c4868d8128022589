"""rsl_rl's runner with a progress bar, a budget in samples, safe checkpoints, and a start from another policy."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rsl_rl.runners import OnPolicyRunner

from policy import checkpoint, distributed, warm_start
from policy.modes import SEES_CONTEXTS
from policy.monitor import Monitor, Snapshot
from sim.env import ContextTable, QuadrupedEnv

CRITIC_WARM_UP = 30  # iterations in which a new critic learns what a given actor is worth
GENTLY = 1e-5  # learning rate to go on with from another policy: the least that rsl_rl's adaptive schedule takes


class Runner(OnPolicyRunner):
    """PPO on a `QuadrupedEnv`, trained up to a number of samples.

    Args:
        env: what to learn from.
        config: rsl_rl's dictionary.
        log_dir: folder of the run.
        metadata: what its checkpoints say of the policy, see `policy.checkpoint.metadata`.
    """

    def __init__(self, env: QuadrupedEnv, config: dict, log_dir: str, metadata: dict[str, str | None]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(env, config, log_dir, str(env.device))
        self.samples = self._critic_only = 0
        self._metadata = metadata
        self._stopping = False

    def stop(self) -> None:
        """End training after the iteration under way, with a checkpoint."""
        self._stopping = True

    def learn_samples(self, samples: int) -> Path:
        """Train until `samples` environment steps have been taken in all and return the last checkpoint."""
        per_iteration = self.cfg["num_steps_per_env"] * self.env.num_envs * self.gpu_world_size
        self._stopping = False
        self.env.episode_length_buf = torch.randint_like(self.env.episode_length_buf, int(self.env.max_episode_length))
        obs = self.env.get_observations()
        self.alg.train_mode()
        if self.is_distributed:
            self.alg.broadcast_parameters()
        with contextlib.redirect_stdout(io.StringIO()):
            self.logger.init_logging_writer()
        run = Path(self.logger.log_dir)
        with Monitor(run, samples, hidden=self.gpu_global_rank > 0) as monitor, self._rescue():
            while self.samples < samples and not distributed.anyone(self._stopping, self.device):
                obs, seconds = self._iterate(obs)
                self.samples += per_iteration
                monitor.show(self._snapshot(sum(seconds), per_iteration))
                if self.current_learning_iteration % self.cfg["save_interval"] == 0:
                    self.save_checkpoint()
        path = self.save_checkpoint()
        self.logger.stop_logging_writer()
        return path

    def _configure_multi_gpu(self) -> None:
        """Join the processes that torchrun has started; rsl_rl knows those on GPUs only."""
        if self.device != "cpu" or distributed.world_size() == 1:
            super()._configure_multi_gpu()
            return
        self.is_distributed, self.gpu_world_size = True, distributed.world_size()
        self.cfg["multi_gpu"] = distributed.join_on_cpu()
        self.gpu_global_rank = self.cfg["multi_gpu"]["global_rank"]
        self.gpu_local_rank = self.cfg["multi_gpu"]["local_rank"]

    @contextlib.contextmanager
    def _rescue(self) -> Iterator[None]:
        """Save what has been learned when the simulator ends, and say so with its error."""
        try:
            yield
        except OSError as problem:
            raise OSError(f"{problem}; what was learned is in {self.save_checkpoint()}: go on with --resume") from None

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
        losses = self.alg.update()
        if self._critic_only:
            self._critic_only -= 1
            self._go_gently()
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

    def _snapshot(self, seconds: float, samples: int) -> Snapshot:
        """Return what the last iteration was like, which took `seconds` for its samples."""
        rewards, lengths = self.logger.rewbuffer, self.logger.lenbuffer
        return Snapshot.of(
            self._recent,
            [kind for kind, share in self.env.cfg.terrain.shares.items() if share > 0.0],
            iteration=self.current_learning_iteration,
            samples=self.samples,
            seconds=seconds,
            samples_per_s=samples / seconds,
            reward=statistics.mean(rewards) if rewards else 0.0,
            episode_s=statistics.mean(lengths) * self.env.sim.control_dt if lengths else 0.0,
            std=float(self.alg.get_policy().output_std.detach().mean()),
        )

    def save_checkpoint(self) -> Path:
        """Write a checkpoint of tensors, numbers and text, atomically; of several processes, the first one does."""
        path = Path(self.logger.log_dir) / f"model_{self.samples}.pt"
        if self.gpu_global_rank > 0:
            return path
        state = {
            **self.alg.save(),
            "iteration": self.current_learning_iteration,
            "samples": self.samples,
            "critic_only": self._critic_only,
            "levels": self.env.curriculum.level.cpu(),
            "kinds": self.env.curriculum.kind.cpu(),
            "metadata": self._metadata,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)
        return path

    def load(
        self, path: str, load_cfg: dict | None = None, strict: bool = True, map_location: str | None = None
    ) -> dict:
        """Load a checkpoint of this run: networks, optimizer, terrain levels, counts.

        Raises:
            ValueError: if it is damaged, or was trained for another robot, in another mode, with other contexts, or the
                other way: by rewards instead of by a teacher.
        """
        state = checkpoint.read(Path(path))
        for name, held in checkpoint.metadata(Path(path), state).items():
            if held not in (None, ours := self._metadata[name]):
                raise ValueError(
                    f"{path} is of {name} '{held}', not '{ours}': resume as it was begun, or give another --run"
                )
        taught = "critic_state_dict" not in state
        if taught == hasattr(self.alg, "critic"):
            how = "taught: resume it with its --teacher" if taught else "rewarded: resume it without --teacher"
            raise ValueError(f"{path} was {how}, or go on from it with --init in another --run")
        self._take(Path(path), state, load_cfg, strict)
        self.current_learning_iteration, self.samples = state["iteration"], state["samples"]
        self._critic_only = state.get("critic_only", 0)
        self._restore_levels(state)
        return {}

    def _take(self, path: Path, state: dict, load_cfg: dict | None, strict: bool) -> None:
        """Load networks, or raise a ValueError where they are of other sizes."""
        try:
            self.alg.load(state, load_cfg, strict)
        except RuntimeError as problem:
            raise ValueError(
                f"{path} has networks or inputs of other sizes than this training: give the same --ppo.hidden-dims, "
                "--mode and --history, or start anew"
            ) from problem

    def start_from(self, path: Path, contexts: ContextTable | None, action_std: float | None = None) -> None:
        """Take over another policy's networks; inputs that it did not have start at zero weight.

        Contexts of another kind or of another dynamics model mean nothing here: it is taken over as one that was told
        their mean. Of an exported policy only the actor is there: the critic learns alone for the first iterations.

        Args:
            path: checkpoint or ONNX file of a policy that sees one frame, with or without contexts, or the same inputs.
            contexts: the contexts that this policy sees besides, which normalise the new inputs.
            action_std: spread of the actions to explore with; None keeps the checkpoint's.
        """
        state = warm_start.read(path)
        actor, wanted = state["actor_state_dict"], self.alg.get_policy().state_dict()
        inputs, needed = actor["mlp.0.weight"].shape[1], wanted["mlp.0.weight"].shape[1]
        told = [state["metadata"].get(name) for name in ("mode", "dynamics_digest")]
        if told[0] in SEES_CONTEXTS and told != [self._metadata["mode"], self._metadata["dynamics_digest"]]:
            warm_start.forget_contexts(actor)
        if actor["mlp.0.weight"].shape[1] != needed:
            warm_start.widen(actor, self.cfg["obs_groups"]["actor"], self.env.cfg.history, contexts)
        if actor["mlp.0.weight"].shape[1] != needed:
            raise ValueError(f"{path} takes {inputs} inputs, this policy {needed}: give its --mode and --bank")
        if action_std is not None:
            actor["distribution.std_param"] = torch.full_like(wanted["distribution.std_param"], action_std)
        whole = "critic_state_dict" in state
        whole_state = {**state, "actor_state_dict": {**wanted, **actor}}
        self._take(path, whole_state, {"actor": True, "critic": whole}, True)
        if "levels" in state:
            self._restore_levels(state)
        if not whole and hasattr(self.alg, "critic"):
            self._critic_only = CRITIC_WARM_UP
        self._go_gently()

    def _go_gently(self) -> None:
        """Let the adaptive schedule begin at the smallest rate, unless the critic learns alone.

        A finished policy explores little: the same step of its weights takes it farther, by the spread of its actions.
        At the rate of a new training the first updates spoil it, and it takes millions of samples to climb again.
        """
        if self.alg.schedule != "adaptive" or self._critic_only:
            return
        self.alg.learning_rate = GENTLY
        for group in self.alg.optimizer.param_groups:
            group["lr"] = GENTLY

    def _restore_levels(self, state: dict) -> None:
        """Give the robots back their levels, where they stand on the same kinds of terrain as then."""
        curriculum, levels = self.env.curriculum, state["levels"]
        if (
            torch.equal(state.get("kinds", curriculum.kind.cpu()), curriculum.kind.cpu())
            and len(levels) == self.env.num_envs
        ):
            curriculum.level[:] = levels.to(curriculum.level.device)
            self.env.restart()
