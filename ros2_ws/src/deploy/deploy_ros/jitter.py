"""Measure the control loop's jitter inside the ROS process against the same loop without ROS, in one run.

    ros2 run deploy jitter --seconds 20 --rounds 4 --json docs/results/ros2_jitter.json

Rounds without and with ROS take turns, so that both see the same machine. With ROS the loop runs in the real node:
configured, activated, walking by a `cmd_vel` of 20 Hz, and publishing everything to five subscribers, each a process
of its own, while the executor spins. The robot is a stand-in that reports the states of a walk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from deploy_ros import core, interface

try:
    core.require("models")
except core.CoreMissingError as missing:
    sys.exit(f"jitter: {missing}")

from deploy.bench import FORWARD, Walker
from deploy.controller import Controller
from deploy.driver import Operator, RobotState, StateLike
from deploy.loop import Commands, run
from deploy.realtime import Realtime
from deploy_ros import assembly
from deploy_ros.node import QuadrupedController
from robots.spec import RobotSpec

SUBSCRIBERS = 5
SETTLE = 3.0  # s of each round that do not count: standing up, discovery

LISTENER = """
import rclpy, sys
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosidl_runtime_py.utilities import get_message
from geometry_msgs.msg import Twist
rclpy.init()
node = Node(f"listener_{sys.argv[1]}")
for name in sys.argv[3:]:
    topic, kind = name.split("=")
    quality = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(get_message(kind), topic, lambda message: None, quality)
if sys.argv[2] == "drive":
    publisher, twist = node.create_publisher(Twist, "cmd_vel", 1), Twist()
    twist.linear.x = 0.5
    node.create_timer(0.05, lambda: publisher.publish(twist))
rclpy.spin(node)
"""


class Timed(Walker):
    """A stand-in for a robot that keeps when it was read."""

    def __init__(self, spec: RobotSpec, dt: float) -> None:
        super().__init__(spec, dt, realtime=True)
        self.times: list[float] = []

    def read(self) -> RobotState:
        """Return the next measurement."""
        self.times.append(time.perf_counter())
        return super().read()


@dataclass
class Jitter:
    """How far periods were off, ms, of all rounds of one kind."""

    rounds: list[np.ndarray] = field(default_factory=list)

    def add(self, times: list[float], period: float, seconds: float) -> None:
        """Take the last `seconds` of a round."""
        last = np.array(times[-round(seconds / period) :])
        self.rounds.append(1e3 * np.abs(np.diff(last) - period))

    def figures(self) -> dict[str, object]:
        """Return p50, p99, p999 of all, and p50 and p99 of each round, ms."""
        every = np.concatenate(self.rounds)
        named = dict(zip(("p50", "p99", "p999"), np.percentile(every, [50, 99, 99.9]).tolist(), strict=True))
        each = [dict(zip(("p50", "p99"), np.percentile(r, [50, 99]).tolist(), strict=True)) for r in self.rounds]
        return {"jitter_ms": named, "periods": len(every), "rounds": each}


def without_ros(settings: assembly.Settings, seconds: float) -> list[float]:
    """Return when the loop was awake, s, in a thread like the node's, while this one waits."""
    controller = assembly.controller(settings)
    robot, end = Timed(controller.spec, settings.command_dt), time.monotonic() + SETTLE + seconds

    def commands(controller: Controller, state: StateLike | None) -> Operator | None:
        if time.monotonic() > end:
            return None
        event = {"passive": "stand_up", "stand": "walk"}.get(controller.state)
        return Operator(event=event) if event else FORWARD

    thread = threading.Thread(target=_run, args=(controller, robot, commands, settings.realtime()))
    thread.start()
    thread.join()
    _walked(controller)
    return robot.times


def _run(controller: Controller, robot: Timed, commands: Commands, realtime: Realtime) -> None:
    run(controller, robot, commands, realtime=realtime)


