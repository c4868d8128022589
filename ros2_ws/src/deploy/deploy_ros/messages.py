"""Robot states and commands to and from ROS messages, which are anything with the right attributes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from deploy.driver import JointCommand, StateLike
from robots.joints import permutation

NO_SENSOR = -1.0  # first covariance of what is not measured, by the definition of sensor_msgs/Imu


def floats(values: np.ndarray) -> array[float]:
    """Return float64 values as the array that rclpy copies without looking at each."""
    packed = array("d")
    packed.frombytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return packed


def seconds(stamp: Any) -> float:
    """Return a builtin_interfaces/Time in s."""
    return stamp.sec + 1e-9 * stamp.nanosec


def set_stamp(stamp: Any, nanoseconds: int) -> None:
    """Set a builtin_interfaces/Time."""
    stamp.sec, stamp.nanosec = divmod(nanoseconds, 1_000_000_000)


class JointOrder:
    """Converts arrays that come with joint names to the internal order, and remembers the last names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._wanted, self._names, self._index = tuple(names), (), np.zeros(0, dtype=int)

    def index(self, names: Sequence[str]) -> np.ndarray:
        """Return which entries of a message with these names to take.

        Raises:
            ValueError: if a joint is missing, unknown or named twice.
        """
        if list(names) != list(self._names):
            self._index, self._names = permutation(names, self._wanted), tuple(names)
        return self._index

    def take(self, message: Any, field: str) -> np.ndarray:
        """Return one field of a message in the internal order, (n,), zeros where it is empty.

        Raises:
            ValueError: if names or lengths do not fit.
        """
        index, values = self.index(message.name if hasattr(message, "name") else message.names), getattr(message, field)
        if len(values) == 0:
            return np.zeros(len(index))
        if len(values) != len(index):
            raise ValueError(f"{len(values)} values of {field} for {len(index)} joints")
        return np.asarray(values, dtype=float)[index]


def fill_joint_state(
    message: Any, position: np.ndarray, velocity: np.ndarray | None = None, effort: np.ndarray | None = None
) -> None:
    """Put joint positions, velocities and torques into a sensor_msgs/JointState."""
    message.position = floats(position)
    if velocity is not None and effort is not None:
        message.velocity, message.effort = floats(velocity), floats(effort)


def fill_imu(message: Any, state: StateLike) -> None:
    """Put what the base's sensors measure into a sensor_msgs/Imu."""
    set_quaternion(message.orientation, state.quaternion)
    set_vector(message.angular_velocity, state.angular_velocity)
    if state.linear_acceleration is None:
        message.linear_acceleration_covariance[0] = NO_SENSOR
    else:
        set_vector(message.linear_acceleration, state.linear_acceleration)


def fill_command(message: Any, command: JointCommand) -> None:
    """Put a command into a deploy_msgs/JointCommand."""
    message.position, message.velocity = floats(command.position), floats(command.velocity)
    message.effort = floats(command.torque)
    message.stiffness, message.damping = floats(command.kp), floats(command.kd)


def read_command(message: Any, order: JointOrder) -> JointCommand:
    """Return the command in a deploy_msgs/JointCommand, in the internal order.

    Raises:
        ValueError: if names or lengths do not fit.
    """
    fields = ("position", "velocity", "effort", "stiffness", "damping")
    return JointCommand(*(order.take(message, field) for field in fields))


def set_quaternion(message: Any, quaternion: np.ndarray) -> None:
    """Set a geometry_msgs/Quaternion from w, x, y, z."""
    message.w, message.x, message.y, message.z = (float(v) for v in quaternion)


def quaternion(message: Any) -> np.ndarray:
    """Return a geometry_msgs/Quaternion as w, x, y, z."""
    return np.array([message.w, message.x, message.y, message.z])


def set_vector(message: Any, vector: np.ndarray) -> None:
    """Set a geometry_msgs/Vector3."""
    message.x, message.y, message.z = (float(v) for v in vector)


def vector(message: Any) -> np.ndarray:
    """Return a geometry_msgs/Vector3 as an array, (3,)."""
    return np.array([message.x, message.y, message.z])
