"""A policy at work: from measurements to joint targets, at its own rate."""

from __future__ import annotations

import numpy as np

from deploy.context import ActiveContexts
from deploy.observe import Observer
from deploy.policy import OnnxPolicy
from deploy.reading import Reading
from deploy.safety import Supervisor
from robots.spec import RobotSpec


class PolicyFaultError(Exception):
    """A policy that must not go on, and why."""


class Runner:
    """Runs one policy.

    Args:
        policy: which.
        spec: the robot.
        command_dt: time between two commands, s.

    Attributes:
        policy: which.
        decimation: commands per action.
        observer: makes its input.
        action: its last output, clipped, (12,).
        seen: its last input.

    Raises:
        ValueError: if the command period does not divide the policy's.
    """

    def __init__(self, policy: OnnxPolicy, spec: RobotSpec, command_dt: float) -> None:
        self.policy, self.decimation = policy, policy.decimation(command_dt)
        self.observer = Observer(policy, spec)
        self.action, self.seen = np.zeros(12), np.zeros(0)

    def reset(self) -> None:
        """Forget the past, before the policy starts to walk."""
        self.observer.reset()
        self.action = np.zeros(12)

    def target(self, reading: Reading, velocity: np.ndarray, contexts: ActiveContexts) -> np.ndarray:
        """Return the joint positions that the policy wants, rad, (12,).

        Raises:
            PolicyFaultError: if it cannot be run, or its output is not finite or far out of range.
        """
        policy = self.policy
        try:
            self.seen = self.observer.observe(reading, velocity, self.action)
            action = policy(self.seen, contexts.robot, contexts.terrain)
        except Exception as problem:  # whatever it is, the robot must not be left without a command
            raise PolicyFaultError(f"policy failed: {problem}") from problem
        reason = Supervisor.check_action(action, policy.action_limit)
        if reason is not None:
            raise PolicyFaultError(reason)
        self.action = np.clip(action, -policy.action_limit, policy.action_limit)
        return policy.default_position + policy.action_scale * self.action
