"""PPO whose robots now and then act without exploring, as they do once trained."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.algorithms import PPO
from tensordict import TensorDict

SPELL = 100  # control periods that a spell without exploration lasts, in the mean: 2 s at 50 Hz


class QuietPPO(PPO):
    """rsl_rl's PPO; in spells of random length, each robot for itself, the mean is what acts.

    A policy without memory may stand still where no noise moves it on, such as before a step. While it explores in
    every period it never learns how to get away from there, as the noise does that for it.
    """

    def __init__(self, *arguments: Any, quiet_share: float = 0.0, **others: Any) -> None:
        """Take rsl_rl's arguments, and the share of the time in which the mean acts, from 0 to below 1."""
        super().__init__(*arguments, **others)
        self._begins = quiet_share / (1.0 - quiet_share) / SPELL
        self._quiet = torch.zeros(self.storage.num_envs, dtype=torch.bool, device=self.device)

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Return the actions (n, 12) and keep what learning takes of them."""
        actions = super().act(obs)
        if self._begins == 0.0:
            return actions
        draw = torch.rand(len(actions), device=actions.device)
        self._quiet = torch.where(self._quiet, draw > 1.0 / SPELL, draw < self._begins)
        actions = torch.where(self._quiet[:, None], self.actor.output_mean.detach(), actions)
        self.transition.actions = actions
        self.transition.actions_log_prob = self.actor.get_output_log_prob(actions).detach()
        return actions
