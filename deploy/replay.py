"""A log played back as if it were a robot: `ReplayDriver`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from deploy.driver import JointCommand, Operator, RobotState
from deploy.loop import Pacer
from robots.joints import JOINT_NAMES, permutation

IMU, JOINTS, FEET = "/imu/data", "/joint_states", "/foot_force"


class ReplayDriver:
    """The states of a log, each at its time; what is written goes nowhere.

    Args:
        log: rosbag2 folder or MCAP file that `dmcm` wrote.
        robot: of which the log is.
        command_dt: time between two commands, s.
        fast: as fast as possible instead of at the log's own rate.

    Attributes:
        ended: whether the log is over; the last state stays, and the stale-state guard will trip.

    Raises:
        FileNotFoundError: if there is no such log.
        ValueError: if it cannot be read, or lacks the topics.
    """

    joint_names, problem, serial = JOINT_NAMES, None, ""

    def __init__(self, log: Path, robot: str, command_dt: float = 0.005, fast: bool = False) -> None:
        self.robot, self.command_dt = robot, command_dt
        self._states, self._next = _read(Path(log)), 0
        self._time = self._states[0].stamp
        self._pacer = None if fast else Pacer(command_dt)

    @property
    def ended(self) -> bool:
        """Whether the log is over."""
        return self._time > self._states[-1].stamp

    def read(self) -> RobotState:
        """Return the state of the present time."""
        while self._next + 1 < len(self._states) and self._states[self._next + 1].stamp <= self._time + 1e-9:
            self._next += 1
        return self._states[self._next]

    def write(self, command: JointCommand) -> None:
        """Do nothing: the log's robot walked long ago."""

    def remote(self) -> Operator | None:
        """Return None: a log has no remote."""

    def wait(self) -> None:
        """Go on by one command period."""
        self._time += self.command_dt
        if self._pacer is not None:
            self._pacer.wait()

    def close(self) -> None:
        """Do nothing: the log has been read."""


def _read(log: Path) -> list[RobotState]:
    """Return the states of a log in the order of time, one for each message of the joints."""
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    if not log.exists():
        raise FileNotFoundError(f"log {log} does not exist: give a rosbag2 folder or an MCAP file")
    store, found = get_typestore(Stores.ROS2_HUMBLE), {IMU: {}, JOINTS: {}, FEET: {}}
    try:
        with Reader(log) as reader:
            for connection, time, raw in reader.messages():
                if connection.topic in found:
                    found[connection.topic][time] = store.deserialize_cdr(raw, connection.msgtype)
    except Exception as problem:  # a damaged file makes rosbags raise nearly anything
        raise ValueError(f"log {log} cannot be read ({problem}): copy it again") from problem
    times = sorted(set(found[IMU]) & set(found[JOINTS]))
    if not times:
        raise ValueError(f"log {log} has no {IMU} and {JOINTS} of the same time: give a log that dmcm wrote")
    try:
        return [_state(1e-9 * (t - times[0]), *(found[topic].get(t) for topic in found)) for t in times]
    except (ValueError, AttributeError) as problem:
        raise ValueError(f"log {log} is of another robot or damaged ({problem})") from problem


def _state(stamp: float, imu: Any, joints: Any, feet: Any) -> RobotState:
    order = permutation(tuple(joints.name), JOINT_NAMES)
    q, w, a = imu.orientation, imu.angular_velocity, imu.linear_acceleration
    return RobotState(
        stamp=stamp,
        angular_velocity=np.array([w.x, w.y, w.z]),
        quaternion=np.array([q.w, q.x, q.y, q.z]),
        joint_position=np.asarray(joints.position)[order],
        joint_velocity=np.asarray(joints.velocity)[order],
        joint_torque=np.asarray(joints.effort)[order],
        foot_force=None if feet is None else np.array(feet.data),
        linear_acceleration=None if imu.linear_acceleration_covariance[0] < 0 else np.array([a.x, a.y, a.z]),
    )
