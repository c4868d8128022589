"""Imitates a policy as it would act with corrected gains, so that a policy learns to do without the correction.

Soft motors ask for another way to the same torque: a target farther off. The teacher makes it from the robot's true
gains, which its student can only know from what it sees: a context, or nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rsl_rl.algorithms import Distillation
from rsl_rl.env import VecEnv
from rsl_rl.models import MLPModel
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict

from policy import warm_start
from policy.exploration import Spells
from policy.modes import FRAME
from robots import observation
from sim.env import ACTION_LIMIT, QuadrupedEnv
from sim.factors import FACTOR_NAMES, WEAK_LEGS

LEAST = 0.4  # of a joint's stiffness that is made up for; stiff joints are left as they are
KP = FACTOR_NAMES.index("kp_scale")


class Teacher(MLPModel):
    """A policy on one frame without noise, whose actions make up for the stiffness that each joint lacks.

    Where the policy wants the torque kp (target - q), a joint with k kp gets it from the target q + (target - q) / k;
    what it did last is put to the policy as what a healthy joint would have been told.

    Args:
        path: checkpoint or exported policy that sees one frame.
        env: where it teaches.

    Raises:
        FileNotFoundError, ValueError: if there is none, it is of another robot, or it sees something else.
    """

    def __init__(self, path: Path, env: QuadrupedEnv) -> None:
        held = warm_start.read(path)
        if (robot := held["metadata"].get("robot")) not in (None, env.spec.name):
            raise ValueError(f"{path} walks a {robot}, not a {env.spec.name}: give a teacher of this robot")
        state = held["actor_state_dict"]
        weights = [state[name] for name in sorted(state) if name.startswith("mlp.") and name.endswith(".weight")]
        if weights[0].shape[1] != FRAME:
            raise ValueError(f"{path} takes {weights[0].shape[1]} inputs: give a teacher of mode vanilla")
        hidden, groups = [len(rows) for rows in weights[:-1]], {"teacher": ["proprioception"]}
        obs = env.get_observations()
        super().__init__(obs, groups, "teacher", env.num_actions, hidden, "elu", obs_normalization=True)
        self.load_state_dict({name: values for name, values in state.items() if not name.startswith("distribution.")})
        self._env, self._columns, start = env, {}, 0
        for term in observation.PROPRIOCEPTION:
            self._columns[term.name] = slice(start, start + term.size)
            start += term.size
        self._position = torch.zeros(env.num_envs, 12, device=env.device)  # when it was last asked, rad from default
        self._fresh = env.everyone.clone()

    @torch.no_grad()
    def forward(self, obs: TensorDict, *_: Any, **__: Any) -> torch.Tensor:
        """Return what it would do, (n, 12); asked once a period, of the robots as they are now."""
        env, scale = self._env, self._env.spec.action_scale
        frame = obs["critic"][:, :FRAME].clone()
        stiffness = env.factors[:, KP, None] * env.factors[:, WEAK_LEGS].repeat_interleave(3, dim=1)
        stiffness = stiffness.clamp(min=LEAST, max=1.0)
        told = self._position + stiffness * (scale * env.action - self._position)
        frame[:, self._columns["last_action"]] = torch.where(self._fresh[:, None], 0.0, told / scale)
        wanted = self.mlp(self.obs_normalizer(frame)).clamp(-ACTION_LIMIT, ACTION_LIMIT)
        self._position = frame[:, self._columns["joint_position"]]  # its scale is 1
        self._fresh = torch.zeros_like(self._fresh)
        action = (self._position + (scale * wanted - self._position) / stiffness) / scale
        return action.clamp(-ACTION_LIMIT, ACTION_LIMIT)

    def reset(self, dones: torch.Tensor | None = None, hidden_state: None = None) -> None:
        """Forget what the robots that begin anew were told."""
        if dones is not None:
            self._fresh = self._fresh | dones.bool()


class Imitation(Distillation):
    """rsl_rl's distillation (DAgger): the student walks, with noise, and learns what the teacher would have done.

    In spells it walks without noise. Its checkpoints hold an actor like PPO's, and no critic.
    """

    schedule = "fixed"

    def __init__(self, *arguments: Any, quiet_share: float, **others: Any) -> None:
        """Take rsl_rl's arguments, and the share of the time in which the mean acts, from 0 to below 1."""
        super().__init__(*arguments, **others)
        self._spells = Spells(quiet_share, self.storage.num_envs, self.device)

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Return the student's actions (n, 12), and keep them with what the teacher would have done."""
        self.transition.actions = self._spells.mix(super().act(obs), self.student.output_mean)
        return self.transition.actions

    def save(self) -> dict[str, Any]:
        """Return actor and optimizer."""
        return {"actor_state_dict": self._raw_student.state_dict(), "optimizer_state_dict": self.optimizer.state_dict()}

    def load(self, loaded_dict: dict[str, Any], load_cfg: dict | None, strict: bool) -> bool:
        """Take an actor over; with its optimizer, unless `load_cfg` names the actor alone."""
        self._raw_student.load_state_dict(loaded_dict["actor_state_dict"], strict=strict)
        if load_cfg is None and "optimizer_state_dict" in loaded_dict:
            self.optimizer.load_state_dict(loaded_dict["optimizer_state_dict"])
        return True

    @staticmethod
    def construct_algorithm(obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> Imitation:
        """Make student and teacher as configured (`policy.config.PPOConfig.as_rsl_rl`)."""
        settings, network = dict(cfg["algorithm"]), dict(cfg["actor"])
        settings.pop("class_name"), network.pop("class_name")
        teacher = Teacher(settings.pop("teacher"), env)
        student = MLPModel(obs, cfg["obs_groups"], "actor", env.num_actions, **network)
        steps = cfg["num_steps_per_env"]
        storage = RolloutStorage("distillation", env.num_envs, steps, obs, [env.num_actions], device)
        return Imitation(student, teacher, storage, device=device, multi_gpu_cfg=cfg["multi_gpu"], **settings)
