"""The simulated field robot as a node that speaks the topics of a real one, in real time."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import rclpy
from deploy_ros import core, declare, interface, stopping
from deploy_ros.interface import Parameter
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosidl_runtime_py.utilities import get_message

try:
    core.require("sim", "mujoco")
except core.CoreMissingError as missing:
    sys.exit(f"simulated_robot: {missing}")

from deploy_ros import messages

import robots
from cli.drivers import Simulated, field_robot
from deploy.driver import JointCommand
from deploy.loop import Pacer
from deploy.realtime import Realtime
from robots.joints import JOINT_NAMES

PARAMETERS = (
    Parameter("robot", "go2", "which robot", choices=robots.NAMES),
    Parameter("rate", 200.0, "states a second, Hz", lower=50.0, upper=1000.0),
    Parameter("payload", 0.0, "what it carries on its back, kg", lower=0.0, upper=5.0),
    Parameter("stairs", 0.0, "height of the steps of the stairs 2 m ahead, m; 0 is flat ground", lower=0.0, upper=0.2),
    Parameter("realtime_priority", 0, "SCHED_FIFO priority; 0 is none", lower=0, upper=99),
    Parameter("seed", 0, "of its flaws and its sensors' noise", lower=0, upper=2**31),
)
AHEAD = 2.0  # m to the first step: beyond the room that the field routine takes
WATCHDOG = 0.1  # s without a command, after which the motors damp
DAMPING = 3.0  # times the nominal gain
FAREWELL = 2.0  # s that it waits at the end for a controller that is still there
EVENTS_EVERY = 10  # periods between two looks at the middleware's events


class SimulatedRobot(Node):
    """A robot that measures, obeys, and damps its motors when nobody commands it.

    Attributes:
        damped: whether the motors only brake.
    """

    def __init__(self) -> None:
        super().__init__("simulated_robot")
        values = declare.declare(self, PARAMETERS)
        self.spec, self.dt = robots.load(values["robot"]), 1.0 / values["rate"]
        condition = Simulated(payload=values["payload"], stairs=100.0 * values["stairs"], seed=values["seed"])
        self.robot = field_robot(values["robot"], condition, self.dt, distance=AHEAD)
        self._order, self._heard, self._epoch = messages.JointOrder(JOINT_NAMES), -np.inf, 0
        self.damped, self.realtime = True, Realtime(values["realtime_priority"])
        self._commands = declare.subscribe(
            self, declare.published("joint_commands"), deadline=self._silent, liveliness=self._silent
        )
        self._states, self._imus = (self._publisher(name) for name in ("joint_states", "imu/data"))
        self._state_message, self._imu_message = (
            get_message(declare.subscribed(name).type)() for name in ("joint_states", "imu/data")
        )
        self._state_message.name = list(JOINT_NAMES)
        self._imu_message.header.frame_id = "imu"

    def _publisher(self, name: str) -> Any:
        quality = declare.quality(interface.SENSOR_OUT)
        return self.create_publisher(get_message(declare.subscribed(name).type), name, quality)

    def _silent(self, event: Any) -> None:
        """Damp the motors: the middleware says that the commands' deadline was missed or their writer is gone."""
        if getattr(event, "alive_count", 0) == 0:
            self._damp()

    def _damp(self) -> None:
        if not self.damped:
            self.get_logger().warning("no commands: motors damped")
        self.damped = True
        self.robot.write(_command(self.robot.data.qpos[7:], kp=0.0, kd=DAMPING * self.spec.kd))

    def tick(self) -> None:
        """Obey the newest command, advance by a period, and report."""
        message = declare.newest(self._commands)
        if message is not None:
            self._obey(message)
        elif time.monotonic() - self._heard > WATCHDOG:
            self._damp()
        self.robot.wait()
        self._report()

    def _obey(self, message: Any) -> None:
        try:
            command = messages.read_command(message, self._order)
        except ValueError as problem:
            self.get_logger().warning(f"joint_commands ignored: {problem}", throttle_duration_sec=1.0)
            return
        self._heard, self.damped = time.monotonic(), not command.kp.any()
        self.robot.write(command)

    def _report(self) -> None:
        state = self.robot.read()
        if not self._epoch:
            self._epoch = self.get_clock().now().nanoseconds - round(1e9 * state.stamp)
        stamp = self._epoch + round(1e9 * state.stamp)
        messages.fill_joint_state(self._state_message, state.joint_position, state.joint_velocity, state.joint_torque)
        messages.fill_imu(self._imu_message, state)
        for message, publisher in ((self._state_message, self._states), (self._imu_message, self._imus)):
            messages.set_stamp(message.header.stamp, stamp)
            publisher.publish(message)

    def farewell(self) -> str:
        """Say where and how the robot ends."""
        x, y, z = self.robot.position
        motors = "motors damped" if self.damped else "MOTORS POWERED"
        return f"{motors} at the end; trunk at x {x:.2f}, y {y:.2f}, {z - self.robot.ground(x, y):.2f} m above ground"


def _command(position: np.ndarray, kp: float, kd: float) -> JointCommand:
    return JointCommand(np.array(position), np.zeros(12), np.zeros(12), np.full(12, kp), np.full(12, kd))


def main() -> None:
    """Run the robot until SIGINT or SIGTERM, and a little longer if a controller has yet to damp it."""
    ended = stopping.start()
    node, executor = SimulatedRobot(), SingleThreadedExecutor()
    executor.add_node(node)
    pacer, period, left = Pacer(node.dt), 0, None
    with node.realtime:
        while not (ended.is_set() and (node.damped or left == 0)):
            node.tick()
            if period % EVENTS_EVERY == 0:
                executor.spin_once(timeout_sec=0.0)
            if ended.is_set():
                left = round(FAREWELL / node.dt) if left is None else left - 1
            period += 1
            pacer.wait()
    node.get_logger().info(node.farewell())
    executor.shutdown()
    rclpy.shutdown()
