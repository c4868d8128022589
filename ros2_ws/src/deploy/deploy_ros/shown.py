"""What the control loop shows of itself, in the time that is left of a period, from its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy.controller import Controller
from deploy.driver import JointCommand, Operator, RobotDriver, StateLike
from deploy.log import LogWriter
from deploy_ros import messages

BASE = "base"


@dataclass(frozen=True)
class Snapshot:
    """The last policy tick."""

    state: StateLike | None
    command: JointCommand


class ShownDriver:
    """A driver that calls `show` once a policy period, after the command has gone out; else it is the one it wraps.

    Attributes:
        snapshot: of the last policy tick, None before one.
        wakes: monotonic times of the last periods' starts, s, in a ring.
        ticks: periods so far.
    """

    def __init__(self, driver: RobotDriver, controller: Controller, show: Callable[[Snapshot], None]) -> None:
        self._driver, self._controller, self._show = driver, controller, show
        self.robot, self.joint_names, self.command_dt = driver.robot, driver.joint_names, driver.command_dt
        self.serial = driver.serial
        self.snapshot: Snapshot | None = None
        self.wakes, self.ticks = np.zeros(2048), 0
        self._state: StateLike | None = None
        self._command: JointCommand | None = None
        self._log: tuple[LogWriter, Collection[str]] | None = None

    def record(self, log: LogWriter | None, states: Collection[str] = ()) -> None:
        """Write a record at the policy's rate in these states of the controller; None ends it. For other threads."""
        self._log = None if log is None else (log, states)

    @property
    def problem(self) -> str | None:
        """Ask the driver."""
        return self._driver.problem

    def read(self) -> StateLike | None:
        """Read the robot."""
        self.wakes[self.ticks % len(self.wakes)] = time.monotonic()
        self.ticks += 1
        self._state = self._driver.read()
        return self._state

    def write(self, command: JointCommand) -> None:
        """Send a command."""
        self._driver.write(command)
        self._command = command

    def remote(self) -> Operator | None:
        """Ask the robot's own remote."""
        return self._driver.remote()

    def wait(self) -> None:
        """Show what there is to show, then wait for the next period, also if the showing failed."""
        try:
            if self._controller.policy_tick and self._command is not None:
                self.snapshot = Snapshot(self._state, self._command)
                self._write(self.snapshot)
                self._show(self.snapshot)
        finally:
            self._driver.wait()

    def _write(self, snapshot: Snapshot) -> None:
        log, controller, state = self._log, self._controller, snapshot.state
        if log is not None and state is not None and controller.state in log[1]:
            log[0].record(state, controller.target, controller.velocity, snapshot.command, controller.status())

    def close(self) -> None:
        """Release the robot."""
        self._driver.close()

    def recent_wakes(self) -> np.ndarray:
        """Return the starts of the last periods in order, s; for other threads."""
        ticks, size = self.ticks, len(self.wakes)
        return self.wakes[:ticks].copy() if ticks < size else np.roll(self.wakes, -(ticks % size))


class Publications:
    """Turns snapshots into messages, each made once and filled again.

    Args:
        controller: what is shown.
        new: returns an empty message for the topic of that name, and for "transform" a geometry_msgs/TransformStamped.
        send: what publishes on each topic.
        clock: ROS time, ns.
        frames: tf frames: (world, prefix).
        own_clock: whether the robot's stamps count from anywhere, and not in ROS time.
    """

    def __init__(
        self,
        controller: Controller,
        new: Callable[[str], Any],
        send: Mapping[str, Callable[[Any], None]],
        clock: Callable[[], int],
        frames: tuple[str, str] = ("world", ""),
        own_clock: bool = True,
    ) -> None:
        self._controller, self._send, self._clock, self._own_clock = controller, send, clock, own_clock
        self._messages = {topic: new(topic) for topic in send}
        self._offset: int | None = None
        world, prefix = frames
        names = list(controller.spec.joint_names)
        for topic, field in (("joint_states", "name"), ("joint_targets", "name"), ("joint_commands", "names")):
            if topic in self._messages:
                setattr(self._messages[topic], field, names)
        if "imu/data" in self._messages:
            self._messages["imu/data"].header.frame_id = prefix + "imu"
        if "/tf" in self._messages:
            self._transform = new("transform")
            self._transform.header.frame_id, self._transform.child_frame_id = prefix + world, prefix + BASE
            self._messages["/tf"].transforms = [self._transform]

    def show(self, snapshot: Snapshot) -> None:
        """Publish everything about one policy tick."""
        now, state = self._clock(), snapshot.state
        self._show_status(now)
        if "joint_commands" in self._messages:
            messages.fill_command(self._messages["joint_commands"], snapshot.command)
            self._publish("joint_commands", now)
        if state is None or not np.isfinite(state.stamp):
            return
        measured = self._measured(state.stamp, now)
        messages.fill_joint_state(self._messages["joint_targets"], self._controller.target)
        self._publish("joint_targets", measured)
        messages.set_quaternion(self._transform.transform.rotation, state.quaternion)
        messages.set_stamp(self._transform.header.stamp, measured)
        self._send["/tf"](self._messages["/tf"])
        if "joint_states" in self._messages:
            fields = state.joint_position, state.joint_velocity, state.joint_torque
            messages.fill_joint_state(self._messages["joint_states"], *fields)
            self._publish("joint_states", measured)
            messages.fill_imu(self._messages["imu/data"], state)
            self._publish("imu/data", measured)

    def _show_status(self, now: int) -> None:
        message, controller = self._messages["controller_state"], self._controller
        message.state, message.cause, message.fault = controller.state, controller.cause, controller.fault
        message.refusal, message.trips, message.limited = controller.refusal, controller.trips, int(controller.limited)
        message.context, message.terrain = controller.contexts.robot_source, controller.contexts.terrain_name
        gains = controller.gains
        message.kp_factor, message.kd_factor = gains.kp, gains.kd
        for leg, factor in enumerate(gains.legs):
            message.leg_factors[leg] = factor
        progress = controller.progress
        message.progress = -1.0 if progress is None else float(progress)
        message.command_stale = bool(controller.stale_command)
        forward, left, turn = controller.velocity
        message.velocity.linear.x, message.velocity.linear.y = float(forward), float(left)
        message.velocity.angular.z = float(turn)
        self._publish("controller_state", now)

    def _publish(self, topic: str, nanoseconds: int) -> None:
        message = self._messages[topic]
        messages.set_stamp(message.header.stamp, nanoseconds)
        self._send[topic](message)

    def _measured(self, stamp: float, now: int) -> int:
        """Return a stamp of the robot as ROS time, ns."""
        measured = round(stamp * 1e9)
        if self._offset is None:
            self._offset = now - measured if self._own_clock else 0
        return max(0, measured + self._offset)
