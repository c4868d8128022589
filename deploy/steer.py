"""Keeps a walk that is planned ahead where it began, by the legs' own odometry."""

from __future__ import annotations

import numpy as np

from deploy.calibration_motion import RAMP, Motion
from deploy.odometry import LegOdometry
from deploy.odometry import Motion as Measured
from robots.kinematics import yaw
from robots.spec import RobotSpec

FREE, FAR = 0.5, 0.9  # m from the start that a phase may end, as planned or mirrored


class Steering:
    """Walks the phases of a motion backward instead of forward, or to the other side, where that leads back.

    Robots follow the same commands differently: some hardly walk backward, or not at all. A phase that would end too
    far from the start is mirrored, if it ends nearer then, so that the robot moves as much as planned but stays. Where
    both ways lead too far it is walked straight ahead or back, whichever ends nearest.

    Args:
        spec: the robot.
        motion: what is planned.
        dt: time between two updates, s.

    Attributes:
        position: of the robot from the start, in the heading of the first update, m, (2,).
    """

    def __init__(self, spec: RobotSpec, motion: Motion, dt: float) -> None:
        self._odometry, self._motion, self._dt = LegOdometry(spec, dt), motion, dt
        self.reset()

    def reset(self) -> None:
        """Take the place of the next update for the start."""
        self._odometry.reset()
        self.position, self._first = np.zeros(2), None
        self.begin()

    def begin(self) -> None:
        """Begin the motion, from wherever the robot is; the start stays."""
        self._phase, self._from, self._to = -1, np.zeros(3), np.zeros(3)

    def velocity(self, time: float, measured: Measured) -> np.ndarray:
        """Return the command at a time since the start, s: forward m/s, left m/s, turning left rad/s, (3,)."""
        heading = float(yaw(measured.quaternion))
        self._first = heading if self._first is None else self._first
        cos, sin = np.cos(heading - self._first), np.sin(heading - self._first)
        to_start = np.array([[cos, -sin], [sin, cos]])  # from the robot's axes to those of the start
        speed = self._odometry.update(measured, getattr(measured, "foot_force", None))
        self.position = self.position + self._dt * to_start @ speed[:2]
        phase, since = self._motion.phase_at(time)
        if phase is None:
            return np.zeros(3)
        if phase != self._phase:
            self._phase, self._from = phase, self._to
            self._to = self._steered(self._motion.phases[phase].seconds, phase, to_start)
        part = min(1.0, since / RAMP)
        return (1 - part) * self._from + part * self._to

    def _steered(self, seconds: float, phase: int, to_start: np.ndarray) -> np.ndarray:
        velocity = np.array(self._motion.phases[phase].velocity)
        ahead = np.array([np.linalg.norm(velocity[:2]), 0.0, 0.0])
        ways = [velocity, velocity * [-1.0, -1.0, 1.0], ahead, -ahead]
        ends = [float(np.linalg.norm(self.position + seconds * to_start @ way[:2])) for way in ways]
        if ends[0] <= FREE:
            return velocity
        return ways[int(np.argmin(ends if min(ends[:2]) > FAR else ends[:2]))]
