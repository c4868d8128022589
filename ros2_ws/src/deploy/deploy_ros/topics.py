"""A robot that speaks ROS topics, as a driver: `joint_states` and `imu/data` in, `joint_commands` out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from deploy.driver import JointCommand, RobotState
from deploy.loop import Pacer
from deploy_ros.messages import NO_SENSOR, JointOrder, quaternion, seconds, vector
from robots.joints import JOINT_NAMES

APART = 0.05  # s between the newest joint state and the newest IMU message of one robot


class Link(Protocol):
    """The topics of one robot, for the control loop's thread; none of it waits."""

    def take(self) -> tuple[Any | None, Any | None]:
        """Return the newest sensor_msgs/JointState and sensor_msgs/Imu since the last call, None where none came."""
        ...

    def send(self, command: JointCommand) -> None:
        """Publish a command."""
        ...


class TopicsDriver:
    """A `RobotDriver` over topics; other threads set `writers` and `gone`.

    Args:
        robot: its name.
        command_dt: command period, s.
        link: its topics.

    Attributes:
        writers: publishers on the command topic, this one included.
        gone: whether the robot's side has stopped to publish (liveliness).
    """

    joint_names = JOINT_NAMES
    serial = ""

    def __init__(self, robot: str, command_dt: float, link: Link) -> None:
        self.robot, self.command_dt = robot, command_dt
        self.writers, self.gone = 1, False
        self._link, self._pacer, self._order = link, Pacer(command_dt), JointOrder(JOINT_NAMES)
        self._joints: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
        self._imu: tuple[float, np.ndarray, np.ndarray, np.ndarray | None] | None = None
        self._spoiled = ""

    @property
    def problem(self) -> str | None:
        """Say what is wrong with the topics, or None."""
        if self.writers > 1:
            return f"{self.writers} nodes publish joint_commands: stop the other one (`ros2 topic info -v`)"
        if self.gone:
            return "the robot's driver is gone: nothing publishes joint_states any more"
        if self._spoiled:
            return self._spoiled
        if self._joints and self._imu and abs(self._joints[0] - self._imu[0]) > APART:
            apart = 1e3 * abs(self._joints[0] - self._imu[0])
            return f"imu/data and joint_states are {apart:.0f} ms apart: one has stopped, or their clocks differ"
        return None

    def read(self) -> RobotState | None:
        """Return the newest state, None until both topics have spoken; its stamp is the older one of the two."""
        joints, imu = self._link.take()
        if joints is not None:
            self._take_joints(joints)
        if imu is not None:
            self._take_imu(imu)
        if self._joints is None or self._imu is None:
            return None
        stamp, position, velocity, torque = self._joints
        return RobotState(
            stamp=min(stamp, self._imu[0]),
            quaternion=self._imu[1],
            angular_velocity=self._imu[2],
            joint_position=position,
            joint_velocity=velocity,
            joint_torque=torque,
            linear_acceleration=self._imu[3],
        )

    def _take_joints(self, message: Any) -> None:
        try:
            values = (self._order.take(message, field) for field in ("position", "velocity", "effort"))
            self._joints = (seconds(message.header.stamp), *values)
            self._spoiled = ""
        except ValueError as problem:
            self._spoiled = f"joint_states cannot be used: {problem}"

    def _take_imu(self, message: Any) -> None:
        known = message.linear_acceleration_covariance[0] != NO_SENSOR
        acceleration = vector(message.linear_acceleration) if known else None
        rates = vector(message.angular_velocity)
        self._imu = (seconds(message.header.stamp), quaternion(message.orientation), rates, acceleration)

    def write(self, command: JointCommand) -> None:
        """Publish a command."""
        self._link.send(command)

    def remote(self) -> None:
        """Return None: a remote, if there is one, speaks through `joy`."""

    def wait(self) -> None:
        """Wait for the next command period."""
        self._pacer.wait()

    def close(self) -> None:
        """Do nothing: the topics belong to the node."""
