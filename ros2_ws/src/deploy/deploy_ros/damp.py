"""Damp a robot's motors, whatever has become of the node that controlled it; the launch file runs it for that."""

from __future__ import annotations

import sys
import time

import rclpy
from rclpy.node import Node
from rosidl_runtime_py.utilities import get_message

from deploy_ros import core, declare, interface, stopping

try:
    core.require("models")
except core.CoreMissingError as missing:
    sys.exit(f"damp: {missing}")

import numpy as np

import robots
from deploy.driver import JointCommand
from deploy.states import FAULT, STATES
from deploy_ros import assembly
from deploy_ros.links import RosLink
from deploy_ros.topics import TopicsDriver

SECONDS = 1.0  # for which the motors are told to damp, after a reader was found
DISCOVERY = 1.0  # s that a reader may take to be found


def main() -> None:
    """Send damping commands for a while."""
    ended = stopping.start()
    node = Node("damp")
    settings = assembly.Settings(declare.declare(node, interface.PARAMETERS))
    robot, commands = settings["robot"], declare.published("joint_commands")
    spec = robots.load(robot)
    if settings["driver"] == "topics":
        publisher = node.create_publisher(get_message(commands.type), commands.name, declare.quality(commands.qos))
        driver = TopicsDriver(robot, settings.command_dt, RosLink(node, publisher, lambda gone: None))
        given_up = time.monotonic() + DISCOVERY
        while publisher.get_subscription_count() == 0 and time.monotonic() < given_up and not ended.is_set():
            time.sleep(0.01)
    else:
        driver = assembly.open_driver(settings)
    brake = np.full(12, STATES[FAULT].kd * spec.kd)
    command = JointCommand(spec.default_position, np.zeros(12), np.zeros(12), np.zeros(12), brake)
    for _ in range(round(SECONDS / settings.command_dt)):
        driver.write(command)
        driver.wait()
    driver.close()
    node.get_logger().info(f"{robot}: motors damped")
    rclpy.shutdown()
