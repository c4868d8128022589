"""Learners whose robots now and then act without exploring, as they do once trained."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.algorithms import PPO
from tensordict import TensorDict

SPELL = 100  # control periods that a spell without exploration lasts, in the mean: 2 s at 50 Hz


class Spells:
    """Spells of random length in which a robot acts by the mean, each robot for itself.

    A policy without memory may stand still where no noise moves it on, such as before a step. While it explores in
    every period it never learns how to get away from there, as the noise does that for it.
    """

    def __init__(self, share: float, robots: int, device: str) -> None:
        """Take the share of the time in which the mean acts, from 0 to below 1."""
        self._begins = share / (1.0 - share) / SPELL
        self._quiet = torch.zeros(robots, dtype=torch.bool, device=device)

    def mix(self, explored: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Return what acts in the next period, (n, 12)."""
        if self._begins == 0.0:
            return explored
        draw = torch.rand(len(explored), device=explored.device)
        self._quiet = torch.where(self._quiet, draw > 1.0 / SPELL, draw < self._begins)
        return torch.where(self._quiet[:, None], mean.detach(), explored)


class QuietPPO(PPO):
    """rsl_rl's PPO, with spells in which the mean acts."""

    def __init__(self, *arguments: Any, quiet_share: float = 0.0, **others: Any) -> None:
        """Take rsl_rl's arguments, and the share of the time in which the mean acts, from 0 to below 1."""
        super().__init__(*arguments, **others)
        self._spells = Spells(quiet_share, self.storage.num_envs, self.device)

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Return the actions (n, 12) and keep what learning takes of them."""
        actions = self._spells.mix(super().act(obs), self.actor.output_mean)
        self.transition.actions = actions
        self.transition.actions_log_prob = self.actor.get_output_log_prob(actions).detach()
        return actions
