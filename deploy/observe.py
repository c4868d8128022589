"""What a policy sees: from measurements to its input, with the past where it wants one."""

from __future__ import annotations

import numpy as np

from deploy.odometry import LegOdometry, Motion
from deploy.policy import OnnxPolicy
from robots.kinematics import projected_gravity
from robots.observation import LINEAR_VELOCITY, assemble, size
from robots.spec import RobotSpec


class Observer:
    """Makes the input of one policy, once per action.

    Args:
        policy: whose input.
        spec: the robot.
    """

    def __init__(self, policy: OnnxPolicy, spec: RobotSpec) -> None:
        self._policy = policy
        self._frames = np.zeros((policy.history, size(policy.terms)))
        self._fresh = True
        sees_velocity = any(term.name == LINEAR_VELOCITY.name for term in policy.terms)
        self._odometry = LegOdometry(spec, policy.control_dt) if sees_velocity else None

    def reset(self) -> None:
        """Forget the past: the next observation fills the history."""
        self._fresh = True
        if self._odometry is not None:
            self._odometry.reset()

    def observe(self, reading: Motion, velocity: np.ndarray, last_action: np.ndarray) -> np.ndarray:
        """Return the policy's input: scaled frames from the oldest to the newest, (history * size(terms),).

        Args:
            reading: what the robot measures; its `foot_force`, where it has one, serves the odometry.
            velocity: command: forward m/s, left m/s, turning left rad/s, (3,).
            last_action: the policy's last output, clipped, (12,).
        """
        values = {
            "angular_velocity": reading.angular_velocity,
            "projected_gravity": projected_gravity(reading.quaternion),
            "command": velocity,
            "joint_position": reading.joint_position - self._policy.default_position,
            "joint_velocity": reading.joint_velocity,
            "last_action": last_action,
        }
        if self._odometry is not None:
            values[LINEAR_VELOCITY.name] = self._odometry.update(reading, getattr(reading, "foot_force", None))
        frame = assemble(self._policy.terms, values, self._policy.scale, np.concatenate)
        if self._fresh:
            self._frames[:] = frame
            self._fresh = False
        else:
            self._frames[:-1] = self._frames[1:]
            self._frames[-1] = frame
        return self._frames.reshape(-1).copy()
