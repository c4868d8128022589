"""Shows the running controller in the browser, from its topics: `ros2 run deploy view --ros-args -p robot:=go1`."""

from __future__ import annotations

import sys
import threading

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosidl_runtime_py.utilities import get_message

from deploy_ros import core, stopping
from deploy_ros.declare import quality
from deploy_ros.interface import PUBLISHED, SENSOR_IN, STATE, Qos

try:
    core.require()
except core.CoreMissingError as missing:
    sys.exit(f"view: {missing}")

import models
import robots
from deploy_ros.watch import TOPICS, TopicSource

READ = {"controller_state": STATE, "joint_targets": Qos(reliable=True, depth=10)}


def main() -> None:
    """Subscribe, wait for the first report, and serve the page until SIGINT."""
    try:
        from viewer.live import Live, wait_for_first
        from viewer.server import address, close, open_page
    except ImportError as missing:
        sys.exit(f"view: {missing.name} is not installed: pip install 'dmcm[view]'")
    ended = stopping.start()
    node = Node("view")
    spec = robots.load(str(node.declare_parameter("robot", "go2").value))
    port = int(node.declare_parameter("port", 8080).value)
    source = TopicSource(spec)
    kinds = {topic.name: topic.type for topic in PUBLISHED}
    for name in TOPICS:
        node.create_subscription(
            get_message(kinds[name]),
            name,
            lambda message, name=name: source.hear(name, message),
            quality(READ.get(name, SENSOR_IN)),
        )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    try:
        print(f"waiting for {source.where} ...", flush=True)
        first = wait_for_first(source, until=ended.is_set)
        if first:
            server = open_page("127.0.0.1", port, "dmcm")
            print(address(server), flush=True)
            Live(server, source, first, spec, models.path(spec.name)).run(until=ended.is_set)
            close(server)
    except ValueError as problem:
        sys.exit(f"view: {problem}")
    finally:
        rclpy.shutdown()
