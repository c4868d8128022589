"""What a robot is to the controller: something that reports its state and takes joint commands.

Arrays are in the internal joint order (`robots.joints.JOINT_NAMES`); a driver converts at its edge, by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class StateLike(Protocol):
    """What the controller reads of a robot's state; `RobotState` is one, and so is any object with these attributes."""

    @property
    def stamp(self) -> float:
        """Time of measurement on the robot's own monotonic clock, s."""
        ...

    @property
    def angular_velocity(self) -> np.ndarray:
        """Body rates in the base frame, rad/s, (3,)."""
        ...

    @property
    def quaternion(self) -> np.ndarray:
        """Attitude of the base in the world (w, x, y, z), (4,)."""
        ...

    @property
    def joint_position(self) -> np.ndarray:
        """Joint positions, rad, (12,)."""
        ...

    @property
    def joint_velocity(self) -> np.ndarray:
        """Joint velocities, rad/s, (12,)."""
        ...

    @property
    def joint_torque(self) -> np.ndarray:
        """Measured or estimated joint torques, N m, (12,)."""
        ...

    @property
    def foot_force(self) -> np.ndarray | None:
        """Contact force of each foot FL FR RL RR, N, (4,), or None where the robot has no such sensor."""
        ...

    @property
    def linear_acceleration(self) -> np.ndarray | None:
        """Specific force in the base frame, m/s^2, (3,), or None where the robot has no such sensor."""
        ...

    @property
    def motor_temperature(self) -> np.ndarray | None:
        """Temperature of each motor, degC, (12,), or None where the robot does not report it."""
        ...

    @property
    def battery(self) -> float | None:
        """State of charge of the battery, 0 to 1, or None where the robot does not report it."""
        ...


@dataclass
class RobotState:
    """One measurement of the robot; units and frames as in `StateLike`."""

    stamp: float
    angular_velocity: np.ndarray
    quaternion: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    foot_force: np.ndarray | None = None
    linear_acceleration: np.ndarray | None = None
    motor_temperature: np.ndarray | None = None
    battery: float | None = None


@dataclass(frozen=True)
class Operator:
    """What the operator wants in a period.

    Attributes:
        velocity: forward m/s, left m/s, turning left rad/s.
        event: one of `deploy.states.EVENTS`, or None.
        age: time since the velocity was commanded, s; 0 for motions that are planned ahead.
    """

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    event: str | None = None
    age: float = 0.0


@dataclass
class JointCommand:
    """What the motors are told: torque = kp (position - q) + kd (velocity - dq) + torque; each (12,), float64.

    Attributes:
        position: rad.
        velocity: rad/s.
        torque: feed-forward, N m.
        kp: N m/rad.
        kd: N m s/rad.
    """

    position: np.ndarray
    velocity: np.ndarray
    torque: np.ndarray
    kp: np.ndarray
    kd: np.ndarray


class RobotDriver(Protocol):
    """A robot, real or simulated.

    Attributes:
        robot: name of its folder in `robots`.
        joint_names: the internal joint order, which shows that the driver converted to it.
        command_dt: time between two writes, s.
        serial: of this robot, "" if unknown.
    """

    robot: str
    joint_names: tuple[str, ...]
    command_dt: float
    serial: str

    @property
    def problem(self) -> str | None:
        """What the driver itself knows to be wrong, or None: a second writer of commands, no answer, bad checksums.

        Asked on every tick, and a fault while the motors are powered.
        """
        ...

    def read(self) -> StateLike | None:
        """Return the latest state without waiting, or None while the robot has not reported any."""
        ...

    def write(self, command: JointCommand) -> None:
        """Send a command."""
        ...

    def remote(self) -> Operator | None:
        """Return what the robot's own hand-held remote asks for, or None if it has none or nobody touches it."""
        ...

    def wait(self) -> None:
        """Block until the next command period (or step a simulation by it)."""
        ...

    def close(self) -> None:
        """Release the robot."""
        ...
