"""What the node's topics tell, as the reports that the viewer shows; a message is anything with its attributes."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from deploy.live import Report
from deploy_ros.messages import JointOrder, quaternion, seconds, vector
from robots.joints import JOINT_NAMES
from robots.spec import RobotSpec

TOPICS = ("joint_states", "imu/data", "joint_targets", "controller_state")
MOST = 500  # reports that wait to be taken


class TopicSource:
    """A source of reports (`viewer.live.Source`); other threads hand it messages.

    A report is made of the newest message of every topic when the IMU's follows on new joint targets, for with every
    driver these come in the same period.

    Args:
        spec: the robot, which the topics do not name.

    Attributes:
        where: for messages.
    """

    where = "the topics " + ", ".join(TOPICS)

    def __init__(self, spec: RobotSpec) -> None:
        self._spec, self._order = spec, JointOrder(JOINT_NAMES)
        self._newest: dict[str, Any] = {}
        self._reports: deque[Report] = deque(maxlen=MOST)

    def hear(self, topic: str, message: Any) -> None:
        """Take a message of one of `TOPICS`."""
        self._newest[topic] = message
        if topic == "imu/data" and len(self._newest) == len(TOPICS):
            try:
                self._reports.append(self._report())
            except ValueError:  # joints of another robot, or too few
                return
            del self._newest["joint_targets"]

    def take(self) -> list[Report]:
        """Return the reports since the last time, without waiting."""
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def _report(self) -> Report:
        joints, imu, targets, state = (self._newest[topic] for topic in TOPICS)
        command = state.velocity
        values = {
            "stamp": np.array([seconds(imu.header.stamp)]),
            "quaternion": quaternion(imu.orientation),
            "angular_velocity": vector(imu.angular_velocity),
            "joint_position": self._order.take(joints, "position"),
            "joint_velocity": self._order.take(joints, "velocity"),
            "joint_torque": self._order.take(joints, "effort"),
            "target": self._order.take(targets, "position"),
            "command": np.array([command.linear.x, command.linear.y, command.angular.z]),
            "foot_force": np.full(4, np.nan),
            "milliseconds": np.array([np.nan]),
        }
        names = ("state", "cause", "fault", "refusal", "trips", "context", "terrain")
        status = {name: getattr(state, name) for name in names}
        status["gains"] = [state.kp_factor, state.kd_factor, *state.leg_factors]
        return Report(self._spec.name, self._spec.digest(), status, values, np.zeros(0))
