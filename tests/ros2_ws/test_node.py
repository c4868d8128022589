"""The node in this process, with a robot whose faults a test can choose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: source its setup.bash and the workspace's")
pytest.importorskip("deploy_msgs", reason="the workspace is not built or not sourced: colcon build in ros2_ws")

import rclpy
from deploy_ros.node import FAILURE, SUCCESS, QuadrupedController
from rclpy.parameter import Parameter

import robots
from deploy.loop import SINK, Pacer
from tests.deploy.fake_robot import FakeRobot
from tests.ros2_ws.harness import until


class Robot(FakeRobot):
    """A `FakeRobot` in real time; what `fails` is raised once it reads, and what is `wrong` is seen then."""

    def __init__(self, settings):
        super().__init__(robots.load("go1"), settings.command_dt)
        self.fails, self.wrong, self._pacer = None, None, Pacer(settings.command_dt)

    def read(self):
        if self.fails is not None:
            raise self.fails
        self.problem = self.wrong
        return super().read()

    def wait(self):
        super().wait()
        self._pacer.wait()


@pytest.fixture
def node():
    os.environ.setdefault("ROS_DOMAIN_ID", "77")
    chosen = {"robot": "go1", "driver": "unitree_udp"}
    rclpy.init(args=["--ros-args", *(word for name in chosen for word in ("-p", f"{name}:={chosen[name]}"))])
    made = QuadrupedController(Robot)
    assert made.trigger_configure() == SUCCESS
    yield made
    made.trigger_shutdown()
    made.destroy_node()
    rclpy.shutdown()


def stand_up(node):
    assert node.trigger_activate() == SUCCESS
    until(lambda: node.inbox.ask("stand").accepted, 5.0, "a robot that stands up")


def test_a_robot_sinks_when_control_ends_and_when_it_fails(node):
    stand_up(node)
    began = time.monotonic()
    assert node.trigger_deactivate() == SUCCESS
    assert time.monotonic() - began > 0.9 * SINK
    stand_up(node)
    robot, before = node._driver, len(node._driver.commands)
    robot.fails = OSError("the network is down")
    until(lambda: node.broken, 5.0 + SINK, "a loop that has failed")
    assert "the network is down" in node.broken
    sunk = [command for command in robot.commands[before:] if not command.kp.any() and command.kd.any()]
    assert len(sunk) * robot.command_dt > 0.9 * SINK


def test_parameters_are_checked_whenever_they_are_set(node):
    def set_axes(axes):
        (answer,) = node.set_parameters([Parameter("joy_axes", value=axes)])
        return answer.successful, answer.reason, list(node.get_parameter("joy_axes").value)

    assert set_axes([1, 0]) == (False, "parameter joy_axes needs 3 values, has 2", [1, 0, 3])
    assert set_axes([0, 1, 2]) == (True, "", [0, 1, 2])


def test_only_a_problem_that_is_still_there_refuses_activation(node):
    robot = node._driver
    robot.wrong = robot.problem = "the cable is out"
    assert node.trigger_activate() == FAILURE
    robot.wrong = None
    assert robot.problem and node.trigger_activate() == SUCCESS


def test_what_was_set_stays_until_cleanup(node):
    assert node.trigger_activate() == SUCCESS
    assert node.inbox.change(lambda controller: controller.set_terrain("stairs_9cm") or "").accepted
    assert node.trigger_deactivate() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.controller.contexts.terrain_name == "stairs_9cm"
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.controller.contexts.terrain_name == "flat"


def test_signals_on_each_others_heels_end_a_process_too():
    code = "from deploy_ros import stopping; ended = stopping.start(); print('ready', flush=True)\n"
    code += "while not ended.is_set(): pass\nimport time; time.sleep(0.5)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    for _ in range(1000):
        process.send_signal(signal.SIGINT)
    try:
        assert process.wait(20.0) == 0
    finally:
        process.kill()
