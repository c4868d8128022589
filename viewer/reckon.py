"""Where a robot is that knows only its joints and its IMU: by its legs, the lowest of which stands on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.odometry import CARRYING, LOWEST, SMOOTHING
from robots.kinematics import foot_jacobians, foot_positions, projected_gravity
from robots.spec import RobotSpec
from viewer.body import rotate
from viewer.track import pack


@dataclass
class Measured:
    """What a robot measured and was told, a row for every period of the policy.

    Attributes:
        time: s, (t,).
        quaternion: (t, 4).
        angular_velocity: base frame, rad/s, (t, 3).
        joint_position, joint_velocity, joint_torque, target: rad, rad/s, N m, rad, (t, 12).
        command: m/s, m/s, rad/s, (t, 3).
        foot_force: (t, 4), any unit; NaN where it is not known.
        walking: whether a policy moves the robot, (t,).
        milliseconds: what a turn of the loop took, (t,).
    """

    time: np.ndarray
    quaternion: np.ndarray
    angular_velocity: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    target: np.ndarray
    command: np.ndarray
    foot_force: np.ndarray
    walking: np.ndarray
    milliseconds: np.ndarray


class Reckoner:
    """Leg odometry as in `deploy.odometry`, over many rows at once, and dead reckoning from it.

    The heading is the IMU's; the height is such that the lowest foot, or the belly, lies on flat ground.

    Args:
        spec: the robot.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self._spec, self._keep = spec, SMOOTHING / (SMOOTHING + spec.control_dt)
        self._place, self._velocity, self._down = np.zeros(2), np.zeros(3), np.ones(4, dtype=bool)
        self._time: float | None = None

    def rows(self, measured: Measured) -> np.ndarray:
        """Return rows of `viewer.track` of what followed on the rows given before."""
        down, velocity = self._velocities(measured)
        steps = np.diff(measured.time, prepend=measured.time[0] if self._time is None else self._time)
        self._time = float(measured.time[-1])
        world = rotate(measured.quaternion, velocity)[:, :2]
        place = self._place + np.cumsum(np.clip(steps, 0.0, 0.1)[:, None] * world, axis=0)
        self._place = place[-1]
        given = {name: value for name, value in vars(measured).items() if name != "foot_force"}
        return pack(
            len(measured.time),
            position=np.concatenate([place, self._height(measured)[:, None]], axis=1),
            velocity=np.concatenate([velocity[:, :2], measured.angular_velocity[:, 2:]], axis=1),
            contact=down.astype(float),
            **given,
        )

    def _velocities(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Return which feet are down, (t, 4), and the base's velocity in its own frame, m/s, (t, 3)."""
        spec, q = self._spec, measured.joint_position
        gravity = projected_gravity(measured.quaternion)
        contact = np.broadcast_to(spec.foot_radius * gravity[:, None], (len(q), 4, 3))
        points = foot_positions(spec, q) + contact
        swing = np.einsum("tlij,tlj->tli", foot_jacobians(spec, q, contact), measured.joint_velocity.reshape(-1, 4, 3))
        velocities = -(swing + np.cross(measured.angular_velocity[:, None], points))
        depth, force = np.einsum("tli,ti->tl", points, gravity), measured.foot_force
        felt = np.isfinite(force).all(axis=1) & (np.nan_to_num(force).max(axis=1) > 0)
        down = np.where(
            felt[:, None],
            np.nan_to_num(force) > CARRYING * np.nan_to_num(force).max(axis=1, keepdims=True),
            depth > depth.max(axis=1, keepdims=True) - LOWEST,
        )
        standing = down & np.concatenate([self._down[None], down[:-1]])
        self._down = down[-1]
        share = standing / np.maximum(standing.sum(axis=1, keepdims=True), 1)
        now, any_foot = np.einsum("tl,tli->ti", share, velocities), standing.any(axis=1)
        smooth = np.empty_like(now)
        for i in range(len(now)):
            if any_foot[i]:
                self._velocity = self._keep * self._velocity + (1.0 - self._keep) * now[i]
            smooth[i] = self._velocity
        return down, smooth

    def _height(self, measured: Measured) -> np.ndarray:
        """Return the trunk's height over the lowest foot's sole or corner of the belly, m, (t,)."""
        spec, gravity = self._spec, projected_gravity(measured.quaternion)
        x, y, z = spec.trunk_size
        belly = np.array([[sx * x, sy * y, sz * z] for sx in (-1, 1) for sy in (-1, 1) for sz in (-1, 1)])
        feet = np.einsum("tli,ti->tl", foot_positions(spec, measured.joint_position), gravity) + spec.foot_radius
        return np.maximum(feet.max(axis=1), (gravity @ belly.T).max(axis=1))