def with_ros(arguments: list[str], seconds: float) -> tuple[list[float], int]:
    """Return when the node's loop was awake, s, and how many subscribers of `joint_commands` it had."""
    rclpy.init(args=arguments)
    robots: list[Timed] = []

    def open_driver(settings: assembly.Settings) -> Timed:
        robots.append(Timed(assembly.robots.load(settings["robot"]), settings.command_dt))
        return robots[-1]

    node, executor = QuadrupedController(open_driver), SingleThreadedExecutor()
    executor.add_node(node)
    node.trigger_configure()
    node.trigger_activate()
    operator = threading.Thread(target=_walk, args=(node,))
    operator.start()
    end = time.monotonic() + SETTLE + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)
    subscribers = node.count_subscribers("joint_commands")
    controller, times = node.controller, robots[-1].times.copy()
    node.end_control()
    operator.join()
    _walked(controller)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    return times, subscribers


def _walk(node: QuadrupedController) -> None:
    """Ask to stand and to walk, as an operator does, until it walks."""
    end = time.monotonic() + SETTLE
    while node.controller.state != "walk" and time.monotonic() < end:
        if node.controller.state in ("passive", "stand"):
            node.inbox.ask("walk" if node.controller.state == "stand" else "stand")
        time.sleep(0.02)


def _walked(controller: Controller) -> None:
    if controller.state != "walk":
        sys.exit(f"jitter: the controller does not walk: {controller.fault or controller.refusal or controller.cause}")


@contextmanager
def listeners(count: int) -> Iterator[None]:
    """Subscribe to everything the node publishes, in that many processes; one of them drives, too."""
    topics = [f"{topic.name}={topic.type}" for topic in interface.PUBLISHED]
    started = [
        subprocess.Popen([sys.executable, "-c", LISTENER, str(i), "listen" if i else "drive", *topics])
        for i in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(robot: str, seconds: float, rounds: int, fifo: int) -> dict[str, object]:
    """Return the figures of rounds without and with ROS in turn."""
    driver = next(name for name, its in assembly.ROBOT_OF.items() if its == robot)
    chosen = {"robot": robot, "driver": driver, "realtime_priority": fifo}
    settings, kinds = assembly.Settings(chosen), {"without": Jitter(), "with": Jitter()}
    arguments = ["--ros-args", *(word for name, value in chosen.items() for word in ("-p", f"{name}:={value}"))]
    subscribers = []
    for _ in range(rounds):
        kinds["without"].add(without_ros(settings, seconds), settings.command_dt, seconds)
        with listeners(SUBSCRIBERS):
            time.sleep(SETTLE)
            times, count = with_ros(arguments, seconds)
        kinds["with"].add(times, settings.command_dt, seconds)
        subscribers.append(count)
    found = {name: kind.figures() for name, kind in kinds.items()}
    ratio = {p: found["with"]["jitter_ms"][p] / found["without"]["jitter_ms"][p] for p in ("p50", "p99", "p999")}
    return {
        "robot": robot,
        "command_rate": settings["command_rate"],
        "realtime_priority": fifo,
        "subscribers": subscribers,
        "without_ros": found["without"],
        "with_ros": found["with"],
        "ratio": ratio,
    }


def main() -> None:
    """Measure and print; write the figures where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--robot", default="go1", choices=sorted(assembly.ROBOT_OF.values()))
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round, s")
    parser.add_argument("--rounds", type=int, default=4, help="of each kind")
    parser.add_argument("--fifo", type=int, default=0, help="SCHED_FIFO priority of the loop, in both kinds")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given, _ = parser.parse_known_args()
    figures = measure(given.robot, given.seconds, given.rounds, given.fifo)
    for kind in ("without_ros", "with_ros"):
        print(kind, "  ".join(f"{name} {value:.3f} ms" for name, value in figures[kind]["jitter_ms"].items()))
    print("ratio", "  ".join(f"{name} {value:.2f}" for name, value in figures["ratio"].items()))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
