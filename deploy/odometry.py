"""How fast the robot goes, from its legs: the feet that carry it stand still on the ground."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from robots.kinematics import foot_jacobians, foot_positions, projected_gravity
from robots.spec import RobotSpec

# Chosen on the simulated Go1, walking with and without a payload.
SMOOTHING = 0.01  # s, time constant of the low-pass
CARRYING = 0.2  # share of the most loaded foot's force from which a foot counts as down
LOWEST = 0.003  # m: without force sensors, the feet this near the lowest count as down


class Motion(Protocol):
    """What is measured: units and frames as in `deploy.driver.StateLike`."""

    angular_velocity: np.ndarray
    quaternion: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray


class LegOdometry:
    """Velocity of the base from the kinematics of the standing legs.

    Where a foot touches the ground it does not move: v = -(J dq + ω x p), averaged over the feet that were down now and
    at the last update (a foot that just lands still moves), low-passed. While no foot stands, the velocity is kept.

    Args:
        spec: the robot.
        dt: time between two updates, s.
    """

    def __init__(self, spec: RobotSpec, dt: float) -> None:
        self._spec, self._keep = spec, SMOOTHING / (SMOOTHING + dt)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._velocity: np.ndarray | None = None
        self._down = np.ones(4, dtype=bool)

    def update(self, motion: Motion, foot_force: np.ndarray | None = None) -> np.ndarray:
        """Return the velocity of the trunk's origin in its own frame, m/s, (3,).

        Args:
            motion: what the IMU and the joint encoders tell.
            foot_force: load on the feet FL FR RL RR, any unit, (4,); None takes the lowest feet as the standing ones.
        """
        gravity = projected_gravity(motion.quaternion)
        contact = np.broadcast_to(self._spec.foot_radius * gravity, (4, 3))
        points = foot_positions(self._spec, motion.joint_position) + contact
        rates = motion.joint_velocity.reshape(4, 3, 1)
        swing = (foot_jacobians(self._spec, motion.joint_position, contact) @ rates)[..., 0]
        velocities = -(swing + np.cross(motion.angular_velocity, points))
        down = _down(points @ gravity, foot_force)
        standing, self._down = down & self._down, down
        if standing.any():
            now = velocities[standing].mean(axis=0)
            last = now if self._velocity is None else self._velocity
            self._velocity = self._keep * last + (1.0 - self._keep) * now
        return np.zeros(3) if self._velocity is None else self._velocity.copy()


def _down(depth: np.ndarray, foot_force: np.ndarray | None) -> np.ndarray:
    """Return which feet touch the ground, (4,), from how deep they are, m, or how loaded."""
    if foot_force is not None and foot_force.max() > 0:
        return foot_force > CARRYING * foot_force.max()
    return depth > depth.max() - LOWEST
