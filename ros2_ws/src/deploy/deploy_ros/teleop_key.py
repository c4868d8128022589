"""Drive from the keyboard of the terminal in which the launch runs, which its processes do not have as their input."""

from __future__ import annotations

import os
import sys
import time

import rclpy
from geometry_msgs.msg import Twist
from rclpy.node import Node
from std_srvs.srv import Trigger

from deploy_ros import core, stopping

try:
    core.require()
except core.CoreMissingError as missing:
    sys.exit(f"teleop_key: {missing}")

from deploy import teleop

PERIOD = 0.05  # s between two velocity commands
SERVICES = {
    **{"stand_up": "stand", "stand": "stand", "walk": "walk", "lie_down": "lie_down"},
    **{"damping": "e_stop", "reset": "reset"},
}


def main() -> None:
    """Read keys and publish velocities until SIGINT or SIGTERM."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        sys.exit("teleop_key: there is no terminal to read keys from: run `ros2 run deploy teleop_key` in one")
    ended = stopping.start()
    node = Node("teleop_key")
    publisher = node.create_publisher(Twist, "cmd_vel", 1)
    clients = {name: node.create_client(Trigger, name) for name in set(SERVICES.values())}
    os.write(terminal, (teleop.__doc__ or "").encode())
    with teleop.Keyboard(terminal) as keyboard:
        while not ended.is_set():
            wish = keyboard(None, None)
            if wish.event in SERVICES:
                clients[SERVICES[wish.event]].call_async(Trigger.Request())
            twist = Twist()
            twist.linear.x, twist.linear.y, twist.angular.z = (float(v) for v in wish.velocity)
            publisher.publish(twist)
            time.sleep(PERIOD)
    rclpy.shutdown()
