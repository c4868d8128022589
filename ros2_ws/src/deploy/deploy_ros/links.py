"""The topics of a robot for `TopicsDriver`, read and written in the control loop's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rosidl_runtime_py.utilities import get_message

from deploy.driver import JointCommand
from deploy_ros import messages
from deploy_ros.declare import newest, published, subscribe, subscribed
from robots.joints import JOINT_NAMES


class RosLink:
    """`joint_states` and `imu/data` in, `joint_commands` out.

    Args:
        node: owner of the subscriptions.
        commands: publisher of `joint_commands`.
        gone: told whether nobody alive publishes `joint_states` any more.
    """

    def __init__(self, node: Node, commands: Any, gone: Callable[[bool], None]) -> None:
        def watch(event: Any) -> None:
            gone(event.alive_count == 0)

        self._node, self._commands = node, commands
        self._joints = subscribe(node, subscribed("joint_states"), liveliness=watch)
        self._imu = subscribe(node, subscribed("imu/data"))
        self._message = get_message(published("joint_commands").type)()
        self._message.names = list(JOINT_NAMES)

    def take(self) -> tuple[Any | None, Any | None]:
        """Return the newest joint state and IMU message since the last call."""
        return newest(self._joints), newest(self._imu)

    def send(self, command: JointCommand) -> None:
        """Publish a command."""
        messages.fill_command(self._message, command)
        messages.set_stamp(self._message.header.stamp, self._node.get_clock().now().nanoseconds)
        self._commands.publish(self._message)
